"""The watchdog: has people told that the program's event loop is held up, while it is."""

import asyncio
import inspect
import logging
import math
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
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

    `run` and `end` belong to one loop at a time. Mutable, by the detector's thread: where the loop was held up last, and
    who tells of it.
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
        self._tellers: list[_Teller] = []

    async def run(self) -> None:
        """Watch the running loop until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            async with TaskGroup() as tasks:
                tasks.create_task(StallDetector(self._after, lambda stall: self._take(stall, loop)).run())
                while True:
                    with self._core.lock:
                        if self._core.book.of_rule(LOOP_STALLED):
                            self._judge(0.0)
                    await asyncio.sleep(LOOKS)
        finally:
            for teller in self._tellers:
                teller.leave()

    async def end(self) -> None:
        """Have those who tell end, whatever they are telling."""
        for teller in self._tellers:
            await teller.end()

    def _take(self, stall: Stall, loop: asyncio.AbstractEventLoop) -> None:
        """Take note of a stall, on the detector's thread."""
        try:
            self._where = str(stall.place or "nothing is known of where")
            if self._core.lock.acquire(timeout=self._after):  # whoever holds up the loop may hold it
                try:
                    self._judge(0.0 if stall.over else stall.seconds)
                finally:
                    self._core.lock.release()
                self._tell(stall, loop)
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

    def _tell(self, stall: Stall, loop: asyncio.AbstractEventLoop) -> None:
        """Have somebody tell for as long as the loop cannot."""
        self._tellers = [teller for teller in self._tellers if teller.there]
        at_work = [teller for teller in self._tellers if not teller.leaving]
        for teller in at_work:
            if stall.over:
                teller.leave()
            else:
                teller.look()
        if not (stall.over or at_work):
            channels = {name: one for name, one in self._postman.channels.items() if _usable(one)}
            settled = partial(call_on, loop, self._postman.settled)
            self._tellers = [*self._tellers, _Teller(self._archivist, self._courier, channels, settled)]

    def _say(self, stall: Stall) -> None:
        """Log it, and measure it: a logging handler may be what holds up the loop, so that this comes last."""
        if stall.over:
            self._lasted.observe(stall.seconds)
            _logger.warning("the event loop comes round again, after %.1f s", stall.seconds)
        elif stall.since != self._known:
            self._known = stall.since
            stack = "".join(f"\n  {one_line(str(place))}" for place in stall.stack)
            _logger.error("the event loop has been held up for %.1f s, innermost first by:%s", stall.seconds, stack)


class _Teller:
    """A thread with an event loop of its own, which tells these channels what is due until it may leave.

    What it is telling then, it tells to the end. Mutable, by whoever has it: `leaving`; the rest by its thread.
    """

    def __init__(
        self,
        archivist: Archivist,
        courier: Courier,
        channels: Mapping[str, NotificationChannel],
        settled: Callable[[], None],
    ) -> None:
        self._archivist = archivist
        self._courier = courier
        self._channels = channels
        self._settled = settled
        self._threads = {name: DaemonCalls(AT_ONCE) for name in channels}
        self.leaving = False
        self._gone: Future[None] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()
        self._work: asyncio.Task[None] | None = None
        if channels:
            threading.Thread(target=self._run, name="kailash-monitor teller", daemon=True).start()
        else:
            self._gone.set_result(None)

    @property
    def there(self) -> bool:
        """Whether it has not gone yet."""
        return not self._gone.done()

    def look(self) -> None:
        """Look whether there is something new to tell."""
        call_on(self._loop, self._news.set)

    def leave(self) -> None:
        """Begin nothing more."""
        self.leaving = True
        self.look()

    async def end(self) -> None:
        """End now; what is being told is in doubt."""
        self.leave()
        if self._work is not None:
            call_on(self._loop, self._work.cancel)
        await asyncio.wait([asyncio.wrap_future(self._gone)], timeout=ENDING)

    def _run(self) -> None:
        try:
            with suppress(asyncio.CancelledError):
                asyncio.run(self._tell())
        except Exception:  # the top of a thread
            _logger.exception("what is to be told of a stall has to wait for its end")
        finally:
            self._gone.set_result(None)

    async def _tell(self) -> None:
        self._loop, self._work = asyncio.get_running_loop(), asyncio.current_task()
        async with TaskGroup() as attempts:
            while not self.leaving:
                self._news.clear()
                pauses = [self._begin(name, attempts) for name in self._channels]
                with suppress(TimeoutError):
                    async with asyncio.timeout(min((pause for pause in pauses if pause is not None), default=None)):
                        await self._news.wait()

    def _begin(self, name: str, attempts: TaskGroup) -> float | None:
        """Begin all that is due for a channel; give the seconds until there may be more, None for nothing."""
        while (send := self._courier.begin(name)) is not None:
            if isinstance(send, Send):
                attempts.create_task(self._deliver(name, send))
        return self._courier.next_in(name)

    async def _deliver(self, name: str, send: Send) -> None:
        await self._courier.deliver(name, self._channels[name], send, self._threads[name], self._kept)
        self._settled()
        self._news.set()

    async def _kept(self) -> None:
        """Wait until the beginning of an attempt is in the store; a store that fails keeps nobody waiting."""
        writing = self._archivist.write_meanwhile()
        if writing is not None:
            with suppress(Exception):  # the archivist takes note of it
                async with asyncio.timeout(PATIENCE):
                    await asyncio.shield(asyncio.wrap_future(writing))


def _usable(channel: NotificationChannel) -> bool:
    """Whether a channel may be used on another loop than the program's."""
    plain = not isinstance(channel, Delivers) and not inspect.iscoroutinefunction(channel.send_notification)
    return plain or getattr(channel, "any_loop", False)
