"""Information: what info metrics, such as `target_info`, say of the targets that series come from.

`info` keeps the metric's name. It needs the series of the info metrics: ask `info_demands` which ones, and give `info` what
each of them read last, at the time of the evaluation.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

from kailash_monitor.model.matcher import Operator
from kailash_monitor.promql.demand import demand
from kailash_monitor.promql.errors import EvaluationError
from kailash_monitor.promql.labelset import METRIC_NAME, LabelSet
from kailash_monitor.promql.samples import Vector
from kailash_monitor.promql.source import Pieces
from kailash_monitor.promql.tree import Call, LabelMatcher, Selector

__all__ = ["InfoSample", "info", "info_demands"]

IDENTIFYING: Final = ("instance", "job")
"""The labels by which a target is known."""

TARGET_INFO: Final = LabelMatcher(METRIC_NAME, Operator.EQUAL, "target_info")
"""The info metric that is meant where none is named."""

ANY_INFO: Final = LabelMatcher(METRIC_NAME, Operator.REGEX, ".+_info")
"""The info metrics of which some are meant where it is only said which not."""

PIECE: Final = 250
"""Series that are looked at without a pause: about a millisecond's work."""

Target: TypeAlias = tuple[str, ...]
"""The values of the labels by which a target is known, empty where a series has none."""


class InfoSample(NamedTuple):
    """A series of an info metric, and when it read last, in milliseconds since 1970. What it read does not matter."""

    labels: LabelSet
    time: int


Sources: TypeAlias = dict[str, InfoSample]
"""The latest sample of each info metric of one target, by the metric's name."""


def info_demands(node: Call) -> tuple[LabelMatcher, ...]:
    """Give what the series of info metrics must meet for this call of `info`."""
    matchers = _matchers(node)
    return *_names(matchers), *(matcher for matcher in matchers if matcher.name != METRIC_NAME)


def info(node: Call, vector: Vector, samples: Sequence[InfoSample]) -> Pieces[Vector]:
    """Add labels to the series in `vector` from info metrics of the same target: all, or those the call has matchers for.

    A label that a series has already stays as it is. Series of the info metrics themselves are left alone. A series without
    an info metric is left out if a matcher demands something of a label's value. An EvaluationError where two series of
    an info metric were read at the same time for one target, or two info metrics differ in a label.
    """
    matchers = [matcher for matcher in _matchers(node) if matcher.name != METRIC_NAME]
    wanted = {matcher.name for matcher in matchers}
    dispensable = all(demand(matcher)("") for matcher in matchers)
    is_source = _is_source(node)
    known = yield from _by_target(samples, (yield from _sought(vector, is_source)))
    additions = {target: _additions(sources.values(), wanted) for target, sources in known.items()}
    result: Vector = []
    for index, (labels, value) in enumerate(vector, 1):
        if is_source(labels):
            result.append((labels, value))
        elif (addition := additions.get(_target(labels))) is not None:
            result.append((_enriched(labels, *addition), value))
        elif dispensable:
            result.append((labels, value))
        if not index % PIECE:
            yield
    return result


def _matchers(node: Call) -> tuple[LabelMatcher, ...]:
    return node.arguments[1].matchers if len(node.arguments) > 1 and isinstance(node.arguments[1], Selector) else ()


def _names(matchers: Iterable[LabelMatcher]) -> tuple[LabelMatcher, ...]:
    """Give what the names of the info metrics must meet, as Prometheus completes what was written."""
    names = tuple(matcher for matcher in matchers if matcher.name == METRIC_NAME)
    if not names:
        return (TARGET_INFO,)
    positive = any(matcher.operator in (Operator.EQUAL, Operator.REGEX) for matcher in names)
    return names if positive else (ANY_INFO, *names)


def _is_source(node: Call) -> Callable[[LabelSet], bool]:
    """Give whether a series is one of the info metrics that the call asks for."""
    tests = [demand(matcher) for matcher in _names(_matchers(node))]
    return lambda labels: all(test(labels.name) for test in tests)


def _target(labels: LabelSet) -> Target:
    return tuple(labels.labels.get(name, "") for name in IDENTIFYING)


def _sought(vector: Vector, is_source: Callable[[LabelSet], bool]) -> Pieces[list[set[str]]]:
    """Give the values that the series have of each label by which a target is known."""
    sought: list[set[str]] = [set() for _ in IDENTIFYING]
    for index, (labels, _) in enumerate(vector, 1):
        if not is_source(labels):
            for values, value in zip(sought, _target(labels), strict=True):
                values.add(value)
        if not index % PIECE:
            yield
    return [values - {""} for values in sought]


def _by_target(samples: Sequence[InfoSample], sought: Sequence[Collection[str]]) -> Pieces[dict[Target, Sources]]:
    """Give the latest sample of each info metric for each target that has the values `sought`, where there are any."""
    known: dict[Target, Sources] = {}
    if not any(sought):
        return known
    for index, sample in enumerate(samples, 1):
        target = _target(sample.labels)
        if all(not values or one in values for one, values in zip(target, sought, strict=True)):
            sources = known.setdefault(target, {})
            name = sample.labels.name
            sources[name] = _latest(sources.get(name), sample)
        if not index % PIECE:
            yield
    return known


def _latest(earlier: InfoSample | None, sample: InfoSample) -> InfoSample:
    if earlier is None or earlier.time < sample.time:
        return sample
    if earlier.time > sample.time:
        return earlier
    existing, new = (f"{one.labels.in_braces()} @ {one.time}" for one in (earlier, sample))
    raise EvaluationError(f"found duplicate series for info metric: existing {existing}, new {new}")


def _additions(sources: Iterable[InfoSample], wanted: Collection[str]) -> tuple[dict[str, str], set[str]]:
    """Give what info metrics say of one target, and in which labels they contradict each other."""
    said: dict[str, str] = {}
    contradictory: set[str] = set()
    for source in sources:
        for name, value in source.labels.labels.items():
            if name != METRIC_NAME and (not wanted or name in wanted) and said.setdefault(name, value) != value:
                contradictory.add(name)
    return said, contradictory


def _enriched(labels: LabelSet, said: Mapping[str, str], contradictory: Iterable[str]) -> LabelSet:
    own = labels.labels
    for name in sorted(contradictory):
        if name not in own:
            raise EvaluationError(f"conflicting label: {name}")
    new = {name: value for name, value in said.items() if name not in own}
    return labels.changed(new) if new else labels
