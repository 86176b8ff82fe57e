"""The composition root: settings into a manager that is ready to start."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kailash_monitor import storage
from kailash_monitor.channels import LogNotificationChannel, from_mapping
from kailash_monitor.config.loader import Contents, Place, Problems, load_contents
from kailash_monitor.config.reach import check_reach, instead
from kailash_monitor.config.routing import channels_in_sight, set_routing
from kailash_monitor.config.schema import (
    BurnRateSettings,
    CollectorsSettings,
    HeartbeatSettings,
    QuerySettings,
    RuleSettings,
    Settings,
)
from kailash_monitor.engine import AlertManager
from kailash_monitor.engine.heartbeat import Heartbeat
from kailash_monitor.errors import ConfigurationError, InvalidFile, MetricError
from kailash_monitor.instrument import DiskSource, HostSource, LoopLagSource, ProcessSource, RuntimeSource, Source
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.metrics.self_metrics import SELF, SelfMetrics
from kailash_monitor.rules import AlertRule, burn_rate_rules, create_host_alert_rules
from kailash_monitor.storage import Store
from kailash_monitor.web import Listen
from kailash_monitor.yaml_source import Node

__all__ = ["Monitor", "StoreAt", "as_stated", "default_monitor", "load_monitor"]

StoreAt = Callable[[str | None], Store | None]
"""Gives the store of a monitor, open or not, by the path that its file states; None stands for none in both places."""


def as_stated(path: str | None) -> Store | None:
    """Give the store at `path`, which is not touched before the manager starts."""
    return None if path is None else storage.SqliteStore(path)


@dataclass(frozen=True, slots=True)
class Monitor:
    """A manager with its sources, rules, channels and routes, and the store that it keeps them in, if it has one.

    `listen` is None where the file does not state it. Where `token_file` is stated, that file holds what changes over HTTP
    need, and need not be there yet; they are taken under the names in `hosts` as well.
    """

    manager: AlertManager
    listen: Listen | None
    store: Store | None
    token_file: Path | None = None
    hosts: tuple[str, ...] = ()


def default_monitor(store_at: StoreAt = as_stated) -> Monitor:
    """Give the monitor of this machine, without any configuration."""
    return _build(Contents(Settings(), Problems("defaults", Node({}, 1, {}))), store_at)


def load_monitor(path: Path, store_at: StoreAt = as_stated) -> Monitor:
    """Give the monitor that the file describes. InvalidFile lists all that is wrong with it."""
    return _build(load_contents(path), store_at, path.parent)


def _build(contents: Contents, store_at: StoreAt, folder: Path = Path()) -> Monitor:
    settings, problems = contents.settings, contents.problems
    registry = _registry(settings, problems)
    store = store_at(settings.store)
    heartbeat = _heartbeat(settings.heartbeat, problems)
    # a stop by signal has five seconds in all
    manager = AlertManager(registry, store=store, heartbeat=heartbeat, stop_timeout="3s")
    for source in _sources(settings.collectors):
        manager.add_source(source)
    for rule in _default_rules(contents):
        manager.add_rule(rule)
    for index, rule_settings in contents.rules.items():
        _add_rules(manager, ("rules", index), rule_settings, problems)
    for index, burn_rate in contents.burn_rates.items():
        _add_rules(manager, ("burn_rates", index), burn_rate, problems)
    _load_rules(manager, contents, folder)
    if not _mentions_log(settings.channels):
        manager.add_notification_channel(LogNotificationChannel())
    for index in contents.channels:
        _add_channel(manager, index, contents)
    _check_fallbacks(manager, contents)
    set_routing(manager, contents)
    listen = _listen(settings.listen, problems)
    problems.raise_any()
    token_file = None if settings.token_file is None else folder / settings.token_file
    return Monitor(manager, listen, store, token_file, tuple(settings.hosts))


def _heartbeat(settings: HeartbeatSettings | None, problems: Problems) -> Heartbeat | None:
    if settings is None:
        return None
    given = settings.model_dump(exclude={"url"}, exclude_none=True)
    try:
        return Heartbeat(settings.url.get_secret_value(), **given)
    except ConfigurationError as error:
        problems.add_error(("heartbeat",), error)
        return None


def _registry(settings: Settings, problems: Problems) -> MetricsRegistry:
    try:
        return MetricsRegistry(settings.namespace)
    except (ConfigurationError, MetricError) as error:
        problems.add(("namespace",), f"{error.seen}; {error.expected}")
        return MetricsRegistry()


def _sources(settings: CollectorsSettings) -> list[Source]:
    sources: list[Source] = []
    if settings.host.enabled:
        host = HostSource(every=settings.host.every or 5.0)
        sources += [host, DiskSource(host.collector, every=host.every)]
    if settings.process.enabled:
        sources.append(ProcessSource(every=settings.process.every or 5.0))
    if settings.loop.enabled:
        sources.append(LoopLagSource(every=settings.loop.every or 0.5))
    if settings.runtime.enabled:
        sources.append(RuntimeSource(every=settings.runtime.every or 5.0))
    return sources


def _default_rules(contents: Contents) -> list[AlertRule]:
    """Give the default rules that the file does not replace by name.

    A default rule for a collector that is switched off would wait for ever, so it goes with it.
    """
    settings = contents.settings
    if not settings.default_rules:
        return []
    watched = {name for name in CollectorsSettings.model_fields if getattr(settings.collectors, name).enabled}
    given = {rule.get("name") for rule in settings.rules if isinstance(rule, dict)}
    return [rule for rule in create_host_alert_rules() if rule.name not in given and rule.collector in watched]


def _add_rules(
    manager: AlertManager, place: Place, settings: RuleSettings | QuerySettings | BurnRateSettings, problems: Problems
) -> None:
    """Make what stands at one place of the file into rules and take them on; note what is wrong with them."""
    registry = manager.metrics_registry
    own = SelfMetrics(lambda: 0.0, clock=registry.clock)  # registered when it runs
    given = settings.model_dump(exclude_none=True)
    try:
        rules = burn_rate_rules(**given) if isinstance(settings, BurnRateSettings) else [AlertRule.from_mapping(given)]
        for rule in rules:
            check_reach(rule, {**registry.get_all_collectors(), SELF: own})
            if not problems.within((*place, "name")):  # its name is another's, which was noted
                manager.add_rule(rule)
    except ConfigurationError as error:
        problems.add_error(place, error)


def _load_rules(manager: AlertManager, contents: Contents, folder: Path) -> None:
    """Have the rule files judged that the file names; what is wrong with them is told with their own lines."""
    patterns = contents.settings.rule_files
    if not patterns:
        return
    try:
        manager.load_rules(*[str(folder / pattern) for pattern in patterns])
    except InvalidFile as error:
        for problem in error.problems:
            contents.problems.add(("rule_files",), problem)
    except ConfigurationError as error:
        contents.problems.add_error(("rule_files",), error)


def _mentions_log(channels: list[object]) -> bool:
    """Whether the file has a say in the log, be it to switch it off."""
    return any(isinstance(channel, dict) and channel.get("type") == "log" for channel in channels)


def _add_channel(manager: AlertManager, index: int, contents: Contents) -> None:
    """Make one channel of the file and take it on; note what is wrong with it."""
    place: Place = ("channels", index)
    settings = contents.channels[index]
    if not settings.enabled:
        return
    try:
        channel = from_mapping(settings.parameters.get_secret_value())
        if not contents.problems.within((*place, "name")):  # as with rules
            policy = settings.model_dump(include={"rate", "fallback", "fallback_after"}, exclude_none=True)
            manager.add_notification_channel(channel, **policy)
    except ConfigurationError as error:
        contents.problems.add_error(place, error)


def _check_fallbacks(manager: AlertManager, contents: Contents) -> None:
    known = channels_in_sight(manager, contents)
    for index, settings in contents.channels.items():
        if settings.enabled and settings.fallback is not None and settings.fallback not in known:
            hint = instead(settings.fallback, known, nothing="add a channel")
            seen = f"the channel {settings.fallback!r}, which is not there or switched off"
            contents.problems.add(("channels", index, "fallback"), f"{seen}; {hint}")


def _listen(text: str | None, problems: Problems) -> Listen | None:
    if text is None:
        return None
    try:
        return Listen.parse(text)
    except ConfigurationError as error:
        problems.add_error((), error)
        return None
