"""Stalls: an event loop that does not come round, and the line of code that holds it up."""

import asyncio
import linecache
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

from kailash_monitor.clock import SYSTEM_CLOCK, Clock

__all__ = ["Place", "Stall", "StallDetector", "stack_of"]

BEATS: Final = 10
"""Beats within the time after which it is a stall: one of them may be late, and the figure is still right to a tenth."""

DEEPEST: Final = 50
"""Places of a stack that are kept, the innermost: a recursion that has lost its end has thousands."""

ENDING: Final = 0.5
"""Seconds that the end waits for the thread, which wakes at once unless what it tells is held up itself."""

_LOOP_ITSELF: Final = ("asyncio", "uvloop")
_INSTALLED: Final = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


@dataclass(frozen=True, slots=True)
class Place:
    """A line of code that is being run. `code` is its text, empty where the source is not at hand.

    `installed` says that it belongs to Python or to a package, and not to the program.
    """

    file: str
    line: int
    function: str
    code: str = ""
    installed: bool = False

    def __str__(self) -> str:
        """`file:line in function: code`."""
        return f"{self.file}:{self.line} in {self.function}" + (f": {self.code}" if self.code else "")


@dataclass(frozen=True, slots=True)
class Stall:
    """The loop was held up at `since`, on the clock, and is so after `seconds`; `stack`, innermost first, by what.

    Once it is `over`, `seconds` is how long it took, and `stack` where it was seen last.
    """

    since: float
    seconds: float
    stack: Sequence[Place]
    over: bool = False

    @property
    def place(self) -> Place | None:
        """The innermost line of the program's own, or else of a package's. None where nothing is known."""
        return next((place for place in self.stack if not place.installed), next(iter(self.stack), None))


class StallDetector:
    """Watches an event loop from a thread, since a loop that is held up cannot say so.

    The loop says ten times within `after` seconds that it comes round. Once it has not for that long, `tell` is given the
    Stall, on the thread, again each `after` seconds while it lasts, and when it is over. What `tell` raises ends the watch.

    It is the loop that has to come round: many short callbacks hold it up as well as one long one, while a busy machine
    alone does not. What neither it nor this thread could do does not count: a process that was stopped, a machine that
    was suspended, and code in C that lets no other thread run (see the GIL) are not seen.
    """

    def __init__(self, after: float, tell: Callable[[Stall], None], *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._after = after
        self._tell = tell
        self._clock = clock
        self._beat = 0.0  # when the loop last came round; set by the loop, and by the thread where neither could run

    async def run(self) -> None:
        """Watch the running loop until cancelled. Nothing is left running then."""
        loop, ended, gone = asyncio.get_running_loop(), threading.Event(), asyncio.Event()
        watched = threading.get_ident()

        def watch() -> None:
            try:
                self._watch(loop, watched, ended)
            finally:
                if not loop.is_closed():
                    loop.call_soon_threadsafe(gone.set)

        self._beat = self._clock.now()
        threading.Thread(target=watch, name="kailash-monitor watchdog", daemon=True).start()
        try:
            while not gone.is_set():
                self._beat = self._clock.now()
                await asyncio.sleep(self._after / BEATS)
        finally:
            ended.set()
            if not isinstance(sys.exception(), GeneratorExit):  # else there is no loop to wait on
                with suppress(TimeoutError):
                    async with asyncio.timeout(ENDING):
                        await gone.wait()

    def _watch(self, loop: asyncio.AbstractEventLoop, watched: int, ended: threading.Event) -> None:
        """Look after the loop of the thread `watched` until `ended`, or the loop is closed."""
        pause = self._after / BEATS
        woken, stall, told = self._clock.now(), None, 0.0
        while not (ended.wait(pause) or loop.is_closed()):
            now = self._clock.now()
            if (
                now - woken > self._after or not loop.is_running()
            ):  # this thread could not run either, or nobody runs the loop
                self._beat = now
            since = self._beat + pause  # when it should have come round next
            if now - since >= self._after:
                if stall is None or now - told >= self._after:
                    stall, told = Stall(since, now - since, stack_of(watched)), now
                    self._tell(stall)
            elif stall is not None:
                self._tell(Stall(stall.since, max(stall.seconds, self._beat - stall.since), stall.stack, over=True))
                stall = None
            woken = self._clock.now()  # telling may take its time


def stack_of(thread: int) -> tuple[Place, ...]:
    """Give what a thread is running at this moment, innermost first, without the event loop's own frames."""
    frame = sys._current_frames().get(thread)  # private by its name, and documented: there is no other way
    return tuple(_place(each) for each in _callback(frame))


def _callback(frame: FrameType | None) -> Iterator[FrameType]:
    """Give the frames from the innermost on, up to where the event loop began to call."""
    for _ in range(DEEPEST):
        if frame is None or _is_the_loop(frame):
            return
        yield frame
        frame = frame.f_back


def _is_the_loop(frame: FrameType) -> bool:
    module = str(frame.f_globals.get("__name__", ""))
    return module.partition(".")[0] in _LOOP_ITSELF and frame.f_code.co_name in ("_run", "_run_once", "run_forever")


def _place(frame: FrameType) -> Place:
    code, line = frame.f_code, frame.f_lineno or frame.f_code.co_firstlineno
    text = linecache.getline(code.co_filename, line, frame.f_globals).strip()
    installed = code.co_filename.startswith((*_INSTALLED, "<"))
    return Place(_short(code.co_filename), line, code.co_qualname, text, installed)


def _short(file: str) -> str:
    """Give the path from the working directory on, where it lies below that."""
    try:
        return str(Path(file).relative_to(Path.cwd()))
    except (ValueError, OSError):  # elsewhere, or there is no working directory any more
        return file
