"""The watchdog: has people told that the program's event loop is held up, while it is."""

import asyncio
import inspect
import logging
import math
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from kailash_monitor.alerting.trouble import LOOP_STALLED, stall_rule
from kailash_monitor.channels import Delivers, NotificationChannel
from kailash_monitor.channels.text import one_line
from kailash_monitor.clock import Clock
from kailash_monitor.engine.archivist import PATIENCE, Archivist
from kailash_monitor.engine.core import Core
from kailash_monitor.engine.courier import Courier
from kailash_monitor.engine.daemon import DaemonCalls
from kailash_monitor.engine.gate import AT_ONCE
from kailash_monitor.engine.outbox import Send
from kailash_monitor.engine.postman import Postman
from kailash_monitor.engine.task_group import TaskGroup
from kailash_monitor.engine.wakeup import call_on
from kailash_monitor.instrument.stall import Stall, StallDetector
from kailash_monitor.model.alert import Alert
from kailash_monitor.model.labels import NO_LABELS

__all__ = ["Watchdog"]

KEEP_FIRING: Final = 60.0
"""Seconds for which the loop must come round before it is said to be well: what stalls once most often stalls again."""

LOOKS: Final = 1.0
"""Seconds between two looks at whether that time has passed."""

ENDING: Final = 0.2
"""Seconds that an end waits for the thread that tells; what it was telling is in doubt by then."""

_logger: Final = logging.getLogger("kailash_monitor.engine")


class Watchdog:
    """Notices stalls of more than `after` seconds, and has the core judge them as it judges all else: one alert, one ledger.

    While the loop is held up it does the telling itself, on a loop in a thread of its own, through the channels that may
    be used there (`any_loop`, and those that are plain functions). The others, the log among them, hear of it when the
    loop comes round, since it is the same incident still.

    `run` and `end` belong to one loop at a time. Mutable, under the core's lock: what is watched, where it was held up last,
    and who tells of it.
    """

    def __init__(
        self, clock: Clock, core: Core, archivist: Archivist, courier: Courier, postman: Postman, after: float
    ) -> None:
        self._clock = clock
        self._core = core
        self._archivist = archivist
        self._courier = courier
        self._postman = postman
        self._after = after
        self._lasted = core.registry.self_metrics.timer(
            "loop_stall_duration", "How long the event loop was held up, each time it was for long", unit="seconds"
        )
        self._where = ""
        self._known = -math.inf  # when the stall began that was said last
        self._watch: _Watch | None = None
        self._tellers: list[_Teller] = []

    async def run(self) -> None:
        """Watch the running loop until cancelled."""
        watch = self._watch = _Watch(asyncio.get_running_loop())
        try:
            async with TaskGroup() as tasks:
                tasks.create_task(StallDetector(self._after, partial(self._take, watch)).run())
                while True:
                    with self._core.lock:
                        if self._core.book.of_rule(LOOP_STALLED):
                            self._judge(0.0)
                    await asyncio.sleep(LOOKS)
        finally:
            with self._core.lock:
                self._watch = None
                for teller in self._tellers:
                    teller.leave()

    async def end(self) -> None:
        """Have those who tell end, whatever they are telling: it is in doubt then."""
        with self._core.lock:
            tellers = tuple(self._tellers)
        for teller in tellers:
            teller.end()
        if tellers and not isinstance(sys.exception(), GeneratorExit):  # else there is no loop to wait on
            await asyncio.wait([asyncio.wrap_future(teller.gone) for teller in tellers], timeout=ENDING)

    def _take(self, watch: "_Watch", stall: Stall) -> None:
        """Take note of a stall, on the detector's thread."""
        try:
            if self._core.lock.acquire(timeout=self._after):  # whoever holds up the loop may hold it
                try:
                    if self._watch is watch:  # else it has ended meanwhile
                        self._where = str(stall.place or "nothing is known of where")
                        self._judge(0.0 if stall.over else stall.seconds)
                        self._tell(stall, watch)
                finally:
                    self._core.lock.release()
            self._say(stall)
        except Exception:  # the top of a thread: the watch goes on
            _logger.exception("the watchdog failed")

    def _judge(self, seconds: float) -> None:
        """Have the core judge how long the loop is held up, and decide who is to be told. Under its lock."""
        now = self._clock.now()
        self._core.judge_own(
            stall_rule(one_line(self._where), self._after, keep_firing=KEEP_FIRING), {NO_LABELS: seconds}, now
        )
        while self._core.dispatcher.consider_next(now):
            pass

    def _tell(self, stall: Stall, watch: "_Watch") -> None:
        """Have somebody tell for as long as the loop cannot. Under the lock."""
        self._tellers = [teller for teller in self._tellers if not teller.gone.done()]
        at_work = [teller for teller in self._tellers if not teller.leaving]
        for teller in at_work:
            if stall.over:
                teller.leave()
            else:
                teller.look()
        if not (stall.over or at_work):
            channels = {name: _abroad(one, watch.loop) for name, one in self._postman.channels.items()}
            usable = {name: one for name, one in channels.items() if one is not None}
            self._tellers = [
                *self._tellers,
                _Teller(self._archivist, self._courier, usable, watch.loop, self._postman.settled),
            ]

    def _say(self, stall: Stall) -> None:
        """Log it, and measure it: a logging handler may be what holds up the loop, so that this comes last."""
        if stall.over:
            self._lasted.observe(stall.seconds)
            _logger.warning("the event loop comes round again, after %.1f s", stall.seconds)
        elif stall.since != self._known:
            self._known = stall.since
            stack = "".join(f"\n  {one_line(str(place))}" for place in stall.stack)
            _logger.error("the event loop has been held up for %.1f s, innermost first by:%s", stall.seconds, stack)


