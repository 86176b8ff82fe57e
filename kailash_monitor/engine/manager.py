"""The alert manager: rules in, alerts out."""

import asyncio
import logging
import random
import threading
import uuid
from types import TracebackType
from typing import Final, Self

from kailash_monitor.alerting.incident import Incident
from kailash_monitor.channels import NotificationChannel, channel_name
from kailash_monitor.channels.text import one_line
from kailash_monitor.engine.book import AlertBook, alert_of
from kailash_monitor.engine.completion import Completion
from kailash_monitor.engine.evaluator import evaluate
from kailash_monitor.engine.postman import Postman
from kailash_monitor.engine.rulebook import RuleBook
from kailash_monitor.engine.run import Run
from kailash_monitor.engine.sampler import Sampler, interval_of
from kailash_monitor.engine.scheduler import Scheduler
from kailash_monitor.engine.status import Delivery, Health, RuleStatus, Untold
from kailash_monitor.engine.task_group import TaskGroup, unmourned
from kailash_monitor.errors import ChannelError, ConfigurationError, LifecycleError, RuleError
from kailash_monitor.instrument.source import Source
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.model.alert import Alert
from kailash_monitor.model.durations import Duration, parse_duration
from kailash_monitor.rules import AlertRule

__all__ = ["AlertManager"]

FIRST_SAMPLES: Final = 1.0
"""Seconds that the first evaluation waits for the sources' first numbers."""

HOUSEKEEPING: Final = 60.0
"""Seconds between two rounds of forgetting what is over."""

_logger = logging.getLogger("kailash_monitor.engine")


