"""Scripts of Prometheus' own suite of PromQL (promqltest): what they load, ask and expect, and whether a result is as expected."""

import math
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from kailash_monitor.errors import MonitoringError
from kailash_monitor.promql import Call, Expression, ParseError, Selector, Subquery, ValueType, parse, to_text, walk
from kailash_monitor.promql.demand import demand
from kailash_monitor.promql.description import STALE, SeriesDescription, Value, parse_description, parse_labels
from kailash_monitor.promql.durations import parse_duration
from kailash_monitor.promql.labelset import METRIC_NAME, LabelSet
from kailash_monitor.promql.loaded import LoadedSource
from kailash_monitor.promql.numbers import parse_number
from kailash_monitor.promql.query import Settings, finished, instant, ranged
from kailash_monitor.promql.quoting import unquoted
from kailash_monitor.promql.samples import Matrix, Vector
from kailash_monitor.promql.tree import Aggregation, Binary, Paren, RangeSelector, Unary

__all__ = [
    "Case",
    "Expectation",
    "Load",
    "Mismatch",
    "Steps",
    "check",
    "check_in_range",
    "check_pinned",
    "pinned",
    "read_script",
]

SETTINGS: Final = Settings(delayed_name_removal=True)
"""What the suite is written for."""

NATIVE_ONLY: Final = frozenset({"histogram_avg", "histogram_count", "histogram_sum", "histogram_stddev", "histogram_stdvar"})
"""The functions that only native histograms have values for."""


class Mismatch(AssertionError):
    """A case did not come out as its script expects."""


class Steps(NamedTuple):
    """From when to when a query is evaluated, and how often: milliseconds, the end included."""

    start: int
    end: int
    step: int


@dataclass(frozen=True, slots=True, eq=False)
class Load:
    """Series with values `step` milliseconds apart, the first at 0.

    `native` are those that (also) have native histograms, which are not loaded; `converted` the histograms with custom
    buckets that `load_with_nhcb` would make of the classic ones; `started` those whose start timestamps are told as well.
    """

    step: int
    series: tuple[SeriesDescription, ...]
    native: tuple[LabelSet, ...] = ()
    converted: tuple[LabelSet, ...] = ()
    started: tuple[LabelSet, ...] = ()


@dataclass(frozen=True, slots=True)
class Expectation:
    """An `expect` line: of what kind, and the text or the regular expression that the message must fit, if any."""

    kind: str
    message: str | None = None
    regex: re.Pattern[str] | None = None

    def met_by(self, text: str) -> bool:
        if self.regex is not None:
            return self.regex.search(text) is not None
        return self.message is None or self.message == text


Expected: TypeAlias = float | str | list[tuple[LabelSet, tuple[Value, ...]]]


@dataclass(frozen=True, eq=False, kw_only=True)
class Case:
    """An `eval` of a script, with all that was loaded for it."""

    script: str
    line: int
    text: str
    when: int | Steps
    """One time in milliseconds, or several."""
    window: Steps | None = None
    """The times of the samples expected of an instant query that gives a range vector."""
    expectations: tuple[Expectation, ...] = ()
    expected: Expected
    native: bool = False
    """Native histograms are expected."""
    loads: tuple[Load, ...] = ()

    def __repr__(self) -> str:
        return f"{self.script}:{self.line}"

    @cached_property
    def tree(self) -> Expression:
        return parse(self.text)

    @property
    def instant(self) -> bool:
        return not isinstance(self.when, Steps)

    def expects(self, kind: str) -> tuple[Expectation, ...]:
        return tuple(one for one in self.expectations if one.kind == kind)

    @cached_property
    def needs(self) -> str | None:
        """Why this needs native histograms (or start timestamps, which no rule file has); None where it does not."""
        if self.native:
            return "expects {{"
        for node in walk(self.tree):
            if isinstance(node, Call) and node.name in NATIVE_ONLY:
                return f"calls {node.name}"
        for name, labels in (("loads {{", "native"), ("load_with_nhcb", "converted"), ("loads @st", "started")):
            if self._selects(one for load in self.loads for one in getattr(load, labels)):
                return name
        return None

    def _selects(self, series: Iterable[LabelSet]) -> bool:
        """Whether a selector of the expression would find one of `series`."""
        series = list(series)
        selectors = [node for node in walk(self.tree) if isinstance(node, Selector)]
        return any(_meets(labels, selector) for labels in series for selector in selectors)

    @property
    def in_range(self) -> bool:
        """Whether the same must come out as a step of a range query: `start()` and the like mean something else there."""
        excluded = self.window is not None or isinstance(self.expected, str) or bool(self.expects("fail"))
        return self.instant and not excluded and not _OF_THE_QUERY.search(self.text)

    @property
    def pinnable(self) -> bool:
        """Whether the same must come out at any time, once the time that is asked about is pinned."""
        return self.instant and not any(isinstance(node, Call) and node.name in _OF_THE_TIME for node in _outside(self.tree))