@dataclass(frozen=True, slots=True, eq=False)
class _Watch:
    """One stretch of time in which a loop is watched."""

    loop: asyncio.AbstractEventLoop


class _Teller:
    """A thread with an event loop of its own, which tells these channels what is due until it may leave.

    What it is telling then, it tells to the end. `home` is the program's loop, which hears of what was settled when it
    comes round, and logs it: a handler that hangs must not hold up who tells. `gone` is done at the end. Mutable, by whoever
    has it: `leaving`; the rest by its thread.
    """

    def __init__(
        self,
        archivist: Archivist,
        courier: Courier,
        channels: Mapping[str, NotificationChannel],
        home: asyncio.AbstractEventLoop,
        settled: Callable[[], None],
    ) -> None:
        self.leaving = False
        self.gone: Final[Future[None]] = Future()
        self._archivist = archivist
        self._courier = courier
        self._channels = channels
        self._home = home
        self._settled = settled
        self._threads = {name: DaemonCalls(AT_ONCE) for name in channels}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()
        self._work: asyncio.Task[None] | None = None
        if channels:
            threading.Thread(target=self._run, name="kailash-monitor teller", daemon=True).start()
        else:
            self.gone.set_result(None)

    def look(self) -> None:
        """Look whether there is something new to tell."""
        call_on(self._loop, self._news.set)

    def leave(self) -> None:
        """Begin nothing more."""
        self.leaving = True
        self.look()

    def end(self) -> None:
        """End now; what is being told is in doubt."""
        self.leave()
        if self._work is not None:
            call_on(self._loop, self._work.cancel)

    def _run(self) -> None:
        try:
            with suppress(asyncio.CancelledError):
                asyncio.run(self._tell())
        except Exception:  # the top of a thread
            _logger.exception("what is to be told of a stall has to wait for its end")
        finally:
            self.gone.set_result(None)

    async def _tell(self) -> None:
        self._loop, self._work = asyncio.get_running_loop(), asyncio.current_task()
        async with TaskGroup() as attempts:
            while not (self.leaving or self._home.is_closed()):
                self._news.clear()
                pauses = [await self._begin(name, attempts) for name in self._channels]
                with suppress(TimeoutError):
                    async with asyncio.timeout(min((pause for pause in pauses if pause is not None), default=LOOKS)):
                        await self._news.wait()

    async def _begin(self, name: str, attempts: TaskGroup) -> float | None:
        """Begin all that is due for a channel; give the seconds until there may be more, None for nothing."""
        while not self.leaving and (send := self._courier.begin(name)) is not None:
            if isinstance(send, Send):
                attempts.create_task(self._deliver(name, send))
            else:
                await asyncio.sleep(0)
        return self._courier.next_in(name)

    async def _deliver(self, name: str, send: Send) -> None:
        say = await self._courier.deliver(name, self._channels[name], send, self._threads[name], self._kept)
        call_on(self._home, say)
        call_on(self._home, self._settled)
        self._news.set()

    async def _kept(self) -> None:
        """Wait until the beginning of an attempt is in the store; a store that fails keeps nobody waiting."""
        writing = self._archivist.write_meanwhile()
        if writing is not None:
            with suppress(Exception):  # the archivist takes note of it
                async with asyncio.timeout(PATIENCE):
                    await asyncio.shield(asyncio.wrap_future(writing))


class _Plain(NotificationChannel):
    """A channel that is a plain function, which is called in a thread.

    Where it gives something to be awaited after all, that is the program's loop's to do, when it comes round.
    """

    def __init__(self, channel: NotificationChannel, home: asyncio.AbstractEventLoop) -> None:
        self.attempt_seconds = getattr(channel, "attempt_seconds", NotificationChannel.attempt_seconds)
        self._channel = channel
        self._home = home

    def send_notification(self, alert: Alert, context: Mapping[str, object]) -> bool:  # type: ignore[override]  # a plain one
        answer: object = self._channel.send_notification(alert, context)
        if inspect.isawaitable(answer):
            answer = asyncio.run_coroutine_threadsafe(_awaited(answer), self._home).result()
        return bool(answer)


async def _awaited(answer: Awaitable[object]) -> object:
    return await answer


def _abroad(channel: NotificationChannel, home: asyncio.AbstractEventLoop) -> NotificationChannel | None:
    """Give a channel as it may be used on another loop than the program's; None where it may not."""
    if not isinstance(channel, Delivers) and not inspect.iscoroutinefunction(channel.send_notification):
        return _Plain(channel, home)
    return channel if _says_so(channel) else None


def _says_so(channel: NotificationChannel) -> bool:
    """Whether it is said of the channel as it is (`any_loop`), and not of one of ours that it was made from."""
    for kind in type(channel).__mro__:
        if "any_loop" in vars(kind):
            break
        if {"deliver", "send_notification"} & vars(kind).keys() and not kind.__module__.startswith("kailash_monitor."):
            return "any_loop" in vars(channel) and channel.any_loop
    return bool(getattr(channel, "any_loop", False))
