"""The rulebook: the rules of one manager, and what came of their last evaluation."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from kailash_monitor.alerting.incident import Incident, State
from kailash_monitor.channels.text import one_line
from kailash_monitor.engine.evaluator import Evaluation
from kailash_monitor.engine.scheduler import Turn
from kailash_monitor.engine.status import RuleStatus
from kailash_monitor.errors import RuleError
from kailash_monitor.metrics import MetricsCollector
from kailash_monitor.rules import AlertRule, Value, check_fits

__all__ = ["RuleBook"]

_logger = logging.getLogger("kailash_monitor.engine")


@dataclass(slots=True)
class _Judged:
    """What came of a rule's last evaluation."""

    at: float
    value: float | None
    error: str | None


class RuleBook:
    """Rules by name. Mutable: all of it, under the manager's lock."""

    def __init__(self) -> None:
        self.rules: dict[str, AlertRule] = {}
        self._judged: dict[str, _Judged] = {}

    def add(self, rule: AlertRule, collectors: Mapping[str, MetricsCollector]) -> None:
        """Take `rule` on; a RuleError where its name, an alert id or its condition is in the way."""
        where = f"rule {rule.name!r}"
        if rule.name in self.rules:
            raise RuleError(where, field="name", seen="a second rule of that name", expected="give it another name")
        for name, collector in collectors.items():
            metric = collector.get_metric(rule.metric_name)
            if metric is not None and rule.collector in (None, name):
                check_fits(rule, metric)
        ids = _ids(rule, collectors)
        for other in self.rules.values():
            shared = ids & _ids(other, collectors)
            if shared:
                raise RuleError(
                    where,
                    field="name",
                    seen=f"the alert id {min(shared)!r}, which rule {other.name!r} uses as well",
                    expected="ids are <rule>_<collector>: rename one of the rules",
                )
        self.rules[rule.name] = rule

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

    def note(self, rule: AlertRule, evaluation: Evaluation, wrong: Iterable[str], now: float) -> None:
        """Keep what came of an evaluation; log what is wrong when it begins, and when it changes."""
        error = "; ".join([*(f"{where}: {what}" for where, what in evaluation.failed.items()), *wrong]) or None
        before = self._judged.get(rule.name)
        if error and (before is None or before.error != error):
            _logger.warning("rule %r cannot be judged: %s", rule.name, one_line(error))
        values = [reading.value for reading in evaluation.readings.values() if isinstance(reading, Value)]
        worst = (max if rule.condition.wants_high else min)(values, default=None)
        self._judged[rule.name] = _Judged(now, worst, error)

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
            next_evaluation=_wall(turn.due, offset) if turn and running else None,
            evaluations=turn.evaluations if turn else 0,
            late=turn.late if turn else 0,
            error=judged.error if judged else None,
        )


def _ids(rule: AlertRule, collectors: Iterable[str]) -> set[str]:
    """Give the ids the rule's alerts can have, label groups aside."""
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
    return "waiting" if judged is None or judged.value is None else "inactive"


def _wall(at: float, offset: float) -> datetime:
    return datetime.fromtimestamp(at + offset, UTC)
