"""The alert manager: rules in, alerts out."""

import asyncio
import inspect
import logging
import os
import random
import socket
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from kailash_monitor.alerting.audit import Entry
from kailash_monitor.alerting.inhibition import Inhibition
from kailash_monitor.alerting.route import Route, route_channels
from kailash_monitor.channels import NotificationChannel, channel_name
from kailash_monitor.channels.function import FunctionChannel, Sends
from kailash_monitor.channels.text import one_line
from kailash_monitor.delivery.bucket import Rate
from kailash_monitor.delivery.outcome import Outcome
from kailash_monitor.delivery.policy import ChannelPolicy
from kailash_monitor.engine.archivist import Archivist
from kailash_monitor.engine.completion import Completion, Settled
from kailash_monitor.engine.core import Core
from kailash_monitor.engine.courier import Courier
from kailash_monitor.engine.daemon import DaemonCalls
from kailash_monitor.engine.explanation import Explanation
from kailash_monitor.engine.exported import exported_metrics
from kailash_monitor.engine.heartbeat import Beat, Heart, look
from kailash_monitor.engine.people import LONGEST, OpenSilence, People
from kailash_monitor.engine.postman import Postman
from kailash_monitor.engine.queries import LocalQueries, Queries
from kailash_monitor.engine.rule_files import RuleFiles
from kailash_monitor.engine.run import Run
from kailash_monitor.engine.sampler import Sampler, interval_of
from kailash_monitor.engine.scheduler import Scheduler
from kailash_monitor.engine.status import (
    ChannelStatus,
    DeadLetter,
    Delivery,
    Health,
    RuleStatus,
    SilenceStatus,
    Untold,
    Waiting,
)
from kailash_monitor.engine.task_group import TaskGroup, unmourned
from kailash_monitor.engine.trial import NOT_RUNNING, Trials, notice_of_test
from kailash_monitor.engine.views import AlertView
from kailash_monitor.engine.wakeup import Bell
from kailash_monitor.engine.watchdog import Watchdog
from kailash_monitor.errors import ChannelError, ConfigurationError, LifecycleError, RuleError
from kailash_monitor.instrument.source import Source
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.model.alert import Alert
from kailash_monitor.model.durations import Duration, format_duration, parse_duration
from kailash_monitor.model.matcher import Matchers, MatchersGiven
from kailash_monitor.rules import AlertRule
from kailash_monitor.rules.export import PER_PROGRAM, to_rule_file
from kailash_monitor.rules.recording import Recording
from kailash_monitor.storage import Store

__all__ = ["AlertManager"]

SHORTEST_STALL: Final = 0.1
"""Seconds: what is shorter may be the machine's doing, and nobody would want to be told of it."""

LOCKED: Final = 0.5
"""Seconds that a question how it is waits for the lock: what holds the event loop up may hold it."""

RELOAD_SECONDS: Final = 60.0
"""Seconds that reading all rule files may take; thousands of rules take some."""

FIRST_SAMPLES: Final = 1.0
"""Seconds that the first evaluation waits for the sources' first numbers."""

_logger = logging.getLogger("kailash_monitor.engine")


def _new_id() -> str:
    return uuid.uuid4().hex


