"""The composition root: settings into a manager that is ready to start."""

from dataclasses import dataclass
from pathlib import Path

from kailash_monitor.channels import DeliveringChannel, LogNotificationChannel, from_mapping
from kailash_monitor.config.loader import Problems, load_settings
from kailash_monitor.config.schema import ChannelSettings, CollectorsSettings, Settings, revealed
from kailash_monitor.engine import AlertManager
from kailash_monitor.errors import ConfigurationError, MetricError
from kailash_monitor.instrument import DiskSource, HostSource, LoopLagSource, ProcessSource, Source
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.model.durations import parse_duration
from kailash_monitor.rules import AlertRule, create_host_alert_rules
from kailash_monitor.web import Listen
from kailash_monitor.yaml_source import Node

__all__ = ["Monitor", "default_monitor", "load_monitor"]


@dataclass(frozen=True, slots=True)
class Monitor:
    """A manager with its sources, rules and channels. `listen` is None where the file does not state it."""

    manager: AlertManager
    listen: Listen | None


def default_monitor() -> Monitor:
    """Give the monitor of this machine, without any configuration."""
    return _build(Settings(), Problems("defaults", Node({}, 1, {})))


def load_monitor(path: Path) -> Monitor:
    """Give the monitor that the file describes. InvalidFile lists all that is wrong with it."""
    return _build(*load_settings(path))


def _build(settings: Settings, problems: Problems) -> Monitor:
    registry = _registry(settings, problems)
    manager = AlertManager(registry, stop_timeout="3s")  # a stop by signal has five seconds in all
    for source in _sources(settings.collectors, problems):
        manager.add_source(source)
    for path, rule in _rules(settings, problems):
        try:
            manager.add_rule(rule)
        except ConfigurationError as error:
            problems.add_error(path, error)
    for path, channel in _channels(settings.channels, problems):
        try:
            manager.add_notification_channel(channel)
        except ConfigurationError as error:
            problems.add_error(path, error)
    listen = _listen(settings.listen, problems)
    problems.raise_any()
    return Monitor(manager, listen)


def _registry(settings: Settings, problems: Problems) -> MetricsRegistry:
    try:
        return MetricsRegistry(settings.namespace)
    except (ConfigurationError, MetricError) as error:
        problems.add(("namespace",), f"{error.seen}; {error.expected}")
        return MetricsRegistry()


def _sources(settings: CollectorsSettings, problems: Problems) -> list[Source]:
    sources: list[Source] = []
    if settings.host.enabled:
        host = HostSource(every=_every(settings.host.every, 5.0, "host", problems))
        sources += [host, DiskSource(host.collector, every=host.every)]
    if settings.process.enabled:
        sources.append(ProcessSource(every=_every(settings.process.every, 5.0, "process", problems)))
    if settings.loop.enabled:
        sources.append(LoopLagSource(every=_every(settings.loop.every, 0.5, "loop", problems)))
    return sources


def _every(value: float | str | None, default: float, collector: str, problems: Problems) -> float:
    if value is None:
        return default
    path = ("collectors", collector, "every")
    try:
        seconds = parse_duration(value)
    except ValueError as error:
        problems.add(path, str(error))
        return default
    if seconds <= 0:
        problems.add(path, f"saw {value!r}; use a duration above zero")
        return default
    return seconds


def _rules(settings: Settings, problems: Problems) -> list[tuple[tuple[str | int, ...], AlertRule]]:
    """Give the rules of the file, and before them the default ones that it does not replace by name.

    A default rule for a collector that is switched off would wait for ever, so it goes with it.
    """
    watched = {name for name, _ in CollectorsSettings.model_fields.items() if getattr(settings.collectors, name).enabled}
    given = {rule.name for rule in settings.rules}
    defaults = create_host_alert_rules() if settings.default_rules else []
    rules: list[tuple[tuple[str | int, ...], AlertRule]] = [
        ((), rule) for rule in defaults if rule.name not in given and rule.collector in watched
    ]
    for index, rule_settings in enumerate(settings.rules):
        path = ("rules", index)
        try:
            rules.append((path, AlertRule.from_mapping(rule_settings.model_dump(exclude_none=True))))
        except ConfigurationError as error:
            problems.add_error(path, error)
    return rules


def _channels(settings: list[ChannelSettings], problems: Problems) -> list[tuple[tuple[str | int, ...], DeliveringChannel]]:
    """Give the channels of the file, and before them the log, unless the file has a say in it."""
    channels: list[tuple[tuple[str | int, ...], DeliveringChannel]] = []
    if all(channel.type != "log" for channel in settings):
        channels.append(((), LogNotificationChannel()))
    for index, channel in enumerate(settings):
        if not channel.enabled:
            continue
        path = ("channels", index)
        mapping = {key: revealed(value) for key, value in channel if value is not None and key != "enabled"}
        try:
            channels.append((path, from_mapping(mapping)))
        except ConfigurationError as error:
            problems.add_error(path, error)
    return channels


def _listen(text: str | None, problems: Problems) -> Listen | None:
    if text is None:
        return None
    try:
        return Listen.parse(text)
    except ConfigurationError as error:
        problems.add_error((), error)
        return None
