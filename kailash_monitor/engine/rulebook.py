"""The rulebook: the rules of one manager, and what came of their last evaluation."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from kailash_monitor.alerting.incident import Incident, State
from kailash_monitor.alerting.trouble import OWN
from kailash_monitor.channels.text import one_line
from kailash_monitor.engine.agenda import Turn
from kailash_monitor.engine.sighting import Sighting, place_of
from kailash_monitor.engine.status import RuleStatus
from kailash_monitor.errors import RuleError
from kailash_monitor.metrics import MetricsCollector
from kailash_monitor.rules import AlertRule, check_fits

__all__ = ["RuleBook"]

_logger = logging.getLogger("kailash_monitor.engine")


class _Judged(NamedTuple):
    """What came of a rule's last evaluation."""

    at: float
    value: float | None
    error: str | None
    took: float


class RuleBook:
    """Rules by name. Mutable: all of it, under the manager's lock."""

    def __init__(self) -> None:
        self.rules: dict[str, AlertRule] = {}
        self._judged: dict[str, _Judged] = {}

    def add(self, rule: AlertRule, collectors: Mapping[str, MetricsCollector]) -> None:
        """Take `rule` on; a RuleError where its name, an alert id or its condition is in the way."""
        if rule.name in self.rules:
            raise RuleError(
                f"rule {rule.name!r}", field="name", seen="a second rule of that name", expected="give it another name"
            )
        self.check(rule, collectors)
        self.rules[rule.name] = rule

    def replace(self, rule: AlertRule, collectors: Mapping[str, MetricsCollector]) -> None:
        """Put `rule` in the place of the one of its name, if there is one; a RuleError as in `add`."""
        self.check(rule, collectors)
        self.rules[rule.name] = rule
        self._judged.pop(rule.name, None)

    def check(self, rule: AlertRule, collectors: Mapping[str, MetricsCollector]) -> None:
        """Raise a RuleError where `rule` could not be taken on, were there none of its name."""
        where = f"rule {rule.name!r}"
        if rule.name in OWN:
            raise RuleError(where, field="name", seen="a name of the toolkit's own alerts", expected="give it another name")
        for name, collector in collectors.items():
            for metric_name in rule.metrics if rule.collector in (None, name) else ():
                metric = collector.get_metric(metric_name)
                if metric is not None:
                    check_fits(rule, metric)
        for alert_id in _ids(rule, collectors):
            other = self._owner(alert_id, rule.name, collectors)
            if other is not None:
                raise RuleError(
                    where,
                    field="name",
                    seen=f"the alert id {alert_id!r}, which rule {other!r} uses as well",
                    expected="ids are <rule>_<collector>: rename one of the rules",
                )

    def _owner(self, alert_id: str, name: str, collectors: Mapping[str, MetricsCollector]) -> str | None:
        """Give another rule whose alerts can have that id: one of its beginnings up to an underscore."""
        end = alert_id.find("_")
        while end >= 0:
            other = self.rules.get(alert_id[:end])
            if other is not None and other.name != name and alert_id in _ids(other, collectors):
                return other.name
            end = alert_id.find("_", end + 1)
        return None

    def remove(self, name: str) -> bool:
        """Take the rule called `name` away; whether there was one."""
        self._judged.pop(name, None)
        return self.rules.pop(name, None) is not None

    def forget_judgements(self) -> None:
        """Begin anew: no rule was evaluated yet."""
        self._judged.clear()

    @property
    def all_judged(self) -> bool:
        """Whether every enabled rule was evaluated since the start."""
        return all(name in self._judged for name, rule in self.rules.items() if rule.enabled)

    def note(
        self, rule: AlertRule, sightings: Sequence[Sighting], wrong: Sequence[str], now: float, took: float = 0.0
    ) -> None:
        """Keep what came of an evaluation, and how many seconds it took; log what is wrong when it begins or changes."""
        worst: float | None = None
        failed: list[str] = []
        for sighting in sightings:
            if sighting.failed is not None:
                failed.append(f"{sighting.collector}: {sighting.failed.error}")
            elif worst is None or (sighting.worst is not None and (sighting.worst > worst) is rule.condition.wants_high):
                worst = sighting.worst
        error = "; ".join([*failed, *wrong]) if failed or wrong else None
        before = self._judged.get(rule.name)
        if error and (before is None or before.error != error):
            _logger.warning("rule %r cannot be judged: %s", rule.name, one_line(error))
        self._judged[rule.name] = _Judged(now, worst, error, took)

    def status(
        self, incidents: Iterable[Incident], turns: Mapping[str, Turn], wall_offset: float, *, running: bool
    ) -> list[RuleStatus]:
        """Give every rule with its state; `turns` tell when each is due, which means something while it is running."""
        states: dict[str, set[State]] = {}
        for incident in incidents:
            states.setdefault(incident.key.rule, set()).add(incident.state)
        return [
            self._status(rule, states.get(name, set()), turns.get(name), wall_offset, running)
            for name, rule in self.rules.items()
        ]

    def _status(self, rule: AlertRule, states: set[State], turn: Turn | None, offset: float, running: bool) -> RuleStatus:
        judged = self._judged.get(rule.name)
        return RuleStatus(
            rule=rule,
            state=_state_word(rule, states, judged),
            value=judged.value if judged else None,
            last_evaluation=_wall(judged.at, offset) if judged else None,
            duration=judged.took if judged else None,
            next_evaluation=_wall(turn.due, offset) if turn and running else None,
            evaluations=turn.evaluations if turn else 0,
            late=turn.late if turn else 0,
            error=judged.error if judged else None,
        )


def _ids(rule: AlertRule, collectors: Iterable[str]) -> set[str]:
    """Give the ids the rule's alerts can have, label groups aside."""
    if rule.reading is not None or rule.expr is not None:
        return {f"{rule.name}_{place_of(rule)}"}
    return {f"{rule.name}_{name}" for name in (collectors if rule.collector is None else [rule.collector])}


def _state_word(rule: AlertRule, states: set[State], judged: _Judged | None) -> str:
    """Give the most urgent state of the rule's alerts, else how its reading is."""
    if not rule.enabled:
        return "disabled"
    for state, word in ((State.FIRING, "firing"), (State.RECOVERING, "recovering"), (State.PENDING, "pending")):
        if state in states:
            return word
    if judged is not None and judged.error:
        return "error"
    waits = judged is None or (judged.value is None and rule.expr is None)  # an expression that gives nothing is well
    return "waiting" if waits else "inactive"


def _wall(at: float, offset: float) -> datetime:
    return datetime.fromtimestamp(at + offset, UTC)
