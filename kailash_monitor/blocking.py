"""The alert manager for programs without an event loop: Flask, Django, scripts.

    from kailash_monitor.blocking import AlertManager

    manager = AlertManager(get_metrics_registry())
    manager.start()
    ...
    manager.stop()

The same names, synchronous. The manager works on a loop of its own in a daemon thread that is there from `start` to `stop`;
a program that forgets to stop ends all the same, without waiting for messages that are under way.
"""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures.thread import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Final, ParamSpec, Self, TypeVar

from kailash_monitor.alerting.audit import Entry
from kailash_monitor.alerting.inhibition import Inhibition
from kailash_monitor.alerting.route import Route
from kailash_monitor.channels import NotificationChannel
from kailash_monitor.channels.function import Sends
from kailash_monitor.delivery.outcome import Outcome
from kailash_monitor.engine import AlertManager as AsyncAlertManager
from kailash_monitor.engine import Delivery, Health, RuleStatus, Untold
from kailash_monitor.engine.attempt import seconds_of
from kailash_monitor.engine.daemon import DaemonExecutor
from kailash_monitor.engine.explanation import Explanation
from kailash_monitor.engine.heartbeat import Beat
from kailash_monitor.engine.people import LONGEST, OpenSilence
from kailash_monitor.engine.queries import LocalQueries, Queries
from kailash_monitor.engine.status import ChannelStatus, DeadLetter, SilenceStatus, Waiting
from kailash_monitor.engine.trial import GRACE, HELD_UP, NOT_RUNNING
from kailash_monitor.engine.views import AlertView
from kailash_monitor.engine.wakeup import call_on
from kailash_monitor.instrument.source import Source
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.model.alert import Alert
from kailash_monitor.model.durations import Duration, parse_duration
from kailash_monitor.model.matcher import MatchersGiven
from kailash_monitor.rules import AlertRule
from kailash_monitor.rules.export import PER_PROGRAM
from kailash_monitor.rules.recording import Recording
from kailash_monitor.storage import Store
from kailash_monitor.threads import inherited

__all__ = ["AlertManager"]

CALLS: Final = 256
"""Calls that the channels on a manager's loop may have under way in threads."""

CLOSING: Final = 1.0
"""Seconds that an end may take after its drain."""

P = ParamSpec("P")
T = TypeVar("T")


