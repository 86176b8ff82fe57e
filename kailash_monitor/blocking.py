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
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future
from functools import partial
from types import TracebackType
from typing import Final, Self, TypeVar

from anyio.from_thread import BlockingPortal

from kailash_monitor.alerting.audit import Entry
from kailash_monitor.alerting.inhibition import Inhibition
from kailash_monitor.alerting.route import Route
from kailash_monitor.channels import NotificationChannel
from kailash_monitor.channels.function import Sends
from kailash_monitor.engine import AlertManager as AsyncAlertManager
from kailash_monitor.engine import Delivery, Health, RuleStatus, Untold
from kailash_monitor.engine.explanation import Explanation
from kailash_monitor.engine.heartbeat import Beat
from kailash_monitor.engine.people import LONGEST, OpenSilence
from kailash_monitor.engine.status import ChannelStatus, DeadLetter, SilenceStatus, Waiting
from kailash_monitor.instrument.source import Source
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.model.alert import Alert
from kailash_monitor.model.durations import Duration, parse_duration
from kailash_monitor.model.matcher import MatchersGiven
from kailash_monitor.rules import AlertRule
from kailash_monitor.storage import Store

__all__ = ["AlertManager"]

T = TypeVar("T")


class AlertManager:
    """The alert manager, synchronous: see `kailash_monitor.alerts.AlertManager` for what the methods mean.

    All methods may be called from any thread. After a fork, the child's manager does not run until it is started there.
    """

    def __init__(
        self,
        registry: MetricsRegistry,
        *,
        store: Store | str | os.PathLike[str] | None = None,
        heartbeat: Beat | None = None,
        stop_timeout: Duration = "3s",
    ) -> None:
        self._manager: Final = AsyncAlertManager(registry, store=store, heartbeat=heartbeat, stop_timeout=stop_timeout)
        self._stop_timeout: Final = parse_duration(stop_timeout)
        self._starting = threading.Lock()
        self._thread: _LoopThread | None = None

    def __repr__(self) -> str:
        return f"<blocking {repr(self._manager)[1:]}"

    def start(self) -> None:
        """Begin to work; returns once it does. Nothing where it runs already."""
        with self._starting:
            if self.running:
                return
            self._thread = _LoopThread()
            self._thread.call(self._manager.start)

    def stop(self, *, drain: Duration | None = None) -> None:
        """End; returns within `drain`, or else `stop_timeout`, and a second. Nothing where it does not run; never raises."""
        seconds = self._stop_timeout if drain is None else parse_duration(drain)
        with self._starting:
            thread, self._thread = self._thread, None
            if thread is not None and thread.alive:
                thread.close(partial(self._manager.stop, drain=drain), seconds + 1.0)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._thread is not None and self._thread.alive and self._manager.running

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

    def enable_rule(self, name: str) -> None:
        """Have the rule called `name` judged again."""
        self._manager.enable_rule(name)

    def disable_rule(self, name: str) -> None:
        """Have the rule called `name` judged no more."""
        self._manager.disable_rule(name)

    def add_notification_channel(
        self,
        channel: NotificationChannel | Sends,
        *,
        rate: tuple[float, int] | None = None,
        fallback: str | None = None,
        fallback_after: Duration = "5m",
    ) -> None:
        """Take `channel` on."""
        self._manager.add_notification_channel(channel, rate=rate, fallback=fallback, fallback_after=fallback_after)

    def set_routes(self, root: Route) -> None:
        """Tell along these routes from now on."""
        self._manager.set_routes(root)

    def set_inhibitions(self, inhibitions: Iterable[Inhibition]) -> None:
        """Have these say from now on which alerts need not be told while others fire."""
        self._manager.set_inhibitions(inhibitions)

    def add_source(self, source: Source) -> None:
        """Have `source` sampled while the manager runs."""
        self._manager.add_source(source)

    def get_active_alerts(self) -> list[Alert]:
        """Give the alerts that fire."""
        return self._manager.get_active_alerts()

    def get_all_alerts(self) -> list[Alert]:
        """Give all alerts."""
        return self._manager.get_all_alerts()

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
    """A daemon thread with an event loop and a portal into it.

    A daemon, since an ordinary thread would keep a program that forgets to stop from ever ending.
    """

    def __init__(self) -> None:
        self._process = os.getpid()
        ready: Future[BlockingPortal] = Future()
        self._thread = threading.Thread(target=_run_portal, args=(ready,), name="kailash-monitor", daemon=True)
        self._thread.start()
        self._portal = ready.result()

    @property
    def alive(self) -> bool:
        """Whether it is there, in this process."""
        return self._process == os.getpid() and self._thread.is_alive()

    def call(self, function: Callable[[], Awaitable[T]]) -> T:
        """Call `function` on the loop and wait for what it gives."""
        return self._portal.call(_awaited, function)

    def close(self, last: Callable[[], Awaitable[None]], seconds: float) -> None:
        """Call `last`, then end the loop and the thread; wait for `seconds` at most."""
        self._portal.start_task_soon(_call_and_stop, last, self._portal)
        self._thread.join(seconds)


def _run_portal(ready: Future[BlockingPortal]) -> None:
    async def main() -> None:
        async with BlockingPortal() as portal:
            ready.set_result(portal)
            await portal.sleep_until_stopped()

    asyncio.run(main())


async def _awaited(function: Callable[[], Awaitable[T]]) -> T:
    return await function()


async def _call_and_stop(last: Callable[[], Awaitable[None]], portal: BlockingPortal) -> None:
    await last()
    await portal.stop()
