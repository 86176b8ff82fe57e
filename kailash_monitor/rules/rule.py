"""A rule: which metric is judged, how, how often, and what people are told about it."""

import difflib
import inspect
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kailash_monitor.errors import RuleError
from kailash_monitor.model.durations import Duration, format_duration, parse_duration
from kailash_monitor.model.labels import Labels, valid_label_name
from kailash_monitor.model.severity import AlertSeverity
from kailash_monitor.rules.condition import Condition

__all__ = ["AlertRule"]

MIN_INTERVAL: Final = 0.01
"""Seconds. A rule that is judged more often than a hundred times a second is a slip of the pen, and busies the loop."""


@dataclass(frozen=True, slots=True, init=False)
class AlertRule:
    """One thing that must not be so.

    The rule applies in every collector that has the metric; `collector` narrows it to one. It is judged every
    `evaluation_interval`, 10 ms at least, over the last `time_window`. `match` reads only the series that have these labels;
    `group_by` gives an alert of its own to each combination of these labels. Durations are seconds, a timedelta or text
    ("5m").

    `condition` is "[word] comparator [number]"; the number and `threshold` must agree, either may be left out.

    - `hold`: how long it must be breached before it fires (at once).
    - `keep_firing`: how long it must be clear before it is resolved (at once).
    - `clear`: another threshold for recovery, on the good side of the first: fires above 90, is over below 80.
    - `notification_interval`: how long until somebody who was told is told again while it lasts; 0 tells once.
    - `labels`, `annotations`: given to the alert; the annotation `summary` becomes its title.

    A RuleError says what is wrong and what would be right.
    """

    name: str
    description: str
    severity: AlertSeverity
    metric_name: str
    condition: Condition
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
    clear: float | None

    def __init__(
        self,
        name: str,
        description: str,
        severity: AlertSeverity | str,
        metric_name: str,
        condition: str,
        threshold: float | None = None,
        time_window: Duration = "5m",
        evaluation_interval: Duration = "10s",
        notification_interval: Duration = "15m",
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
        enabled: bool = True,
        *,
        collector: str | None = None,
        match: Mapping[str, str] | None = None,
        group_by: Sequence[str] = (),
        hold: Duration = 0,
        keep_firing: Duration = 0,
        clear: float | None = None,
    ) -> None:
        where = f"rule {name!r}"
        _check_name(name)
        if not isinstance(metric_name, str) or not metric_name:
            raise RuleError(
                where, field="metric_name", seen=f"the metric name {metric_name!r}", expected="name the metric to judge"
            )
        parsed = Condition.parse(condition, threshold, where=where)
        values: dict[str, object] = {
            "name": name,
            "description": description,
            "severity": _severity(severity, where),
            "metric_name": metric_name,
            "condition": parsed,
            "time_window": _duration("time_window", time_window, where),
            "evaluation_interval": _interval(evaluation_interval, where),
            "notification_interval": _duration("notification_interval", notification_interval, where, zero=True),
            "labels": _labels("labels", labels, where),
            "annotations": dict(_mapping("annotations", annotations, where)),
            "enabled": enabled,
            "collector": collector,
            "match": _labels("match", match, where),
            "group_by": _group_by(group_by, where),
            "hold": _duration("hold", hold, where, zero=True),
            "keep_firing": _duration("keep_firing", keep_firing, where, zero=True),
            "clear": _clear(clear, parsed, where),
        }
        for field, value in values.items():
            object.__setattr__(self, field, value)

    def __repr__(self) -> str:
        every = format_duration(self.evaluation_interval)
        return f"<AlertRule {self.name}: {self.metric_name} {self.condition}, every {every}>"

    @property
    def threshold(self) -> float:
        """The number that the condition compares with."""
        return self.condition.threshold

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "AlertRule":  # Any: whatever a settings file holds
        """Make a rule of a plain dictionary whose keys are the parameters; `metric` may stand for `metric_name`.

        Where left out, `description` is empty, `severity` is "warning". An unknown key is a RuleError.
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
        for key in ("name", "metric_name", "condition"):
            if key not in given:
                raise RuleError(where, field=key, seen=f"no {key}", expected="a rule needs name, metric_name and condition")
        return cls(**{"description": "", "severity": "warning", **given})


_PARAMETERS = tuple(inspect.signature(AlertRule.__init__).parameters)[1:]


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name.strip():
        raise RuleError("rule", field="name", seen=f"the name {name!r}", expected="a rule needs a name of its own")
    if any(unicodedata.category(character) in _CONTROLS for character in name):
        raise RuleError(
            f"rule {name!r}", field="name", seen="a control character in the name", expected="a name is one line of text"
        )


_CONTROLS: Final = ("Cc", "Zl", "Zp", "Cs")
"""The Unicode categories of control characters, line and paragraph breaks, and halves of characters."""


def _severity(value: AlertSeverity | str, where: str) -> AlertSeverity:
    if isinstance(value, AlertSeverity):
        return value
    try:
        return AlertSeverity(str(value).lower())
    except ValueError:
        words = ", ".join(severity.value for severity in AlertSeverity)
        raise RuleError(where, field="severity", seen=f"the severity {value!r}", expected=f"use one of {words}") from None


def _duration(field: str, value: Duration, where: str, *, zero: bool = False) -> float:
    try:
        seconds = parse_duration(value)
    except ValueError as error:
        raise RuleError(where, field=field, seen=f"{field} {error}", expected="a duration") from None
    if seconds < 0 or (seconds == 0 and not zero):
        least = "not negative" if zero else "above zero"
        raise RuleError(where, field=field, seen=f"{field} = {value!r}", expected=f"a duration {least}")
    return seconds


def _interval(value: Duration, where: str) -> float:
    field = "evaluation_interval"
    seconds = _duration(field, value, where)
    if seconds < MIN_INTERVAL:
        least = format_duration(MIN_INTERVAL)
        raise RuleError(where, field=field, seen=f"{field} = {value!r}", expected=f"a duration of {least} at least")
    return seconds


def _mapping(field: str, given: Mapping[str, str] | None, where: str) -> Mapping[str, str]:
    if given is not None and not isinstance(given, Mapping):
        raise RuleError(where, field=field, seen=f"{field} = {given!r}", expected="a dictionary of names and texts")
    return given or {}


def _labels(field: str, labels: Mapping[str, str] | None, where: str) -> Labels:
    labels = _mapping(field, labels, where)
    for name in labels:
        if not isinstance(name, str) or not valid_label_name(name):
            raise RuleError(
                where,
                field=field,
                seen=f"the label name {name!r} in {field}",
                expected="letters, digits and underscores, no digit first",
            )
    return Labels(labels)


def _group_by(names: Sequence[str], where: str) -> tuple[str, ...]:
    if isinstance(names, str):
        raise RuleError(where, field="group_by", seen=f"group_by = {names!r}", expected=f"a list: [{names!r}]")
    if not isinstance(names, Iterable):
        raise RuleError(where, field="group_by", seen=f"group_by = {names!r}", expected="a list of label names")
    _labels("group_by", dict.fromkeys(names, ""), where)
    return tuple(names)


def _clear(clear: float | None, condition: Condition, where: str) -> float | None:
    """A threshold for recovery must not itself breach: else the alert would fire and recover on the same value."""
    if clear is None:
        return None
    if condition.comparator in ("==", "!="):
        raise RuleError(
            where,
            field="clear",
            seen=f"clear = {clear!r} beside {str(condition)!r}",
            expected="only > >= < <= recover so",
        )
    beyond = clear > condition.threshold if condition.wants_high else clear < condition.threshold
    if beyond:
        side = "below" if condition.wants_high else "above"
        raise RuleError(
            where,
            field="clear",
            seen=f"clear = {clear!r} beside {str(condition)!r}",
            expected=f"a number {side} the threshold",
        )
    return float(clear)