class AlertManager:
    """Judges the metrics of `registry` by rules, each at its own interval, and tells notification channels.

    It works while it runs, in one of three ways:

        async with AlertManager(registry) as manager: ...
        manager.start() … await manager.stop()
        task_group.create_task(manager.run())

    `start`, `stop`, `silence_alert`, `acknowledge_alert` act at once and give back something that can be awaited and need
    not be; where there is a store, awaiting what people say waits until a restart would find it. All methods may be called
    from any thread, but for `start` and `run`, which belong to a running event loop; in a program without one, use
    `kailash_monitor.blocking.AlertManager`.

    `store` keeps alerts, what channels heard of them, messages, silences and the recent history of metrics over a restart:
    the path of a database file, which is made where there is none, or a Store. Without one all that ends with the process.

    `heartbeat`, a Heartbeat, has somebody outside called for as long as all is well, who tells people when the calls stop.

    `stall_after`, such as "1s", has the toolkit's own alert `event_loop_stalled` say that the event loop did not come round
    for so long, and which line of code held it up: from a thread, while it lasts.

    `stop_timeout` is how long a stop waits for messages that are under way; what is left goes out after the next start.
    `queries` evaluates the expressions of rules; by default that is done here, over the registry's own metrics.

    `new_id` and `luck` (a number from 0 to 1) are the sources of message ids and of jitter, to be replaced in tests; `core`
    is what decides, for those who drive it themselves, as the simulator does. What goes wrong while it runs (a rule, a
    channel, a source) is logged and counted, never raised; `failure` keeps what ended it, where something did.
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
        new_id: Callable[[], str] = _new_id,
        luck: Callable[[], float] = random.random,
    ) -> None:
        if not isinstance(registry, MetricsRegistry):
            raise ConfigurationError(
                "AlertManager",
                seen=f"{registry!r} as registry",
                expected="a MetricsRegistry, such as get_metrics_registry()",
            )
        if heartbeat is not None and not hasattr(heartbeat, "call"):
            seen = f"a {type(heartbeat).__name__} as heartbeat"
            raise ConfigurationError("AlertManager", field="heartbeat", seen=seen, expected="a Heartbeat")
        if queries is not None and not hasattr(queries, "vector"):
            seen = f"a {type(queries).__name__} as queries"
            raise ConfigurationError("AlertManager", field="queries", seen=seen, expected="a PrometheusQueries")
        self.metrics_registry: Final = registry
        self.failure: BaseException | None = None
        self._stop_timeout = _seconds("AlertManager", "stop_timeout", stop_timeout)
        self._clock = registry.clock
        self._sampler = Sampler(registry)
        self._bell = Bell()
        self.core: Final = Core(
            registry,
            new_id=new_id,
            luck=luck,
            ring=self._bell.ring,
            troubled=self._sampler.troubled,
        )
        self._lock = self.core.lock
        self.local_queries: Final = LocalQueries(registry, self._sampler.troubled, self.core.recorded)
        self.queries: Final = self.local_queries if queries is None else queries
        self._scheduler = Scheduler(self._clock, self.core, self._bell, self.local_queries, self.queries)
        self._archivist = Archivist(self._clock, self.core, _store(store))
        courier = Courier(self._clock, self.core)
        self._postman = Postman(self._clock, self.core, self._archivist, courier)
        self._watchdog: Watchdog | None = None
        if stall_after is not None:
            after = _stall_after(stall_after)
            self._watchdog = Watchdog(self._clock, self.core, self._archivist, courier, self._postman, after)
        self._people = People(self._clock, self.core, new_id)
        self._trials = Trials()
        self._new_id = new_id
        self.heartbeat: Final = heartbeat
        self._heart = None if heartbeat is None else Heart(registry, heartbeat, self._ailment)
        self.files: Final = RuleFiles(self.core, record=queries is None)
        self._run: Run | None = None

    def __repr__(self) -> str:
        state = "running" if self.running else "not running"
        return f"<AlertManager {state}, {len(self.rules)} rules, {len(self.get_active_alerts())} alerts active>"

    # -- what it judges and whom it tells ------------------------------------------------------------------------------

    @property
    def rules(self) -> dict[str, AlertRule]:
        """The rules by name."""
        with self._lock:
            return dict(self.core.rulebook.rules)

    @property
    def notification_channels(self) -> list[NotificationChannel]:
        """The channels, in order of adding."""
        with self._lock:
            return list(self._postman.channels.values())

    def channels_by_name(self) -> dict[str, NotificationChannel]:
        """Give the channels by their names within this manager."""
        with self._lock:
            return self._postman.channels

    def add_rule(self, rule: AlertRule) -> None:
        """Take `rule` on; where the manager runs, it is evaluated at once.

        A RuleError where the name is taken, an alert of it would share its id with another rule's, or its condition does
        not fit the metric, or it is no AlertRule.
        """
        self.core.add_rule(_rule(rule, "add_rule"))

    def replace_rule(self, rule: AlertRule) -> None:
        """Put `rule` in the place of the one of its name, or take it on; where the manager runs, it is evaluated at once.

        Its incidents go on, silenced and acknowledged as they are, and whoever was told of one is told its end. Only those
        that the new rule cannot have, being of another collector or of other label groups, end at once. A RuleError as in
        `add_rule`.
        """
        self.core.replace_rule(_rule(rule, "replace_rule"))

    def remove_rule(self, name: str) -> None:
        """Take the rule called `name` away. Its alerts end, and whoever was told of them is told so."""
        self.core.remove_rule(name)

    def load_rules(self, *patterns: str | os.PathLike[str], interval: Duration = "10s") -> list[str]:
        """Have the rules of Prometheus' rule files judged: paths, which may have `*`, `?` and `**`.

        A group that does not say how often is evaluated each `interval`. Gives the names of the rules that are new; where
        several in the files have one name, their labels are put behind it. InvalidFile lists all that is wrong, a RuleError
        says that a rule of that name is there already; nothing is changed then.
        """
        seconds = _seconds("load_rules", "interval", interval)
        return self.files.load([os.fspath(one) for one in patterns], seconds)

    async def reload_rules(self) -> None:
        """Read all rule files again, in a thread, and have judged what they say now.

        What has not changed goes on as it was, incidents included; those of rules that are gone end. Raises as `load_rules`
        does, and nothing is changed then.
        """
        self.files.apply(await DaemonCalls(1).call(self.files.read, seconds=RELOAD_SECONDS))

    def export_rules(self, *, per: Sequence[str] = PER_PROGRAM) -> str:
        """Give all rules, conditions included, as the text of a rule file for a Prometheus that scrapes the same metrics.

        Of many programs each is judged by itself, as they are told apart by the labels `per`; without these all together.
        Comments in it say what a Prometheus cannot do. An InvalidFile lists the rules that cannot be said.
        """
        own = [rule for rule in self.rules.values() if rule.place is None]
        known = exported_metrics(self.metrics_registry.snapshot(ask=False))
        return to_rule_file(own, known, groups=self.files.loaded.groups, per=per)

    @property
    def rule_files(self) -> tuple[str, ...]:
        """The patterns of the rule files that were loaded."""
        return self.files.patterns

    @property
    def recordings(self) -> Mapping[Recording, str | None]:
        """The recording rules that were loaded, each with what is wrong with it, or None."""
        return self.core.recordings

    def enable_rule(self, name: str) -> None:
        """Have the rule called `name` judged again. A RuleError where there is none."""
        self._set_enabled(name, True)

    def disable_rule(self, name: str) -> None:
        """Have the rule called `name` judged no more. Its alerts end, as if it were removed."""
        self._set_enabled(name, False)

    def evaluate_rule(self, name: str) -> bool:
        """Have the rule called `name` judged at once, beside its usual times; whether there is one that is enabled.

        Where the manager does not run, it is judged when it starts, as every rule is.
        """
        return self.core.evaluate_rule(name)

    def _set_enabled(self, name: str, enabled: bool) -> None:
        with self._lock:
            rule = self.core.rulebook.rules.get(name)
            if rule is None:
                known = ", ".join(map(repr, self.core.rulebook.rules)) or "none"
                raise RuleError(f"rule {name!r}", field="name", seen="no rule of that name", expected=f"there are: {known}")
            if rule.enabled is not enabled:
                self.core.replace_rule(rule.enabled_as(enabled))

    def add_notification_channel(
        self,
        channel: NotificationChannel | Sends,
        *,
        rate: tuple[float, int] | None = None,
        fallback: str | None = None,
        fallback_after: Duration = "5m",
    ) -> None:
        """Take `channel` on: an object with `send_notification`, or a function of an alert and its context, sync or async.

        One without a name is called after its class, from the second of a kind with a number; a function after itself.

        `rate` is how many messages a second it is sent in the long run, and how many at once after a pause (its class says
        how many: 20 and 100, chat services 1 and 5); what comes faster is told in digests. `fallback` is the name of the
        channel that is told in its place: at once where it refuses a message for good, and after it has failed for
        `fallback_after`. The toolkit's own alert `channel_failing` then says so to the others.

        A ChannelError where the name it gives itself is taken, or it is no channel.
        """
        taken_on = _channel(channel)
        name = channel_name(taken_on)
        policy = _policy(name, taken_on, rate, fallback, fallback_after)
        with self._lock:
            taken = self._postman.channels
            if name in taken:
                if getattr(taken_on, "name", None) is not None:
                    raise ChannelError(
                        f"channel {name!r}", field="name", seen="a second of that name", expected="give it another name"
                    )
                name = next(f"{name}-{n}" for n in range(2, len(taken) + 3) if f"{name}-{n}" not in taken)
            self._postman.add(name, taken_on)
            self.core.dispatcher.add_channel(name, policy)

    async def try_channel(self, name: str) -> Outcome | None:
        """Send a test through the channel called `name` now, and give what became of it; None where there is none.

        It goes past the outbox, and takes as long as any message may: ten seconds, unless the channel asks for more. A few
        are sent at a time; what comes on top, and where the manager does not run, is a Retry that says so.
        """
        channel, run = self.channels_by_name().get(name), self._run
        if channel is None:
            return None
        if run is None or run.over:
            return NOT_RUNNING
        sender = f"a program that runs on {socket.gethostname()}"
        notice = notice_of_test(name, sender, notice_id=self._new_id(), now=self._clock.wall())
        if run.loop is asyncio.get_running_loop():
            return await self._trials.make(channel, notice)
        return await self._trials.make_on(run.loop, channel, notice)

    def set_routes(self, root: Route) -> None:
        """Tell along these routes from now on; without any, every channel is told of everything.

        Who was told of an alert and is not reached any more is told that it is over, for them. The channels that are named
        must be there: a ChannelError says which is not.
        """
        if not isinstance(root, Route):
            raise ConfigurationError("AlertManager.set_routes", seen=f"{root!r} as routes", expected="a Route")
        with self._lock:
            missing = sorted(route_channels(root) - self._postman.channels.keys())
            if missing:
                known = ", ".join(map(repr, self._postman.channels)) or "none yet: add them first"
                raise ChannelError(
                    "routes", field="channels", seen=f"the unknown channel {missing[0]!r}", expected=f"there are: {known}"
                )
            self.core.dispatcher.set_routes(root)

    def set_inhibitions(self, inhibitions: Iterable[Inhibition]) -> None:
        """Have these say from now on which alerts need not be told while others fire."""
        given = tuple(inhibitions)
        for one in given:
            if not isinstance(one, Inhibition):
                raise ConfigurationError("AlertManager.set_inhibitions", seen=repr(one), expected="Inhibition objects")
        with self._lock:
            self.core.dispatcher.set_inhibitions(given)

    def add_source(self, source: Source) -> None:
        """Have `source` sampled every `source.every` seconds while the manager runs; its collector is registered.

        A ConfigurationError where `every` is no number above zero, or the collector cannot be registered.
        """
        every = interval_of(source)
        self.metrics_registry.register_collector(source.name, source.collector)
        self._sampler.add(source, every)

    # -- running -------------------------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        run = self._run
        return run is not None and not run.over

    def start(self) -> Completion[None]:
        """Begin to work on the running event loop; awaiting the result waits until it does. Nothing where it runs already.

        A LifecycleError where no event loop runs, and for whoever awaits, where it could not start; `failure` keeps why.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise LifecycleError(
                "AlertManager.start() needs a running event loop: call it inside a coroutine, or use "
                "kailash_monitor.blocking.AlertManager in a program without one"
            ) from None
        with self._lock:
            run = self._run
            if run is None or run.over or run.stopping:
                run = self._run = Run(loop, after=run)
                task = unmourned(loop.create_task(self._supervise(run), name="kailash-monitor"))
                run.keep(task)
        return Completion(run.wait_up)

    def stop(self, *, drain: Duration | None = None) -> Completion[None]:
        """Have it end: no more is judged, messages under way get `drain`, or else `stop_timeout`.

        Awaiting the result waits for the end.

        What is not delivered stays and goes out after the next start. Never raises, also where it does not run.
        """
        run = self._run
        if run is None:
            return Completion(_nothing)
        if drain is not None:
            run.drain = _seconds("AlertManager.stop", "drain", drain)
        run.stop()
        return Completion(run.wait_ended)

    async def run(self) -> None:
        """Work until `stop` is called or this is cancelled; a cancellation ends it at once, without waiting for messages.

        A LifecycleError where it runs already.
        """
        with self._lock:
            if self.running:
                raise LifecycleError("AlertManager.run(): it runs already; call it once, or use start()")
            run = self._run = Run(asyncio.get_running_loop())
        await self._supervise(run)

    async def __aenter__(self) -> Self:
        begun = self.start()
        try:
            await begun
        except BaseException:  # cancelled half-way, or it could not start: nothing is left running
            self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _supervise(self, run: Run) -> None:
        """Run the loops; what ends them other than a stop is our bug, logged, kept, and not the host program's to handle."""
        try:
            await run.wait_for_the_one_before()
            self.failure = None
            await self._serve(run)
        except Exception as error:
            self.failure = error
            _logger.exception("the alert manager has failed and does not judge any more")
            run.fail(error)
        finally:
            run.end()

    async def _serve(self, run: Run) -> None:
        if self.metrics_registry.observer is None:
            self.metrics_registry.observer = _log_report
        if not await self._open(run):
            return
        try:
            await self._work(run)
        finally:
            if self._watchdog is not None:
                await self._watchdog.end()
            await self._archivist.close()

    async def _open(self, run: Run) -> bool:
        """Open the store; whether that was done before a stop, which does not wait for a disk that hangs."""
        failed: list[Exception] = []

        async def open_it() -> None:
            try:
                await self._archivist.open()
            except Exception as error:  # raised below, and not in a group
                failed.append(error)

        async with TaskGroup() as tasks:
            opening, stopping = tasks.create_task(open_it()), tasks.create_task(run.stop_now.wait())
            await asyncio.wait([opening, stopping], return_when=asyncio.FIRST_COMPLETED)
            opening.cancel()
            stopping.cancel()
        if failed:
            raise failed[0]
        return not opening.cancelled()

    async def _work(self, run: Run) -> None:
        self.core.begin()
        async with TaskGroup() as tasks:
            writing = tasks.create_task(self._archivist.run())
            loops = [tasks.create_task(self._sampler.run())]
            await self._sampler.first_samples(FIRST_SAMPLES)
            loops.append(tasks.create_task(self._scheduler.run()))
            if self._heart is not None:
                loops.append(tasks.create_task(self._heart.run()))
            if self._watchdog is not None:
                loops.append(tasks.create_task(self._watchdog.run()))
            postman = tasks.create_task(self._postman.run())
            run.up.set_result(None)
            await run.stop_now.wait()
            for loop in loops:
                loop.cancel()
            await self._postman.drain(self._stop_timeout if run.drain is None else run.drain)
            postman.cancel()
            await asyncio.wait([postman])
            writing.cancel()

    async def _kept(self) -> None:
        """Wait until all that was done by now is in the store, on whichever loop; at once where there is none."""
        run = self._run
        if run is None or run.over:
            return
        with suppress(LifecycleError):  # where it cannot start, nothing is kept, and somebody else is told
            await run.wait_up()
        if run.loop is asyncio.get_running_loop():
            await self._archivist.kept()
        else:
            kept = asyncio.run_coroutine_threadsafe(self._archivist.kept(), run.loop)
            await asyncio.wait(map(asyncio.wrap_future, (kept, run.ended)), return_when=asyncio.FIRST_COMPLETED)

    def _ailment(self) -> str | None:
        return look(self.core, self._postman.channels, store_fails=self._archivist.failing)

    # -- what there is to see ------------------------------------------------------------------------------------------

    @property
    def alerts(self) -> dict[str, Alert]:
        """All alerts by id: pending, firing, and those resolved in the last 15 minutes."""
        return {alert.id: alert for alert in self.get_all_alerts()}

    def get_active_alerts(self) -> list[Alert]:
        """Give the alerts that fire, the silenced and the acknowledged ones included."""
        with self._lock:
            return self._people.show([case for case in self.core.book if case.incident.active])

    def get_all_alerts(self) -> list[Alert]:
        """Give all alerts: pending, firing, and those resolved in the last 15 minutes."""
        with self._lock:
            return self._people.show(list(self.core.book))

    def alert_slices(self) -> Iterator[list[AlertView]]:
        """Give all alerts as views, some at a time, each as it is then: others may come in between."""
        return self._people.views()

    def rule_status(self) -> list[RuleStatus]:
        """Give every rule with what came of its last evaluation."""
        with self._lock:
            offset = self._people.offset.read()
            incidents = [case.incident for case in self.core.book]
            return self.core.rulebook.status(incidents, self.core.agenda.turns, offset, running=self.running)

    def explain(self, alert_id: str) -> Explanation | None:
        """Say how an alert stands, what keeps it from being told, and why each channel was told or not; None: not known.

        `print(manager.explain(id))` shows it in words.
        """
        return self._people.explain(alert_id, self.deliveries())

    def audit(self) -> list[Entry]:
        """Give what happened to alerts and why channels were told of them or not: the last 10,000 entries, oldest first.

        Times are on the registry's timeline.
        """
        with self._lock:
            return list(self.core.dispatcher.audit)

    def deliveries(self) -> list[Delivery]:
        """Give the last 200 attempts to tell a channel, oldest first."""
        with self._lock:
            return list(self._postman.deliveries)

    def outbox(self) -> list[Waiting]:
        """Give what waits to be told, or is being told, by channel and group."""
        with self._lock:  # as it was at one moment
            return [waiting for some in self._people.waiting() for waiting in some]

    def outbox_slices(self) -> Iterator[list[Waiting]]:
        """Give what waits to be told, some at a time: others may come in between."""
        return self._people.waiting()

    def dead_letters(self) -> list[DeadLetter]:
        """Give the last 1,000 messages that could not be delivered for good, oldest first."""
        with self._lock:
            return self._people.dead_letters()

    def resend(self, letter_id: str) -> Settled[bool]:
        """Have the channel of a dead letter told what is true now of the alerts it told of; the letter is gone then.

        The result is whether there was such a letter.
        """
        return Settled(self._people.resend(letter_id), self._kept)

    def discard(self, letter_id: str) -> Settled[bool]:
        """Take a dead letter away; the result is whether there was one."""
        return Settled(self._people.discard(letter_id), self._kept)

    def channel_status(self) -> list[ChannelStatus]:
        """Give every channel with how it is doing."""
        with self._lock:
            return self._people.channels()

    def untold(self) -> list[Untold]:
        """Give what channels do not know yet: their messages wait, are under way or failed and will be tried again."""
        with self._lock:
            return self.core.untold()

    def health(self) -> Health:
        """Say whether it does its work. Answers also while that hangs."""
        running, ready, overdue = self.running, False, 0.0
        silent = self._scheduler.silent if running else None
        if silent is not None and self._lock.acquire(timeout=LOCKED):
            try:
                ready = self.core.rulebook.all_judged
                overdue = max(0.0, self._clock.now() - self.core.agenda.due)
            finally:
                self._lock.release()
        return Health(
            running=running,
            ready=ready,
            overdue=overdue,
            silent=silent or 0.0,
            store=self._archivist.trouble,
            failure=None if self.failure is None else f"{type(self.failure).__name__}: {self.failure}",
        )

    # -- what people do about alerts -----------------------------------------------------------------------------------

    def silence_alert(
        self, alert_id: str, duration: Duration | None = None, *, author: str = "", reason: str = ""
    ) -> Settled[str]:
        """Tell nobody that this alert fires, for `duration`; where left out, until its present incident is over.

        For an alert that does not fire: until its next incident is over, which must begin within a day. Whoever was told
        that it fires is told when it is over all the same. The result is the silence's id. A ConfigurationError where the
        duration is not above zero.
        """
        return Settled(self._people.silence_alert(alert_id, duration, author, reason).id, self._kept)

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

            async with manager.silence(service="checkout", reason="deploy"):
                await deploy()

        `matchers` say more than equality: `'severity=~"info|warning"'`. Beside an alert's own labels there are `alertname`,
        `collector` and `severity`. What comes new while it holds is silenced too. A ConfigurationError where it would match
        everything.
        """
        return self._people.silence(_matchers(matchers, labels), duration, starts_in, author, reason)

    def preview_silence(self, matchers: MatchersGiven = None, **labels: str) -> list[Alert]:
        """Give the alerts, pending and firing, that such a silence would cover now."""
        return self._people.matching(_matchers(matchers, labels))

    def end_silence(self, silence_id: str) -> Settled[bool]:
        """End a silence now; the result is whether it was there and not over. Who should know what fires is told."""
        return Settled(self._people.end_silence(silence_id), self._kept)

    def silences(self) -> list[SilenceStatus]:
        """Give the silences, the oldest first, the last thousand that are over included."""
        return self._people.silences()

    def acknowledge_alert(self, alert_id: str, *, author: str = "") -> Settled[bool]:
        """Say that somebody is on it: no repeats and no further rungs for this incident, unless it becomes graver.

        The result is whether the alert is there.
        """
        return Settled(self._people.acknowledge(alert_id, author), self._kept)


def _rule(rule: object, method: str) -> AlertRule:
    if not isinstance(rule, AlertRule):
        raise RuleError(
            f"AlertManager.{method}", seen=f"{rule!r} as a rule", expected="an AlertRule; AlertRule.from_mapping makes one"
        )
    return rule


def _matchers(given: MatchersGiven, labels: dict[str, str]) -> Matchers:
    matchers = Matchers.of((*Matchers.of(given, where="silence"), *Matchers.of(labels, where="silence")), where="silence")
    if matchers.matches_everything:
        seen = f"the matchers {str(matchers)!r}" if matchers else "no label and no matcher"
        expected = "one at least that does not match the empty string, such as service='checkout'"
        raise ConfigurationError("silence", field="matchers", seen=seen, expected=expected)
    return matchers


async def _nothing() -> None:
    """Wait for nothing."""


def _channel(given: "NotificationChannel | Sends") -> NotificationChannel:
    if isinstance(given, NotificationChannel) or hasattr(given, "send_notification") or inspect.isclass(given):
        return given  # type: ignore[return-value]  # whether it is one is checked by its name
    return FunctionChannel(given) if callable(given) else given


def _seconds(where: str, field: str, value: Duration) -> float:
    try:
        seconds = parse_duration(value)
    except ValueError as error:
        raise ConfigurationError(where, field=field, seen=f"{field} {error}", expected="a duration") from None
    if seconds < 0:
        raise ConfigurationError(where, field=field, seen=f"{field} = {value!r}", expected="a duration not negative")
    return seconds


def _stall_after(value: Duration) -> float:
    seconds = _seconds("AlertManager", "stall_after", value)
    if seconds < SHORTEST_STALL:
        expected = f"{format_duration(SHORTEST_STALL)} or more, such as '1s'"
        raise ConfigurationError("AlertManager", field="stall_after", seen=f"stall_after = {value!r}", expected=expected)
    return seconds


def _store(given: Store | str | os.PathLike[str] | None) -> Store | None:
    if isinstance(given, str | os.PathLike):
        from kailash_monitor.storage import SqliteStore

        return SqliteStore(given)
    return given


def _policy(
    name: str, channel: object, rate: tuple[float, int] | None, fallback: str | None, fallback_after: Duration
) -> ChannelPolicy:
    where = f"channel {name!r}"
    given = getattr(channel, "rate", NotificationChannel.rate) if rate is None else rate
    try:
        per_second, burst = given
        policy_rate = Rate(per_second, burst)
    except (TypeError, ValueError):
        raise ChannelError(
            where, field="rate", seen=f"rate = {given!r}", expected="messages a second and at once, such as (1, 5)"
        ) from None
    if fallback is not None and (not isinstance(fallback, str) or fallback == name):
        raise ChannelError(where, field="fallback", seen=f"fallback = {fallback!r}", expected="the name of another channel")
    resend = getattr(channel, "resend_every", None)
    after = _seconds(where, "fallback_after", fallback_after)
    return ChannelPolicy(rate=policy_rate, fallback=fallback, fallback_after=after, resend_every=resend)


def _log_report(collector: str, text: str) -> None:
    _logger.warning("collector %r: %s", collector, one_line(text))
