"""A rule: what is judged, how, how often, and what people are told about it."""

import copy
import difflib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kailash_monitor.errors import RuleError
from kailash_monitor.model.durations import Duration, format_duration, parse_duration
from kailash_monitor.model.labels import Labels
from kailash_monitor.model.severity import AlertSeverity
from kailash_monitor.rules import parameters
from kailash_monitor.rules.budget import BurnRate
from kailash_monitor.rules.condition import ANY_VALUE, Condition
from kailash_monitor.rules.flapping import Flapping
from kailash_monitor.rules.level import Level, LevelThresholds, levels_of, severity_of
from kailash_monitor.rules.no_data import NoData
from kailash_monitor.rules.reading import ReadingFunction
from kailash_monitor.rules.recording import Place
from kailash_monitor.rules.rule_query import RuleQuery
from kailash_monitor.rules.templates.errors import TemplateError
from kailash_monitor.rules.templates.template import compile_template

__all__ = ["AlertRule"]

DEFAULT_WINDOW: Final = "5m"
DEFAULT_TIMEOUT: Final = "5s"


@dataclass(frozen=True, slots=True, init=False)
class AlertRule:
    """One thing that must not be so.

    The rule applies in every collector that has the metric; `collector` narrows it to one. It is judged every
    `evaluation_interval`, 10 ms at least, over the last `time_window`. `match` reads only the series that have these labels;
    `group_by` gives an alert of its own to each combination of these labels. Durations are seconds, a timedelta or text
    ("5m").

    `condition` is "[word] comparator [number]"; the number and `threshold` must agree, either may be left out.

    - `levels`: several severities in one rule, `{"warning": 80, "critical": 95}`, in place of `severity`, `threshold` and
      the number in `condition`; the graver, the further.
    - `hold`: how long it must be breached before it fires (at once).
    - `keep_firing`: how long it must be clear before it is resolved (at once).
    - `clear`: another threshold for recovery, on the good side of the first: fires above 90, is over below 80. With levels
      one for each of them, `{"warning": 75, "critical": 90}`; a level that is left out has none.
    - `notification_interval`: how long until somebody who was told is told again while it lasts; 0 tells once.
    - `labels`, `annotations`: given to the alert; the annotation `summary` becomes its title.
    - `no_data`: what it means when the metric had data and has none: "keep" the alert as it is, "alert", or "ok".
    - `max_alerts`: how many groups can have an alert of their own at a time (any number); one more counts the rest.
    - `flapping`: `(changes, period)`; an alert that begins or ceases so often in that time is told as flapping, once.
    - `on_write`: judge it also as soon as the metric is recorded, and not only at the interval.
    - `reading`: a function of your own, plain or async and without arguments, whose answer is judged in place of a metric: a
      number, None for nothing to judge now, or with `group_by` a mapping from the label's value (a tuple of values where
      there are several labels) to these. It has `timeout` to answer (5 s).
    - `expr`: a PromQL expression over the exported names, judged in place of a metric and a condition: each series that it
      gives is an alert. `labels` and `annotations` may be Go templates then, as in Prometheus' rule files.
    - `place`: where it stands in a rule file; those of one group are judged one after the other.
    - `burn_rate`: judge how fast failures use up an error budget; `burn_rate_rules` makes such rules.

    A RuleError says what is wrong and what would be right.
    """

    name: str
    description: str
    metric_name: str
    condition: Condition
    levels: tuple[Level, ...]
    time_window: float
    evaluation_interval: float
    notification_interval: float
    labels: Labels
    annotations: Mapping[str, str]
    enabled: bool
    collector: str | None
    match: Labels
    group_by: tuple[str, ...]
    hold: float
    keep_firing: float
    no_data: NoData
    max_alerts: int | None
    flapping: Flapping | None
    on_write: bool
    reading: ReadingFunction | None
    timeout: float
    burn_rate: BurnRate | None
    expr: RuleQuery | None
    place: Place | None

    def __init__(
        self,
        name: str,
        description: str,
        severity: AlertSeverity | str | None = None,
        metric_name: str = "",
        condition: str = "",
        threshold: float | None = None,
        time_window: Duration = DEFAULT_WINDOW,
        evaluation_interval: Duration = "10s",
        notification_interval: Duration = "15m",
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
        enabled: bool = True,
        *,
        levels: LevelThresholds | None = None,
        collector: str | None = None,
        match: Mapping[str, str] | None = None,
        group_by: Sequence[str] = (),
        hold: Duration = 0,
        keep_firing: Duration = 0,
        clear: float | LevelThresholds | None = None,
        no_data: NoData | str = NoData.KEEP,
        max_alerts: int | None = None,
        flapping: Flapping | tuple[int, Duration] | Mapping[str, Any] | None = None,  # Any: a number and a duration
        on_write: bool = False,
        reading: ReadingFunction | None = None,
        timeout: Duration | None = None,
        burn_rate: BurnRate | None = None,
        expr: RuleQuery | str | None = None,
        place: Place | None = None,
    ) -> None:
        parameters.check_name(name)
        where = f"rule {name!r}"
        query = None if expr is None else RuleQuery.of(expr, where)
        if query is None:
            parsed, steps = levels_of(
                condition, severity=severity, threshold=threshold, levels=levels, clear=clear, where=where
            )
        else:
            refused = {"condition": condition, "threshold": threshold, "levels": levels, "clear": clear}
            _refuse_beside_expr({name: value not in ("", None) for name, value in refused.items()}, where)
            parsed = ANY_VALUE
            steps = (Level(severity_of(severity, where, field="severity"), parsed.threshold),)
        values: dict[str, object] = {
            "name": name,
            "description": parameters.check_type("description", description, str, "a text", where),
            "metric_name": parameters.check_type("metric_name", metric_name, str, "a text", where),
            "condition": parsed,
            "levels": steps,
            "time_window": parameters.duration("time_window", time_window, where),
            "evaluation_interval": parameters.evaluation_interval(evaluation_interval, where),
            "notification_interval": parameters.duration("notification_interval", notification_interval, where, zero=True),
            "labels": parameters.label_set("labels", labels, where),
            "annotations": parameters.texts("annotations", annotations, where),
            "enabled": parameters.check_type("enabled", enabled, bool, "True or False", where),
            "collector": None
            if collector is None
            else parameters.check_type("collector", collector, str, "the name of a collector", where),
            "match": parameters.label_set("match", match, where),
            "group_by": parameters.group_labels(group_by, where),
            "hold": parameters.duration("hold", hold, where, zero=True),
            "keep_firing": parameters.duration("keep_firing", keep_firing, where, zero=True),
            "no_data": parameters.no_data_of(no_data, where),
            "max_alerts": None if max_alerts is None else parameters.positive("max_alerts", max_alerts, where),
            "flapping": parameters.flapping_of(flapping, where),
            "on_write": parameters.check_type("on_write", on_write, bool, "True or False", where),
            "reading": None if reading is None else parameters.reading_function(reading, where),
            "timeout": parameters.duration("timeout", DEFAULT_TIMEOUT if timeout is None else timeout, where),
            "burn_rate": None
            if burn_rate is None
            else parameters.check_type("burn_rate", burn_rate, BurnRate, "a BurnRate", where),
            "expr": query,
            "place": place,
        }
        if burn_rate is not None and not metric_name:
            values["metric_name"] = burn_rate.total
        if burn_rate is not None and values["time_window"] == parse_duration(DEFAULT_WINDOW):
            values["time_window"] = burn_rate.long
        for field, value in values.items():
            object.__setattr__(self, field, value)
        _check_together(self, timeout, where)

    def __repr__(self) -> str:
        return f"<AlertRule {self.name}: {self._judged} {self._limits}, every {format_duration(self.evaluation_interval)}>"

    @property
    def _judged(self) -> str:
        if self.reading is not None:
            return f"{getattr(self.reading, '__name__', type(self.reading).__name__)}()"
        if self.expr is not None:
            return self.expr.text
        if self.burn_rate is not None:
            return f"burn rate of {self.burn_rate.good}/{self.burn_rate.total}"
        return self.metric_name

    @property
    def _limits(self) -> str:
        if self.expr is not None:
            return self.severity.value
        if len(self.levels) == 1:
            return str(self.condition)
        others = ", ".join([f"{level.threshold:g} {level.severity.value}" for level in self.levels[1:]])
        return f"{self.condition} {self.levels[0].severity.value}, {others}"

    @property
    def severity(self) -> AlertSeverity:
        """The gravest severity that it can have."""
        return self.levels[-1].severity

    @property
    def threshold(self) -> float:
        """The number that the condition compares with: that of the mildest level."""
        return self.condition.threshold

    @property
    def clear(self) -> float | None:
        """The threshold for recovery of the mildest level; None where that is its threshold itself."""
        return self.levels[0].clear

    def level(self, severity: AlertSeverity) -> Level:
        """Give the level of that severity; a KeyError where the rule has none."""
        for level in self.levels:
            if level.severity is severity:
                return level
        raise KeyError(f"rule {self.name!r} has no level {severity.value!r}")

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the metrics that it reads, but for those of which they are shares."""
        if self.burn_rate is not None:
            return (self.burn_rate.good, self.burn_rate.total)
        return (self.metric_name,) if self.metric_name else ()

    def enabled_as(self, enabled: bool) -> "AlertRule":
        """Give the same rule, enabled or disabled."""
        other = copy.copy(self)
        object.__setattr__(other, "enabled", enabled)
        return other

    @property
    def waits(self) -> float:
        """For how many seconds an answer may be waited for: none for what reads metrics."""
        return 0.0 if self.reading is None and self.expr is None else self.timeout

    @property
    def awaits(self) -> bool:
        """Whether `reading` is a coroutine function."""
        reading = self.reading
        return reading is not None and any(map(inspect.iscoroutinefunction, (reading, type(reading).__call__)))

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "AlertRule":  # Any: whatever a settings file holds
        """Make a rule of a plain dictionary whose keys are the parameters; `metric` may stand for `metric_name`.

        Where left out, `description` is empty, `severity` is "warning" unless there are levels. An unknown key is a
        RuleError.
        """
        given = dict(mapping)
        where = f"rule {given.get('name')!r}"
        if "metric" in given:
            given.setdefault("metric_name", given.pop("metric"))
        for key in given:
            if key not in _PARAMETERS:
                near = difflib.get_close_matches(str(key), _PARAMETERS, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"use some of {', '.join(_PARAMETERS)}"
                raise RuleError(where, field=str(key), seen=f"the unknown key {key!r}", expected=hint)
        judged = {"metric_name", "reading", "burn_rate"}
        for key in ("name",) if given.get("expr") is not None else ("name", "metric_name", "condition"):
            if key not in given and (key != "metric_name" or judged.isdisjoint(given)):
                raise RuleError(where, field=key, seen=f"no {key}", expected="a rule needs name, metric_name and condition")
        if given.get("levels") is None:
            given.setdefault("severity", "warning")
        return cls(**{"description": "", **given})


_PARAMETERS = tuple(inspect.signature(AlertRule.__init__).parameters)[1:]


def _check_together(rule: AlertRule, timeout: Duration | None, where: str) -> None:
    """Check what depends on what is judged: a metric, an answer of the user's own, or a burn rate."""
    if rule.expr is not None:
        _check_expr(rule, where)
        return
    if rule.reading is not None:
        _check_reading(rule, where)
    elif timeout is not None:
        raise RuleError(where, field="timeout", seen="a timeout without reading=", expected="leave it out")
    elif not rule.metric_name:
        raise RuleError(where, field="metric_name", seen="the metric name ''", expected="name the metric to judge")
    if rule.burn_rate is not None:
        _check_burn_rate(rule, rule.burn_rate, where)
    if rule.max_alerts is not None and not rule.group_by and rule.reading is None:
        raise RuleError(
            where,
            field="max_alerts",
            seen="max_alerts without group_by",
            expected="such a rule has one alert in each collector; leave it out",
        )