_OF_THE_QUERY: Final = re.compile(r"(start|end|range|step)\(\)")
_OF_THE_TIME: Final = frozenset(
    {
        *("days_in_month", "day_of_month", "day_of_week", "day_of_year", "hour", "minute", "month", "year"),
        *("predict_linear", "time", "timestamp", "start", "end", "step", "range"),
    }
)


def _meets(labels: LabelSet, selector: Selector) -> bool:
    return all(demand(one)(labels.labels.get(one.name, "")) for one in selector.demands())


def _outside(tree: Expression) -> Iterator[Expression]:
    """Give the nodes that are in no subquery."""
    within = {id(node) for one in walk(tree) if isinstance(one, Subquery) for node in walk(one.expression)}
    return (node for node in walk(tree) if id(node) not in within)


# Reading

_CLEAR: Final = re.compile(r"clear\b")
_LOAD: Final = re.compile(r"load(?P<nhcb>_with_nhcb)?\s+(?P<step>.+)")
_INSTANT: Final = re.compile(r"eval(?:_(?P<kind>fail|warn|ordered|info))?\s+instant\s+(?:at\s+(?P<at>.+?))?\s+(?P<text>.+)")
_RANGE: Final = re.compile(
    r"eval(?:_(?P<kind>fail|warn|info))?\s+range\s+from\s+(?P<start>.+)\s+to\s+(?P<end>.+)\s+step\s+(?P<step>.+?)\s+(?P<text>.+)"
)
_EXPECT: Final = re.compile(
    r"expect\s+(?P<kind>ordered|fail|warn|no_warn|info|no_info)(?:\s+(?P<how>regex|msg):(?P<what>.+))?"
)
_EXPECT_RANGE: Final = re.compile(r"expect range vector\s+from\s+(?P<start>.+)\s+to\s+(?P<end>.+)\s+step\s+(?P<step>.+)")
_EXPECT_STRING: Final = re.compile(r"expect string (?P<literal>.+)")
_OLD_FAIL: Final = re.compile(r"expected_fail_(?P<how>message|regexp)\s+(?P<what>.+)")
_COMMAND: Final = re.compile(r"clear\b|load(_with_nhcb)?\s|eval(_\w+)?\s+(instant|range)\s")


def read_script(path: Path) -> list[Case]:
    """Give the cases of a script. A ValueError names the line that cannot be read."""
    cases: list[Case] = []
    loads: tuple[Load, ...] = ()
    for number, head, lines in _commands(path.read_text()):
        try:
            if _CLEAR.match(head):
                loads = ()
            elif found := _LOAD.fullmatch(head):
                loads += (_load(found, lines),)
            else:
                cases.append(replace(_case(head, lines), script=path.stem, line=number, loads=loads))
        except ValueError as error:
            raise ValueError(f"{path.name}:{number}: {error}") from error
    return cases