class AlertManager:
    """The alert manager, synchronous: see `kailash_monitor.alerts.AlertManager` for what the methods mean.

    All methods may be called from any thread, `stop` also from a signal handler or by `atexit`.

    After a fork, the child's manager does not run until it is started there. Where the parent's had been started it begins
    anew: it has its rules, channels, routes, inhibitions and sources, but neither its alerts nor what people said about
    them, which the parent goes on with, as with the store: that a child cannot start with.
    """

    def __init__(
        self,
        registry: MetricsRegistry,
        *,
        store: Store | str | os.PathLike[str] | None = None,
        heartbeat: Beat | None = None,
        stall_after: Duration | None = None,
        stop_timeout: Duration = "3s",
        queries: Queries | None = None,
    ) -> None:
        self._make: Final = partial(
            AsyncAlertManager,
            registry,
            store=store,
            heartbeat=heartbeat,
            stall_after=stall_after,
            stop_timeout=stop_timeout,
            queries=queries,
        )
        self._manager = self._make()
        self._stop_timeout: Final = parse_duration(stop_timeout)
        self._given: list[Callable[[AsyncAlertManager], object]] = []  # channels and sources, as they were added
        self._routes: Route | None = None
        self._inhibitions: tuple[Inhibition, ...] = ()
        self._thread: _LoopThread | None = None  # the last one
        self._lock = threading.RLock()  # guards which one that is, for no longer; a signal handler may come in between
        inherited(self)

    def __repr__(self) -> str:
        return f"<blocking {repr(self._manager)[1:]}"

    def start(self) -> None:
        """Begin to work; returns once it does. Nothing where it runs already.

        A LifecycleError where it could not start; `failure` keeps why. Nothing is left running then.
        """
        with self._lock:
            thread = self._thread
            if thread is None or not thread.works:
                if thread is not None:
                    thread.end()
                thread = self._thread = _LoopThread(self._manager)
                thread.begin()  # now that a stop, by a signal even this moment, finds it
        try:
            thread.up.result()
        except BaseException:  # it could not start, or who waits was interrupted
            thread.end()
            thread.join(CLOSING)
            raise

    def stop(self, *, drain: Duration | None = None) -> None:
        """End; returns within `drain`, or else `stop_timeout`, and a second. Nothing where it does not run; never raises.

        What hangs by then, a channel or a disk, is left behind in its daemon thread, and ends with the process.
        """
        with self._lock:
            thread = self._thread
        if thread is not None and thread.is_there:
            self._manager.stop(drain=drain)  # from here: the loop may be held up
            thread.end(drain)
            thread.join((self._stop_timeout if drain is None else parse_duration(drain)) + CLOSING)

    def _after_fork(self) -> None:
        """Begin anew in a forked child, where the parent's loop works on."""
        self._lock = threading.RLock()
        thread, self._thread = self._thread, None
        if thread is None:
            return
        before, self._manager = self._manager, self._make()
        _OF_PARENTS.append((thread, before))
        for give in self._given:
            give(self._manager)
        if self._routes is not None:
            self._manager.set_routes(self._routes)
        self._manager.set_inhibitions(self._inhibitions)
        for rule in before.rules.values():
            self._manager.add_rule(rule)
        self._manager.files.go_on_from(before.files)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        thread = self._thread
        return thread is not None and thread.works and self._manager.running

    @property
    def failure(self) -> BaseException | None:
        """What ended it, where something other than a stop did."""
        return self._manager.failure

    @property
    def heartbeat(self) -> Beat | None:
        """Whom it calls while all is well."""
        return self._manager.heartbeat

    @property
    def metrics_registry(self) -> MetricsRegistry:
        """The registry it judges."""
        return self._manager.metrics_registry

    @property
    def local_queries(self) -> LocalQueries:
        """Where queries find what is measured; evaluating them reads it, from any thread."""
        return self._manager.local_queries

    @property
    def rules(self) -> dict[str, AlertRule]:
        """The rules by name."""
        return self._manager.rules

    @property
    def alerts(self) -> dict[str, Alert]:
        """All alerts by id."""
        return self._manager.alerts

    @property
    def notification_channels(self) -> list[NotificationChannel]:
        """The channels, in order of adding."""
        return self._manager.notification_channels

    def channels_by_name(self) -> dict[str, NotificationChannel]:
        """Give the channels by their names within this manager."""
        return self._manager.channels_by_name()

    def add_rule(self, rule: AlertRule) -> None:
        """Take `rule` on."""
        self._manager.add_rule(rule)

    def replace_rule(self, rule: AlertRule) -> None:
        """Put `rule` in the place of the one of its name, or take it on."""
        self._manager.replace_rule(rule)

    def remove_rule(self, name: str) -> None:
        """Take the rule called `name` away."""
        self._manager.remove_rule(name)

    def load_rules(self, *patterns: str | os.PathLike[str], interval: Duration = "10s") -> list[str]:
        """Have the rules of Prometheus' rule files judged; give the names of those that are new."""
        return self._manager.load_rules(*patterns, interval=interval)

    def reload_rules(self) -> None:
        """Read all rule files again, and have judged what they say now."""
        files = self._manager.files
        files.apply(files.read())

    def export_rules(self, *, per: Sequence[str] = PER_PROGRAM) -> str:
        """Give all rules as the text of a rule file for a Prometheus."""
        return self._manager.export_rules(per=per)

    @property
    def rule_files(self) -> tuple[str, ...]:
        """The patterns of the rule files that were loaded."""
        return self._manager.rule_files

    @property
    def queries(self) -> Queries:
        """Who evaluates the expressions of rules."""
        return self._manager.queries

    @property
    def recordings(self) -> Mapping[Recording, str | None]:
        """The recording rules that were loaded, each with what is wrong with it, or None."""
        return self._manager.recordings

    def enable_rule(self, name: str) -> None:
        """Have the rule called `name` judged again."""
        self._manager.enable_rule(name)

    def disable_rule(self, name: str) -> None:
        """Have the rule called `name` judged no more."""
        self._manager.disable_rule(name)

    def evaluate_rule(self, name: str) -> bool:
        """Have the rule called `name` judged at once; whether there is one that is enabled."""
        return self._manager.evaluate_rule(name)

    def try_channel(self, name: str) -> Outcome | None:
        """Send a test through the channel called `name` now; give what became of it, None where there is none.

        Returns once that is known, which takes as long as any message may.
        """
        channel, thread = self.channels_by_name().get(name), self._thread
        if channel is None:
            return None
        if thread is None or not thread.works:
            return NOT_RUNNING
        return thread.have_tried(name, seconds_of(channel) + GRACE)

    def add_notification_channel(
        self,
        channel: NotificationChannel | Sends,
        *,
        rate: tuple[float, int] | None = None,
        fallback: str | None = None,
        fallback_after: Duration = "5m",
    ) -> None:
        """Take `channel` on."""
        self._give(
            lambda manager: manager.add_notification_channel(
                channel, rate=rate, fallback=fallback, fallback_after=fallback_after
            )
        )

    def set_routes(self, root: Route) -> None:
        """Tell along these routes from now on."""
        self._manager.set_routes(root)
        self._routes = root

    def set_inhibitions(self, inhibitions: Iterable[Inhibition]) -> None:
        """Have these say from now on which alerts need not be told while others fire."""
        given = tuple(inhibitions)
        self._manager.set_inhibitions(given)
        self._inhibitions = given

    def add_source(self, source: Source) -> None:
        """Have `source` sampled while the manager runs."""
        self._give(lambda manager: manager.add_source(source))

    def _give(self, give: Callable[[AsyncAlertManager], object]) -> None:
        give(self._manager)
        self._given.append(give)

    def get_active_alerts(self) -> list[Alert]:
        """Give the alerts that fire."""
        return self._manager.get_active_alerts()

    def get_all_alerts(self) -> list[Alert]:
        """Give all alerts."""
        return self._manager.get_all_alerts()

    def alert_slices(self) -> Iterator[list[AlertView]]:
        """Give all alerts as views, some at a time."""
        return self._manager.alert_slices()

    def silence_alert(self, alert_id: str, duration: Duration | None = None, *, author: str = "", reason: str = "") -> str:
        """Tell nobody that this alert fires, for `duration` or until its incident is over; give the silence's id."""
        return self._manager.silence_alert(alert_id, duration, author=author, reason=reason).result

    def silence(
        self,
        matchers: MatchersGiven = None,
        *,
        duration: Duration = LONGEST,
        starts_in: Duration = 0,
        author: str = "",
        reason: str = "",
        **labels: str,
    ) -> OpenSilence:
        """Tell nobody of alerts with these labels, from now on for `duration` (a day), or until it is ended.

        with manager.silence(service="checkout", reason="deploy"):
            deploy()
        """
        return self._manager.silence(
            matchers, duration=duration, starts_in=starts_in, author=author, reason=reason, **labels
        )

    def preview_silence(self, matchers: MatchersGiven = None, **labels: str) -> list[Alert]:
        """Give the alerts, pending and firing, that such a silence would cover now."""
        return self._manager.preview_silence(matchers, **labels)

    def end_silence(self, silence_id: str) -> bool:
        """End a silence now; whether it was there and not over."""
        return self._manager.end_silence(silence_id).result

    def silences(self) -> list[SilenceStatus]:
        """Give the silences, the oldest first."""
        return self._manager.silences()

    def acknowledge_alert(self, alert_id: str, *, author: str = "") -> bool:
        """Say that somebody is on it; whether the alert is there."""
        return self._manager.acknowledge_alert(alert_id, author=author).result

    def explain(self, alert_id: str) -> Explanation | None:
        """Say how an alert stands and why each channel was told or not; None: not known."""
        return self._manager.explain(alert_id)

    def audit(self) -> list[Entry]:
        """Give what happened to alerts and why channels were told of them or not, oldest first."""
        return self._manager.audit()

    def rule_status(self) -> list[RuleStatus]:
        """Give every rule with what came of its last evaluation."""
        return self._manager.rule_status()

    def deliveries(self) -> list[Delivery]:
        """Give the last attempts to tell a channel."""
        return self._manager.deliveries()

    def outbox(self) -> list[Waiting]:
        """Give what waits to be told, or is being told."""
        return self._manager.outbox()

    def outbox_slices(self) -> Iterator[list[Waiting]]:
        """Give what waits to be told, some at a time."""
        return self._manager.outbox_slices()

    def dead_letters(self) -> list[DeadLetter]:
        """Give the messages that could not be delivered for good, oldest first."""
        return self._manager.dead_letters()

    def resend(self, letter_id: str) -> bool:
        """Have told what is true now of the alerts of a dead letter; whether there was one."""
        return self._manager.resend(letter_id).result

    def discard(self, letter_id: str) -> bool:
        """Take a dead letter away; whether there was one."""
        return self._manager.discard(letter_id).result

    def channel_status(self) -> list[ChannelStatus]:
        """Give every channel with how it is doing."""
        return self._manager.channel_status()

    def untold(self) -> list[Untold]:
        """Give what channels do not know yet."""
        return self._manager.untold()

    def health(self) -> Health:
        """Say whether it does its work."""
        return self._manager.health()