def _refuse_beside_expr(given: Mapping[str, bool], where: str) -> None:
    for field, is_given in given.items():
        if is_given:
            raise RuleError(
                where, field=field, seen=f"{field} beside expr=", expected="the expression says all of it; leave it out"
            )


def _check_expr(rule: AlertRule, where: str) -> None:
    """Nothing that speaks of metrics may stand beside an expression, and its templates must be ones."""
    beside = {
        "metric_name": bool(rule.metric_name),
        "reading": rule.reading is not None,
        "burn_rate": rule.burn_rate is not None,
        "collector": rule.collector is not None,
        "match": bool(rule.match),
        "group_by": bool(rule.group_by),
        "time_window": rule.time_window != parse_duration(DEFAULT_WINDOW),
        "no_data": rule.no_data is not NoData.KEEP,
        "on_write": rule.on_write,
    }
    _refuse_beside_expr(beside, where)
    for field, texts in (("labels", rule.labels), ("annotations", rule.annotations)):
        for name, text in texts.items():
            try:
                compile_template(text)
            except TemplateError as error:
                expected = "a Go template as in Prometheus' rule files"
                raise RuleError(where, field=field, seen=f"{field}.{name}: {error}", expected=expected) from None


def _check_reading(rule: AlertRule, where: str) -> None:
    """Nothing that speaks of metrics may stand beside an answer of the user's own."""
    beside = {
        "burn_rate": rule.burn_rate is not None,
        "metric_name": bool(rule.metric_name),
        "collector": rule.collector is not None,
        "match": bool(rule.match),
        "time_window": rule.time_window != parse_duration(DEFAULT_WINDOW),
        "on_write": rule.on_write,
    }
    for field, given in beside.items():
        if given:
            expected = "it speaks of metrics, and the answer is judged instead; leave one out"
            raise RuleError(where, field=field, seen=f"{field} beside reading=", expected=expected)
    _check_no_word(rule, "an answer has no history", where)