def _commands(text: str) -> Iterator[tuple[int, str, list[str]]]:
    """Give each command with its line number and the lines below it: a blank line ends it, and so does a comment."""
    head: tuple[int, str, list[str]] | None = None
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if not line or line.startswith("#") or _COMMAND.match(line):
            if head is not None:
                yield head
            head = (number, line, []) if _COMMAND.match(line) else None
        elif head is None:
            raise ValueError(f"line {number}: no command: {line}")
        else:
            head[2].append(line)
    if head is not None:
        yield head


def _milliseconds(text: str) -> int:
    return round((parse_duration(text) if text != "0" else 0) * 1000)


def _steps(found: re.Match[str]) -> Steps:
    return Steps(*(_milliseconds(found[name]) for name in ("start", "end", "step")))


def _load(found: re.Match[str], lines: list[str]) -> Load:
    series: dict[LabelSet, SeriesDescription] = {}
    native: list[LabelSet] = []
    started: list[LabelSet] = []
    for line in lines:
        if head := re.fullmatch(r"(\S*)@st\s.*", line):
            started.append(parse_labels(head[1] or "{}"))
            continue
        one = parse_description(line.split("{{")[0])
        if "{{" in line:
            native.append(one.labels)
        else:
            series[one.labels] = one
    converted = tuple(_converted(series)) if found["nhcb"] else ()
    return Load(_milliseconds(found["step"]), tuple(series.values()), tuple(native), converted, tuple(started))


def _converted(series: Iterable[LabelSet]) -> Iterator[LabelSet]:
    for labels in series:
        base, suffix = re.fullmatch(r"(.*?)(_bucket|_sum|_count)?", labels.name).groups()  # type: ignore[union-attr]  # fits all
        if suffix:
            yield labels.changed({METRIC_NAME: base, "le": ""})


_OLD_KINDS: Final = {None: (), "ordered": (Expectation("ordered"),), "fail": (Expectation("fail"),)} | {
    kind: (Expectation(kind),) for kind in ("warn", "info")
}


def _case(head: str, lines: list[str]) -> Case:
    found = _INSTANT.fullmatch(head) or _RANGE.fullmatch(head)
    if found is None:
        raise ValueError(f"no command: {head}")
    when = _milliseconds(found["at"] or "0") if "at" in found.groupdict() else _steps(found)
    case = Case(script="", line=0, text=found["text"], when=when, expectations=_OLD_KINDS[found["kind"]], expected=[])
    for line in lines:
        case = _with(case, line)
    return case


def _with(case: Case, line: str) -> Case:
    """Give the case as one more line of it has it."""
    if found := _OLD_FAIL.fullmatch(line):
        how = {"message": "msg", "regexp": "regex"}[found["how"]]
        return replace(case, expectations=(_expectation("fail", how, found["what"]),))
    if found := _EXPECT_RANGE.fullmatch(line):
        return replace(case, window=(steps := _steps(found)), when=steps.end)
    if found := _EXPECT_STRING.fullmatch(line):
        return replace(case, expected=unquoted(found["literal"]))
    if found := _EXPECT.fullmatch(line):
        one = _expectation(found["kind"], found["how"], found["what"])
        return replace(case, expectations=(*case.expectations, one))
    if "{{" in line:
        return replace(case, native=True)
    try:
        return replace(case, expected=_number(line))
    except ValueError:
        one_series = parse_description(line)
    earlier = case.expected if isinstance(case.expected, list) else []
    return replace(case, expected=[*earlier, (one_series.labels, one_series.values)])


def _expectation(kind: str, how: str | None, what: str) -> Expectation:
    if how is None:
        return Expectation(kind)
    return Expectation(kind, what.strip()) if how == "msg" else Expectation(kind, regex=re.compile(what.strip()))


def _number(text: str) -> float:
    value = parse_number(text[1:] if text[0] in "+-" else text)
    return -value if text[0] == "-" else value


# Running