class _LoopThread:
    """A daemon thread in which a manager works on an event loop of its own, from `begin` to `end`.

    A daemon, since an ordinary thread would keep a program that forgets to stop from ever ending. Nothing here waits for the
    loop, but for `join`: it may be held up, by a channel, for ever.

    Mutable: `_ending` and `_drain`, by whoever ends it, also before it has begun; `_left`, by who waits.
    """

    def __init__(self, manager: AsyncAlertManager) -> None:
        self.up: Final = Future[None]()
        """Done once the manager works, or has ended; a LifecycleError where it could not start."""
        self._manager: Final = manager
        self._loop: Final = asyncio.new_event_loop()
        self._loop.set_default_executor(_DaemonPool())
        self._ended: Final = asyncio.Event()
        self._over: Final = threading.Event()
        self._ending = False
        self._left = False
        self._drain: Duration | None = None
        self._thread: Final = threading.Thread(target=self._work, name="kailash-monitor", daemon=True)

    def begin(self) -> None:
        """Begin to work. A RuntimeError where there can be no thread any more."""
        try:
            self._thread.start()
        except BaseException:
            self._over.set()
            self._loop.close()
            raise

    @property
    def is_there(self) -> bool:
        """Whether there is something to wait for: it has neither ended nor been left behind."""
        return not (self._over.is_set() or self._left)

    @property
    def works(self) -> bool:
        """Whether the manager works, or is about to, and nobody has it end."""
        return not (self._ending or self._over.is_set()) and (self._manager.running or not self.up.done())

    def end(self, drain: Duration | None = None) -> None:
        """Have the manager stop, and the thread end."""
        self._ending, self._drain = True, drain
        call_on(self._loop, self._ended.set)

    def have_tried(self, channel: str, seconds: float) -> Outcome | None:
        """Have a channel tried on the loop, where its connections are, and give what became of it."""
        trying = asyncio.run_coroutine_threadsafe(self._manager.try_channel(channel), self._loop)
        try:
            return trying.result(seconds)
        except TimeoutError:
            return HELD_UP
        finally:
            trying.cancel()

    def join(self, seconds: float) -> None:
        """Wait until it has ended, for `seconds` at most; what has not by then is left behind."""
        if self._thread.ident in (None, threading.get_ident()):
            return  # a signal came before it has begun, or it would wait for itself: it ends as soon as it can
        self._left = not self._over.wait(seconds)
        if not self._left:
            self._thread.join(CLOSING)

    def _work(self) -> None:
        try:
            self._loop.run_until_complete(self._main())
        except BaseException as error:  # a defect of ours, to be seen where such things are, and nobody is to wait for ever
            if not self.up.done():
                self.up.set_exception(error)
            raise
        finally:
            try:
                _close(self._loop)
            finally:
                self._over.set()

    async def _main(self) -> None:
        starting = asyncio.ensure_future(_awaited(self._manager.start()))
        starting.add_done_callback(self._tell)
        await self._ended.wait()
        await self._manager.stop(drain=self._drain)
        await asyncio.wait([starting])

    def _tell(self, starting: asyncio.Future[None]) -> None:
        error = None if starting.cancelled() else starting.exception()
        if error is None:
            self.up.set_result(None)
        else:
            self.up.set_exception(error)


_OF_PARENTS: Final[list[object]] = []
"""What a forked child has of its parent's loops. It is kept: to close it there would take the parent's wake-ups away."""


class _DaemonPool(ThreadPoolExecutor):
    """The pool of the manager's loop, for `asyncio.to_thread`, which takes none but of this class.

    Python ends every other pool before `atexit`, so that nothing could be told from there; and it waits at exit for the
    threads of a pool, also for those that hang.
    """

    def __init__(self) -> None:
        super().__init__(max_workers=1)  # which is never begun
        self._calls: Final = DaemonExecutor(CALLS)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        return self._calls.submit(fn, *args, **kwargs)


def _close(loop: asyncio.AbstractEventLoop) -> None:
    """Close a loop, with what channels may have left on it."""
    try:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


async def _awaited(completion: Awaitable[T]) -> T:
    return await completion