def _check_burn_rate(rule: AlertRule, burn_rate: BurnRate, where: str) -> None:
    if rule.metric_name != burn_rate.total:
        seen, expected = (
            f"the metric name {rule.metric_name!r} beside burn_rate=",
            f"leave it out; {burn_rate.total!r} is read",
        )
        raise RuleError(where, field="metric_name", seen=seen, expected=expected)
    if rule.time_window != burn_rate.long:
        seen, expected = f"time_window = {rule.time_window!r} beside burn_rate=", "leave it out; its long window is read"
        raise RuleError(where, field="time_window", seen=seen, expected=expected)
    _check_no_word(rule, "a burn rate is one number", where)
    if rule.condition.comparator not in (">", ">="):
        raise RuleError(
            where,
            field="condition",
            seen=f"the condition {str(rule.condition)!r} beside burn_rate=",
            expected="> or >=: a budget may burn slowly",
        )
    highest = burn_rate.highest
    if rule.levels[-1].threshold >= highest:
        raise RuleError(
            where,
            field="threshold",
            seen=f"a burn rate of {rule.levels[-1].threshold:g} with the objective {burn_rate.objective:g}",
            expected=f"it is {highest:g} when everything fails; ask for less",
        )


def _check_no_word(rule: AlertRule, why: str, where: str) -> None:
    condition = rule.condition
    if condition.word:
        raise RuleError(
            where,
            field="condition",
            seen=f"the word {condition.word!r} in the condition {str(condition)!r}",
            expected=f"{why}; write '{condition.comparator}' alone",
        )
