"""The configuration of a site: from `KAILASH_MONITORING` to a manager, with every problem told at once."""

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from kailash_monitor.blocking import AlertManager
from kailash_monitor.engine.heartbeat import Heartbeat
from kailash_monitor.errors import ConfigurationError
from kailash_monitor.integrations.django.channels import Channels
from kailash_monitor.integrations.django.notes import Notes, Said, kind_of, lowered
from kailash_monitor.integrations.django.routing import channels_named, set_routing
from kailash_monitor.metrics import MetricsRegistry, get_metrics_registry
from kailash_monitor.rules import AlertRule, burn_rate_rules, create_default_alert_rules
from kailash_monitor.web import Site

__all__ = ["KEYS", "SETTING", "Configuration", "read"]

SETTING: Final = "KAILASH_MONITORING"

KEYS: Final = (
    "ENABLED",
    "ALERT_RULES",
    "BURN_RATES",
    "DEFAULT_RULES",
    "NOTIFICATION_CHANNELS",
    "ROUTES",
    "MUTE_TIMES",
    "INHIBITIONS",
    "STORE",
    "HEARTBEAT",
    "NAMESPACE",
    "STALL_AFTER",
    "STOP_TIMEOUT",
    "TOKEN",
    "HOSTS",
)

_ENTANGLED: Final = frozenset(
    {"name", "metric_name", "condition", "threshold", "levels", "clear", "group_by", "max_alerts", "reading", "burn_rate"}
)
"""Parameters of a rule that others are judged by: without one of them, something else would seem to be wrong."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """What the settings say: a manager that is ready to start, and the site of its pages.

    `problems` say what is wrong, each with its place; what is not wrong is here all the same. `left_out` say what lacks a
    value, and what becomes of it.
    """

    manager: AlertManager
    site: Site
    enabled: bool
    problems: list[str]
    left_out: list[str]


def read(given: object, registry: MetricsRegistry | None = None, *, hosts: Iterable[str] = ()) -> Configuration:
    """Make what the settings say; never raises for what they say. Every key may be left out.

    - `ENABLED`: False switches all of it off.
    - `ALERT_RULES`: dictionaries as for `AlertRule.from_mapping`, or AlertRule objects. One with neither metric nor
      condition is in the guide's short form: it judges the metric `validation_failure`, by "> threshold". `BURN_RATES`:
      dictionaries with the parameters of `burn_rate_rules`. `DEFAULT_RULES`: True for those of the guide, but for the names
      that ALERT_RULES has.
    - `NOTIFICATION_CHANNELS`: dictionaries of a `type` and the parameters of its class, with `rate` (messages a second and
      at once), `fallback`, `fallback_after` and `enabled`; or channel objects, or functions. What becomes of one that lacks
      a value, see `Channels`. Where there is none, the log is told.
    - `ROUTES`, `MUTE_TIMES`, `INHIBITIONS`: as in a configuration file.
    - `STORE`: the path of a database, or a Store. `HEARTBEAT`: an address, a dictionary with the parameters of Heartbeat, or
      one. `STALL_AFTER`, `STOP_TIMEOUT`: as for an AlertManager.
    - `NAMESPACE`: what the exported names of all metrics begin with.
    - `TOKEN`: what changes over HTTP need. `HOSTS`: names at which they are taken, beside `hosts`, which the site knows.

    Keys and severities may be in upper or lower case.
    """
    notes = Notes()
    registry = get_metrics_registry() if registry is None else registry
    said = notes.only("", notes.spelt("", given, str.upper), KEYS)
    if said.get("NAMESPACE") is not None:
        notes.made("NAMESPACE", partial(registry.export_under, said["NAMESPACE"]))
    manager = _manager(registry, said, notes)
    _add_rules(manager, said, notes)
    channels = Channels(manager, notes)
    channels.read(said, channels_named(said))
    set_routing(manager, channels, said, notes)
    enabled = notes.flag("", said, "ENABLED", otherwise=True)
    return Configuration(manager, _site(manager, said, hosts, notes), enabled, notes.problems, notes.left_out)


def _manager(registry: MetricsRegistry, said: Said, notes: Notes) -> AlertManager:
    """Give a manager without anything; what it refuses is noted and left out."""
    keys = ("STORE", "STALL_AFTER", "STOP_TIMEOUT")
    given = {key.lower(): said[key] for key in keys if said.get(key) is not None}
    if "store" in given and not _is_store(given["store"]):
        notes.wrong("STORE", f"{kind_of(given.pop('store'))}; use the path of a file, a Store, or None")
    heartbeat = _heartbeat(said, notes)
    while True:
        try:
            return AlertManager(registry, heartbeat=heartbeat, **given)
        except ConfigurationError as error:
            notes.wrong(str(error.field).upper(), f"{error.seen}; {error.expected}")
            given.pop(str(error.field))


def _is_store(given: object) -> bool:
    return (isinstance(given, str) and bool(given)) or hasattr(given, "__fspath__") or hasattr(given, "open")


def _heartbeat(said: Said, notes: Notes) -> Any:  # Any: a Heartbeat, or what calls as one
    given = said.get("HEARTBEAT")
    if not given or hasattr(given, "call"):
        return given or None
    parameters = inspect.signature(Heartbeat).parameters
    given = (
        {"url": given} if isinstance(given, str) else notes.only("HEARTBEAT", notes.spelt("HEARTBEAT", given), parameters)
    )
    if given.get("url"):
        return notes.made("HEARTBEAT", lambda: Heartbeat(**given), given)
    if "url" in given:
        notes.left_out.append("HEARTBEAT.url: it is not set; nobody is called while all is well")
    elif isinstance(said["HEARTBEAT"], Mapping):
        notes.wrong("HEARTBEAT", "no url; it needs url")
    return None


def _site(manager: AlertManager, said: Said, hosts: Iterable[str], notes: Notes) -> Site:
    """Give the site of the pages, which only reads where what was said of changes is wrong."""
    own = [host for place, host in notes.entries(said, "HOSTS") if _is_name(place, host, notes)]
    token = said.get("TOKEN") or None
    made = notes.made("TOKEN", lambda: Site(manager, token, hosts=[*hosts, *own]))
    return Site(manager) if made is None else made


def _is_name(place: str, host: object, notes: Notes) -> bool:
    if isinstance(host, str):
        return True
    notes.wrong(place, f"{kind_of(host)}; use a name such as 'monitor.example.org'")
    return False


def _add_rules(manager: AlertManager, said: Said, notes: Notes) -> None:
    for place, entry in notes.entries(said, "ALERT_RULES"):
        rule = entry if isinstance(entry, AlertRule) else _rule(place, notes.spelt(place, entry), notes)
        if rule is not None:
            notes.made(place, partial(manager.add_rule, rule), ("name",))
    for place, entry in notes.entries(said, "BURN_RATES"):
        for rule in _burn_rate(place, notes.spelt(place, entry), notes):
            notes.made(place, partial(manager.add_rule, rule))
    if notes.flag("", said, "DEFAULT_RULES", otherwise=False):
        for rule in create_default_alert_rules():
            if rule.name not in manager.rules:
                notes.made("DEFAULT_RULES", partial(manager.add_rule, rule))


def _rule(place: str, given: Said, notes: Notes) -> AlertRule | None:
    """Give a rule; None where it is none, with a note of each parameter that is refused."""
    if not given:
        return None
    said = _in_full(given)
    before = len(notes.problems)
    while True:
        try:
            rule = AlertRule.from_mapping(said)
        except ConfigurationError as error:
            notes.refused(place, error, said)
            if error.field in _ENTANGLED or error.field not in said:
                return None
            said.pop(error.field)  # and see what else is wrong
        else:
            return rule if len(notes.problems) == before else None


def _in_full(said: Said) -> Said:
    """Give the parameters of a rule, also of one in the guide's short form."""
    rule = {"description": f"Alert for {said.get('name')}", **said}
    if "metric" in rule:
        rule.setdefault("metric_name", rule.pop("metric"))
    if rule.keys().isdisjoint(("metric_name", "condition", "reading", "burn_rate")) and "threshold" in rule:
        rule |= {"metric_name": "validation_failure", "condition": ">"}
    return rule | {key: lowered(rule[key]) for key in ("levels", "clear") if key in rule}


def _burn_rate(place: str, said: Said, notes: Notes) -> list[AlertRule]:
    parameters = inspect.signature(burn_rate_rules).parameters
    given = notes.only(place, said, parameters)
    missing = [name for name, one in parameters.items() if one.default is one.empty and said and name not in given]
    for name in missing:
        notes.wrong(place, f"no {name}; it needs {name}")
    if missing or not given:
        return []
    return notes.made(place, lambda: burn_rate_rules(**given), given) or []
