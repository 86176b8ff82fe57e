"""The configuration of a site: from `KAILASH_MONITORING` to a manager, with every problem told at once."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

from kailash_monitor.alerting.inhibition import Inhibition
from kailash_monitor.alerting.mute import MuteTime
from kailash_monitor.alerting.route import Route
from kailash_monitor.blocking import AlertManager
from kailash_monitor.channels import from_mapping
from kailash_monitor.engine.heartbeat import Heartbeat
from kailash_monitor.errors import ConfigurationError, MonitoringError
from kailash_monitor.metrics import MetricsRegistry, get_metrics_registry
from kailash_monitor.rules import AlertRule, create_default_alert_rules
from kailash_monitor.web import Site

__all__ = ["SETTING", "Configuration", "read"]

T = TypeVar("T")

SETTING: Final = "KAILASH_MONITORING"

KEYS: Final = (
    "ENABLED",
    "DEFAULT_RULES",
    "ALERT_RULES",
    "NOTIFICATION_CHANNELS",
    "ROUTES",
    "MUTE_TIMES",
    "INHIBITIONS",
    "STORE",
    "HEARTBEAT",
    "STOP_TIMEOUT",
    "TOKEN",
    "HOSTS",
)

_POLICY: Final = ("rate", "fallback", "fallback_after")
_METRIC: Final = "validation_failure"
"""What the guide's rules judge, which have a name, a threshold and a severity."""


@dataclass(slots=True)
class Configuration:
    """What the settings say: a manager that is ready to start, and its pages.

    `problems` say what is wrong, each with its place; `left_out` what was left out for a value that is None, as a variable
    of the environment is that is not set. Where there are problems, what is not wrong is here all the same.
    """

    manager: AlertManager
    site: Site
    enabled: bool = True
    problems: list[str] = field(default_factory=list[str])
    left_out: list[str] = field(default_factory=list[str])

    def note(self, place: str, error: MonitoringError) -> None:
        """Take note of something that was refused."""
        if isinstance(error, ConfigurationError):
            where = f"{place}.{error.field}" if error.field else place
            self.problems.append(f"{where}: {error.seen}; {error.expected}")
        else:
            self.problems.append(f"{place}: {error}")

    def made(self, place: str, make: Callable[[], T]) -> T | None:
        """Give what `make` makes; None, with a note, where that is refused."""
        try:
            return make()
        except MonitoringError as error:
            self.note(place, error)
        except (TypeError, ValueError) as error:  # of a class that was given what no class takes
            self.problems.append(f"{place}: {error}")
        return None


def read(given: object, registry: MetricsRegistry | None = None) -> Configuration:
    """Make what the settings say; never raises for what they say.

    Rules are as in `AlertRule.from_mapping`; in the guide's short form, of name, threshold and severity, they judge the
    metric `validation_failure`. Severities may be in capitals. Channels are as in a configuration file, and take `rate` (a
    pair), `fallback` and `fallback_after` as well.
    """
    registry = get_metrics_registry() if registry is None else registry
    if not isinstance(given, Mapping):
        it = _empty(registry)
        it.problems.append(f"{SETTING}: it is {type(given).__name__}; use a dictionary")
        return it
    it = _empty(registry)
    heartbeat = it.made("HEARTBEAT", lambda: _heartbeat(given.get("HEARTBEAT")))
    timeout = given.get("STOP_TIMEOUT", "3s")
    store = given.get("STORE")
    manager = it.made("STORE", lambda: AlertManager(registry, store=store, heartbeat=heartbeat, stop_timeout=timeout))
    it.manager = it.manager if manager is None else manager
    token, hosts, enabled = given.get("TOKEN"), given.get("HOSTS", ()), given.get("ENABLED", True)
    if not isinstance(hosts, list | tuple):
        it.problems.append(f"HOSTS: it is {type(hosts).__name__}; use a list")
        hosts = ()
    if not isinstance(enabled, bool):
        it.problems.append(f"ENABLED: it is {type(enabled).__name__}; use True or False")
    site = it.made("TOKEN", lambda: Site(it.manager, token, hosts=hosts))
    it.site, it.enabled = Site(it.manager) if site is None else site, enabled is not False
    it.problems += [f"{key}: an unknown key; use some of {', '.join(KEYS)}" for key in given if key not in KEYS]
    if given.get("DEFAULT_RULES"):
        for rule in create_default_alert_rules():
            it.manager.add_rule(rule)
    for place, entry in _entries(it, given, "ALERT_RULES"):
        _add_rule(it, place, entry)
    for place, entry in _entries(it, given, "NOTIFICATION_CHANNELS"):
        _add_channel(it, place, entry)
    _set_routes(it, given)
    return it


def _empty(registry: MetricsRegistry) -> Configuration:
    manager = AlertManager(registry)
    return Configuration(manager, Site(manager))


def _entries(it: Configuration, given: Mapping[str, Any], key: str) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """Give the dictionaries in a list of the settings, each with its place."""
    entries = given.get(key, ())
    if not isinstance(entries, list | tuple):
        it.problems.append(f"{key}: it is {type(entries).__name__}; use a list")
        return
    for number, entry in enumerate(entries):
        if isinstance(entry, Mapping):
            yield f"{key}[{number}]", entry
        else:
            it.problems.append(f"{key}[{number}]: it is {type(entry).__name__}; use a dictionary")


def _heartbeat(given: object) -> Heartbeat | None:
    if given is None:
        return None
    return Heartbeat(**given) if isinstance(given, Mapping) else Heartbeat(str(given))


def _add_rule(it: Configuration, place: str, entry: Mapping[str, Any]) -> None:
    rule = dict(entry)
    if isinstance(rule.get("severity"), str):
        rule["severity"] = rule["severity"].lower()
    if "metric" not in rule and "metric_name" not in rule and "threshold" in rule:
        rule = {
            "metric": _METRIC,
            "condition": f"> {rule['threshold']}",
            "description": f"Alert for {rule.get('name')}",
            **rule,
        }
    it.made(place, lambda: it.manager.add_rule(AlertRule.from_mapping(rule)))


def _add_channel(it: Configuration, place: str, entry: Mapping[str, Any]) -> None:
    empty = [key for key, value in entry.items() if value is None]
    if empty:
        it.left_out.append(f"{place}: its {empty[0]} is None (a variable of the environment that is not set?)")
        return
    policy = {key: value for key, value in entry.items() if key in _POLICY}
    channel = {key: value for key, value in entry.items() if key not in _POLICY}
    it.made(place, lambda: it.manager.add_notification_channel(from_mapping(channel), **policy))


def _set_routes(it: Configuration, given: Mapping[str, Any]) -> None:
    mute_times = _each(it, given, "MUTE_TIMES", MuteTime.from_mapping)
    it.manager.set_inhibitions(_each(it, given, "INHIBITIONS", Inhibition.from_mapping))
    if "ROUTES" in given:
        named = {one.name: one for one in mute_times}
        it.made("ROUTES", lambda: it.manager.set_routes(Route.from_mapping(given["ROUTES"], named)))


def _each(it: Configuration, given: Mapping[str, Any], key: str, make: Callable[[Mapping[str, Any]], T]) -> list[T]:
    made = [it.made(place, partial(make, entry)) for place, entry in _entries(it, given, key)]
    return [one for one in made if one is not None]