@cache
def source_of(loads: tuple[Load, ...]) -> LoadedSource:
    """Give what a case is evaluated over."""
    loaded: dict[LabelSet, dict[int, float]] = {}
    stale: dict[LabelSet, set[int]] = {}
    for load in loads:
        for one in load.series:
            values, ends = loaded.setdefault(one.labels, {}), stale.setdefault(one.labels, set())
            for index, value in enumerate(one.values):
                if value is STALE:
                    ends.add(index * load.step)
                elif isinstance(value, float):
                    values[index * load.step] = value
    source = LoadedSource()
    for labels, values in loaded.items():
        times = sorted(values)
        source.add(labels, times, [values[time] for time in times], sorted(stale[labels]))
    return source


def check(case: Case) -> None:
    """Evaluate a case as it stands. A Mismatch says what came out otherwise than expected."""
    _check(case, case.tree, case.text, case.when)


def check_in_range(case: Case, text: str | None = None, at: int | None = None) -> None:
    """Evaluate an instant case as the middle step of a range query."""
    assert not isinstance(case.when, Steps)
    text, at = case.text if text is None else text, case.when if at is None else at
    steps = Steps(at - 60_000, at + 60_000, 60_000)
    source = source_of(case.loads)
    matrix: Any = finished(ranged(parse(text), text, source, *steps, SETTINGS)).value  # Any: of a range query a matrix
    _sorted_by_labels(matrix)
    if case.expects("ordered"):
        return
    vector = [(labels, dict(zip(samples.times, samples.values, strict=True)).get(at)) for labels, samples in matrix]
    there: Vector = [(labels, value) for labels, value in vector if value is not None]
    scalar = isinstance(case.expected, float)
    _compare(case, there[0][1] if scalar and there else there)


def check_pinned(case: Case) -> None:
    """Evaluate an instant case at other times, with what it asks about pinned to its own."""
    assert not isinstance(case.when, Steps)
    text = to_text(pinned(case.tree, case.when / 1000))
    tree, time = parse(text), case.when
    for at in (-10 * time, 0, int(time / 5), time, 10 * time) if time else (-1000, 0, 1000):
        try:
            _check(case, tree, text, at)
            if case.in_range and not _OF_THE_QUERY.search(text):
                check_in_range(case, text, at)
        except Mismatch as error:
            raise Mismatch(f"{text} at {at} ms: {error}") from None


def pinned(node: Expression, at: float) -> Expression:
    """Give an expression with all selectors and subqueries pinned to a time that are not, nor are within one."""
    match node:
        case Selector() | Subquery():
            return node if node.at is not None else replace(node, at=at)
        case RangeSelector(selector=selector):
            return replace(node, selector=selector if selector.at is not None else replace(selector, at=at))
        case Call(arguments=arguments):
            return replace(node, arguments=tuple(pinned(one, at) for one in arguments))
        case Aggregation(expression=inner, parameter=parameter):
            return replace(
                node, expression=pinned(inner, at), parameter=None if parameter is None else pinned(parameter, at)
            )
        case Binary(left=left, right=right):
            return replace(node, left=pinned(left, at), right=pinned(right, at))
        case Unary(expression=inner) | Paren(expression=inner):
            return replace(node, expression=pinned(inner, at))
        case _:
            return node


def _check(case: Case, tree: Expression, text: str, when: int | Steps) -> None:
    source = source_of(case.loads)
    try:
        if isinstance(when, Steps):
            got = finished(ranged(tree, text, source, *when, SETTINGS))
        else:
            got = finished(instant(tree, text, source, when, SETTINGS))
    except MonitoringError as error:
        _compare_failure(case, error)
        return
    if case.expects("fail"):
        raise Mismatch(f"no error, but {got.value!r}")
    _compare_annotations(case, "warn", got.warnings)
    _compare_annotations(case, "info", got.infos)
    if got.type is ValueType.MATRIX:
        _sorted_by_labels(got.value)
    _compare(case, got.value)