class AlertManager:
    """Judges the metrics of `registry` by rules, each at its own interval, and tells notification channels.

    It works while it runs, in one of three ways:

        async with AlertManager(registry) as manager: ...
        manager.start() … await manager.stop()
        task_group.create_task(manager.run())

    `start`, `stop`, `silence_alert`, `acknowledge_alert` act at once and give back something that can be awaited and need
    not be. All methods may be called from any thread, but for `start` and `run`, which belong to a running event loop; in a
    program without one, use `kailash_monitor.blocking.AlertManager`.

    `stop_timeout` is how long a stop waits for messages that are under way. What goes wrong while it runs (a rule, a
    channel, a source) is logged and counted, never raised; `failure` keeps what ended it, where something did.
    """

    def __init__(self, registry: MetricsRegistry, *, stop_timeout: Duration = "5s") -> None:
        if not isinstance(registry, MetricsRegistry):
            raise ConfigurationError(
                "AlertManager",
                seen=f"{registry!r} as registry",
                expected="a MetricsRegistry, such as get_metrics_registry()",
            )
        self.metrics_registry: Final = registry
        self.failure: BaseException | None = None
        self._stop_timeout = _stop_timeout(stop_timeout)
        self._clock = registry.clock
        self._lock = threading.RLock()  # guards the rulebook, the book, the postman's rounds and the scheduler's turns
        self._rulebook = RuleBook()
        self._sampler = Sampler(registry)
        self._book = AlertBook()
        self._scheduler = Scheduler(self._clock, self._lock, self._judge, self._late)
        self._postman = Postman(self._clock, self._lock, self._book, new_id=lambda: uuid.uuid4().hex, luck=random.random)
        self._run: Run | None = None
        self._tidied = self._clock.now()

    def __repr__(self) -> str:
        state = "running" if self.running else "not running"
        return f"<AlertManager {state}, {len(self.rules)} rules, {len(self.get_active_alerts())} alerts active>"

    # -- what it judges and whom it tells ------------------------------------------------------------------------------

    @property
    def rules(self) -> dict[str, AlertRule]:
        """The rules by name."""
        with self._lock:
            return dict(self._rulebook.rules)

    @property
    def notification_channels(self) -> list[NotificationChannel]:
        """The channels, in order of adding."""
        with self._lock:
            return list(self._postman.channels.values())

    def add_rule(self, rule: AlertRule) -> None:
        """Take `rule` on; where the manager runs, it is evaluated at once.

        A RuleError where the name is taken, an alert of it would share its id with another rule's, or its condition does
        not fit the metric, or it is no AlertRule.
        """
        if not isinstance(rule, AlertRule):
            raise RuleError(
                "AlertManager.add_rule",
                seen=f"{rule!r} as a rule",
                expected="an AlertRule; AlertRule.from_mapping makes one",
            )
        with self._lock:
            self._rulebook.add(rule, self.metrics_registry.get_all_collectors())
            if rule.enabled:
                self._scheduler.add(rule.name, rule.evaluation_interval)

    def remove_rule(self, name: str) -> None:
        """Take the rule called `name` away. Its alerts end, and whoever was told of them is told so."""
        with self._lock:
            if not self._rulebook.remove(name):
                return
            self._scheduler.remove(name)
            now = self._clock.now()
            self._postman.offer(self._book.remove_rule(name, now), now)

    def add_notification_channel(self, channel: NotificationChannel) -> None:
        """Take `channel` on. One without a name is called after its class, from the second of a kind with a number.

        A ChannelError where the name it gives itself is taken, or it is no channel.
        """
        name = channel_name(channel)
        with self._lock:
            taken = self._postman.channels
            if name in taken:
                if getattr(channel, "name", None) is not None:
                    raise ChannelError(
                        f"channel {name!r}", field="name", seen="a second of that name", expected="give it another name"
                    )
                name = next(f"{name}-{n}" for n in range(2, len(taken) + 3) if f"{name}-{n}" not in taken)
            self._postman.add(name, channel)

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

    def stop(self) -> Completion[None]:
        """Have it end: no more is judged, messages under way get `stop_timeout`. Awaiting the result waits for the end.

        What is not delivered stays and goes out after the next start. Never raises, also where it does not run.
        """
        run = self._run
        if run is None:
            return Completion.of(None)
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
        with self._lock:
            self._book.freeze(self._clock.now())
            self._rulebook.forget_judgements()
        async with TaskGroup() as tasks:
            loops = [tasks.create_task(self._sampler.run())]
            await self._sampler.first_samples(FIRST_SAMPLES)
            loops.append(tasks.create_task(self._scheduler.run()))
            postman = tasks.create_task(self._postman.run())
            run.up.set_result(None)
            await run.stop_now.wait()
            for loop in loops:
                loop.cancel()
            await self._postman.drain(self._stop_timeout)
            postman.cancel()

    def _judge(self, name: str, now: float) -> None:
        """One tick of one rule: read, decide, have people told."""
        rule = self._rulebook.rules.get(name)
        if rule is None:
            return
        begun, own = self._clock.now(), self.metrics_registry.self_metrics
        evaluation = evaluate(rule, self.metrics_registry.get_all_collectors(), now)
        own.evaluations.observe((self._clock.now() - begun) * 1000.0)
        if evaluation.failed:
            own.failed.inc()
        with self._lock:
            if self._rulebook.rules.get(name) is not rule:
                return  # taken away meanwhile
            heard_of, wrong = self._book.judge(rule, evaluation, now)
            self._postman.offer(heard_of, now)
            self._rulebook.note(rule, evaluation, wrong, now)
            if now - self._tidied >= HOUSEKEEPING:
                self._tidied = now
                self._book.forget(now, self._postman.alerts_under_way())

    def _late(self, missed: int) -> None:
        self.metrics_registry.self_metrics.late.inc(by=missed)

    # -- what there is to see ------------------------------------------------------------------------------------------

    @property
    def alerts(self) -> dict[str, Alert]:
        """All alerts by id: pending, firing, and those resolved in the last 15 minutes."""
        return {alert.id: alert for alert in self.get_all_alerts()}

    def get_active_alerts(self) -> list[Alert]:
        """Give the alerts that fire, the silenced and the acknowledged ones included."""
        with self._lock:
            return self._show([incident for incident in self._book if incident.active])

    def get_all_alerts(self) -> list[Alert]:
        """Give all alerts: pending, firing, and those resolved in the last 15 minutes."""
        with self._lock:
            return self._show(list(self._book))

    def _show(self, incidents: list[Incident]) -> list[Alert]:
        now = self._clock.now()
        offset = self._clock.wall() - now
        return [alert_of(incident, self._book.status(incident, now), offset) for incident in incidents]

    def rule_status(self) -> list[RuleStatus]:
        """Give every rule with what came of its last evaluation."""
        with self._lock:
            offset = self._clock.wall() - self._clock.now()
            return self._rulebook.status(self._book, self._scheduler.turns, offset, running=self.running)

    def deliveries(self) -> list[Delivery]:
        """Give the last 200 attempts to tell a channel, oldest first."""
        with self._lock:
            return list(self._postman.deliveries)

    def untold(self) -> list[Untold]:
        """Give what channels do not know yet: their messages wait, are under way or failed and will be tried again."""
        with self._lock:
            return self._postman.untold()

    def health(self) -> Health:
        """Say whether it does its work."""
        with self._lock:
            return Health(
                running=self.running,
                ready=self.running and self._rulebook.all_judged,
                overdue=self._scheduler.overdue(self._clock.now()) if self.running else 0.0,
                failure=None if self.failure is None else f"{type(self.failure).__name__}: {self.failure}",
            )

    # -- what people do about alerts -----------------------------------------------------------------------------------

    def silence_alert(
        self, alert_id: str, duration: Duration | None = None, *, author: str = "", reason: str = ""
    ) -> Completion[None]:
        """Tell nobody that this alert fires, for `duration`; where left out, until its present incident is over.

        For an alert that does not fire: until its next incident is over, which must begin within a day. Whoever was told
        that it fires is told when it is over all the same. A ConfigurationError where the duration is not above zero.
        """
        seconds = None if duration is None else parse_duration(duration)
        if seconds is not None and seconds <= 0:
            raise ConfigurationError("silence_alert", seen=f"the duration {duration!r}", expected="a duration above zero")
        with self._lock:
            self._book.silence(alert_id, seconds, self._clock.now(), author=author, reason=reason)
        return Completion.of(None)

    def acknowledge_alert(self, alert_id: str, *, author: str = "") -> Completion[bool]:
        """Say that somebody is on it: no repeats for this incident. The result is whether the alert is there."""
        with self._lock:
            return Completion.of(self._book.acknowledge(alert_id, author=author))


def _stop_timeout(value: Duration) -> float:
    try:
        seconds = parse_duration(value)
    except ValueError as error:
        raise ConfigurationError("AlertManager", seen=f"stop_timeout {error}", expected="a duration") from None
    if seconds < 0:
        raise ConfigurationError("AlertManager", seen=f"stop_timeout = {value!r}", expected="a duration not negative")
    return seconds


def _log_report(collector: str, text: str) -> None:
    _logger.warning("collector %r: %s", collector, one_line(text))