# Comparing


def _compare_failure(case: Case, error: MonitoringError) -> None:
    text = error.message if isinstance(error, ParseError) else str(error)
    expected = case.expects("fail")
    if not expected:
        raise Mismatch(f"unexpected {type(error).__name__}: {text}") from error
    if not expected[0].met_by(text):
        raise Mismatch(f"error {text!r}, expected {expected[0]}") from error


def _compare_annotations(case: Case, kind: str, got: tuple[str, ...]) -> None:
    """Each expectation must be met, and if there is any, each annotation expected."""
    if case.expects(f"no_{kind}") and got:
        raise Mismatch(f"unexpected {kind}: {got}")
    expected = case.expects(kind)
    for one in expected:
        if not any(one.met_by(text) for text in got):
            raise Mismatch(f"no {kind} as in {one}, but {got}")
    for text in got if expected else ():
        if not any(one.met_by(text) for one in expected):
            raise Mismatch(f"unexpected {kind} {text!r}")


def _compare(case: Case, got: float | str | Vector | Matrix) -> None:
    expected = case.expected
    if isinstance(got, list) and isinstance(expected, list):
        _compare_series(case, expected, got)
        return
    if isinstance(got, float) and isinstance(expected, float):
        same = almost_equal(got, expected)
    else:
        same = isinstance(got, str) and got == expected
    if not same:
        raise Mismatch(f"got {got!r}, expected {expected!r}")


def _compare_series(case: Case, expected: list[tuple[LabelSet, tuple[Value, ...]]], got: Vector | Matrix) -> None:
    names = [_shown(labels) for labels, _ in got]
    wanted = [_shown(labels) for labels, _ in expected]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise Mismatch(f"more than one {twice}")
    if case.expects("ordered") and names != wanted:
        raise Mismatch(f"got {names}, in this order expected {wanted}")
    if set(names) != set(wanted):
        raise Mismatch(f"unexpected {sorted(set(names) - set(wanted))}, missing {sorted(set(wanted) - set(names))}")
    by_name = dict(zip(wanted, (values for _, values in expected), strict=True))
    for name, (_, value) in zip(names, got, strict=True):
        _compare_values(case, name, by_name[name], value)


def _compare_values(case: Case, name: str, expected: tuple[Value, ...], got: object) -> None:
    steps = case.when if isinstance(case.when, Steps) else case.window
    if steps is None:
        (value,) = expected
        same = isinstance(got, float) and isinstance(value, float) and almost_equal(got, value)
    else:
        due = {steps.start + index * steps.step: value for index, value in enumerate(expected) if isinstance(value, float)}
        points = dict(zip(got.times, got.values, strict=True))  # type: ignore[attr-defined]  # Samples, in a matrix
        same = list(points) == list(due) and all(almost_equal(points[time], value) for time, value in due.items())
        same = same and all(time <= steps.end for time in due)
        got = points
    if not same:
        raise Mismatch(f"{name} is {got!r}, expected {expected}")


def _shown(labels: LabelSet) -> str:
    return LabelSet(labels.labels).text()


def _sorted_by_labels(matrix: Any) -> None:  # Any: a matrix, as the type of the result says
    keys = [sorted(labels.labels.items()) for labels, _ in matrix]
    if keys != sorted(keys):
        raise Mismatch(f"series not in the order of their labels: {[_shown(labels) for labels, _ in matrix]}")


def almost_equal(a: float, b: float) -> bool:
    """Whether two values are the same to Prometheus' suite: they differ by less than a millionth of their sum."""
    if a == b or (math.isnan(a) and math.isnan(b)):
        return True
    if math.isnan(a) or math.isnan(b):
        return False
    total, apart = abs(a) + abs(b), abs(a - b)
    if not a or not b or total < sys.float_info.min:
        return apart < 1e-6 * sys.float_info.min
    return apart / min(total, sys.float_info.max) < 1e-6
