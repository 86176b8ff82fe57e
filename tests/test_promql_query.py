"""Queries: an expression at one time or over a stretch of it, whatever the expression and the data."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kailash_monitor.promql import AGGREGATORS, FUNCTIONS, Call, EvaluationError, ParseError, ValueType, parse, to_text, walk
from kailash_monitor.promql.joined import JoinedSource
from kailash_monitor.promql.labelset import METRIC_NAME, LabelSet
from kailash_monitor.promql.loaded import LoadedSource
from kailash_monitor.promql.query import Result, Settings, finished, instant, ranged
from kailash_monitor.promql.samples import Samples

from test_promql_oracle import FULL, LEFT_OUT, MOMENTS, Author, random_series  # isort: skip

NAMES = [name for name in (*FUNCTIONS, *AGGREGATORS) if name not in LEFT_OUT]
MOMENT = MOMENTS[0]


def loaded(*series: tuple[dict[str, str], Sequence[int], Sequence[float]]) -> LoadedSource:
    source = LoadedSource()
    for labels, times, values in series:
        source.add(LabelSet(labels), times, values)
    return source


def ask(text: str, source: LoadedSource | JoinedSource, time: int = 60_000, **settings: int) -> Result:
    return finished(instant(parse(text), text, source, time, Settings(**settings)))  # type: ignore[arg-type]


def ask_range(text: str, source: LoadedSource, start: int, end: int, step: int, **settings: int) -> Result:
    return finished(ranged(parse(text), text, source, start, end, step, Settings(**settings)))  # type: ignore[arg-type]


def values_of(result: Result) -> dict[str, object]:
    return {labels.text(): value for labels, value in result.value}  # type: ignore[union-attr]


TIMES = list(range(0, 60_001, 15_000))
ONE = loaded(
    ({METRIC_NAME: "a", "x": "1"}, TIMES, [0.0, 1.0, 2.0, 3.0, 4.0]),
    ({METRIC_NAME: "b", "x": "1"}, TIMES, [9.0, 8.0, 7.0, 6.0, 5.0]),
)


# What comes of it


def test_a_scalar_a_text_a_vector_and_a_matrix() -> None:
    assert ask("1 + 1", ONE) == Result(ValueType.SCALAR, 2.0)
    assert ask('"text"', ONE) == Result(ValueType.STRING, "text")
    assert values_of(ask("a", ONE)) == {'a{x="1"}': 4.0}
    result = ask("a[30s]", ONE)
    assert result.type is ValueType.MATRIX
    ((labels, samples),) = result.value  # type: ignore[misc, union-attr]
    assert (str(labels), samples.times, samples.values) == ('a{x="1"}', [45_000, 60_000], [3.0, 4.0])  # type: ignore[union-attr]


def test_a_range_gives_each_series_its_values_in_the_order_of_labels() -> None:
    result = ask_range('{x="1"} > 1', ONE, 0, 60_000, 30_000)
    assert [(str(labels), samples.times, samples.values) for labels, samples in result.value] == [  # type: ignore[union-attr]
        ('a{x="1"}', [30_000, 60_000], [2.0, 4.0]),
        ('b{x="1"}', [0, 30_000, 60_000], [9.0, 7.0, 5.0]),
    ]


def test_series_that_differ_in_their_names_alone_cannot_lose_them() -> None:
    for text in ('rate({x="1"}[1m])', '-{x="1"}', 'abs({x="1"})', '{x="1"} * 2', '{x="1"} > bool 2'):
        with pytest.raises(EvaluationError, match="vector cannot contain metrics with the same labelset"):
            ask(text, ONE)
    assert len(ask('last_over_time({x="1"}[1m])', ONE).value) == 2  # type: ignore[arg-type]


def test_names_can_be_dropped_at_the_end_alone() -> None:
    kept = 'label_replace(delta({x="1"}[1m]), "name", "$1", "__name__", "(.*)")'
    assert values_of(ask(kept, ONE, delayed_name_removal=1)).keys() == {'{name="a", x="1"}', '{name="b", x="1"}'}
    with pytest.raises(EvaluationError, match="vector cannot contain metrics with the same labelset"):
        ask('rate({x="1"}[1m])', ONE, delayed_name_removal=1)


def test_a_sample_stands_for_its_series_for_the_lookback_and_no_longer() -> None:
    assert values_of(ask("a", ONE, 60_000 + 299_999)) == {'a{x="1"}': 4.0}
    assert values_of(ask("a", ONE, 60_000 + 300_000)) == {}
    assert values_of(ask("a", ONE, 60_000 + 9_999, lookback=10_000)) == {'a{x="1"}': 4.0}


def test_a_series_that_has_ended_is_not_there() -> None:
    source = LoadedSource()
    source.add(LabelSet({METRIC_NAME: "a"}), [0, 15_000, 45_000], [1.0, 2.0, 3.0], stale=[30_000])
    assert [values_of(ask("a", source, time)) for time in (29_999, 30_000, 45_000)] == [{"a": 2.0}, {}, {"a": 3.0}]
    assert values_of(ask("count_over_time(a[1m])", source)) == {"{}": 2.0}


def test_sources_can_be_joined() -> None:
    other = loaded(({METRIC_NAME: "c"}, TIMES, [1.0] * 5))
    assert values_of(ask('{__name__=~"a|c"}', JoinedSource(ONE, other))) == {'a{x="1"}': 4.0, "c": 1.0}


def test_a_series_that_is_added_again_is_replaced() -> None:
    source = loaded(({METRIC_NAME: "a"}, TIMES, [1.0] * 5), ({METRIC_NAME: "a"}, TIMES, [2.0] * 5))
    assert (len(source), values_of(ask("a", source))) == (1, {"a": 2.0})


def test_each_value_needs_its_time() -> None:
    with pytest.raises(ValueError, match="2 times for 1 values; each value has its time"):
        loaded(({METRIC_NAME: "a"}, [1, 2], [1.0]))


# What is refused


def test_functions_of_native_histograms_say_that_there_are_none() -> None:
    with pytest.raises(EvaluationError, match=r"histogram_count\(\) is not supported: it needs native histograms"):
        ask("histogram_count(a)", ONE)


@pytest.mark.parametrize("text", ["a[1m]", '"text"'])
def test_over_a_stretch_of_time_only_scalars_and_vectors_are_evaluated(text: str) -> None:
    with pytest.raises(EvaluationError, match="for range query, must be Scalar or instant Vector"):
        ask_range(text, ONE, 0, 1, 1)


@pytest.mark.parametrize(("start", "end", "step"), [(0, 10, 0), (0, 10, -1), (10, 0, 1)])
def test_a_stretch_of_time_goes_forward(start: int, end: int, step: int) -> None:
    with pytest.raises(ValueError, match="the step must be above 0 and the end not before the start"):
        ask_range("a", ONE, start, end, step)


@pytest.mark.parametrize("text", ["a[0s:1s]", "sum_over_time(a[1m:0s])", "rate(a[1m - 60s])"])
def test_a_stretch_of_no_time_is_none(text: str) -> None:
    with pytest.raises(ParseError, match="duration must be greater than 0"):
        ask(text, ONE)


@pytest.mark.parametrize("text", ['{x="1"}', "max_over_time(nothing[1y:1ms])", "max_over_time(a[1m])", "a[1m]"])
def test_too_many_samples_are_refused(text: str) -> None:
    with pytest.raises(EvaluationError, match="query processing would load too many samples into memory"):
        ask(text, ONE, max_samples=1)


# What is told


def test_what_is_no_counter_by_its_name_is_told_where_it_has_samples() -> None:
    (info,) = ask("rate(a[1m]) + rate(nothing[1m])", ONE).infos
    assert info == ('PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: "a" (1:6)')


def test_to_sort_over_a_stretch_of_time_is_in_vain() -> None:
    assert ask("sort(a)", ONE).warnings == ()
    (warning,) = ask_range("sort(a)", ONE, 0, 60_000, 30_000).warnings
    assert warning.startswith("PromQL warning: sort is ineffective for range queries")


# Laws

ODD = LoadedSource()
for _labels, _times, _values in random_series():
    ODD.add(_labels, _times, _values, stale=[_times[-1] + 1])
ODD.add(LabelSet({METRIC_NAME: "rnd_g", "a": "w"}), [MOMENT - 60_000, MOMENT - 1], [math.nan, 1e308])
ODD.add(LabelSet({METRIC_NAME: "rnd_total", "b": "3"}), [-MOMENT, MOMENT - 1], [-1e308, 1e308])


@given(st.integers(0, 10**9), st.booleans(), st.sampled_from([0, MOMENT, -MOMENT, 2**53]))
def test_nothing_but_an_error_of_its_own_comes_of_any_expression(number: int, delayed: bool, time: int) -> None:
    tree = Author(number, NAMES).expression()
    text = to_text(tree)
    try:
        result = finished(instant(tree, text, ODD, time, Settings(delayed_name_removal=delayed, max_samples=100_000)))
    except (EvaluationError, ParseError) as error:
        assert str(error)
    else:
        assert isinstance(result.value, float | list)


@given(st.integers(0, 10**9))
def test_over_a_stretch_of_time_it_is_at_each_step_what_it_is_at_that_time(number: int) -> None:
    tree = Author(number, NAMES).expression()
    assume(not any(isinstance(node, Call) and node.name in ("start", "end", "step", "range") for node in walk(tree)))
    text, start, step = to_text(tree), MOMENT - 120_000, 60_000
    try:
        matrix = finished(ranged(tree, text, ODD, start, MOMENT, step)).value
    except (EvaluationError, ParseError):
        return
    found: dict[int, dict[LabelSet, float]] = {time: {} for time in range(start, MOMENT + 1, step)}
    for labels, samples in matrix:  # type: ignore[union-attr]
        assert isinstance(samples, Samples)
        for time, value in zip(samples.times, samples.values, strict=True):
            found[time][labels] = value
    for time, vector in found.items():
        value = finished(instant(tree, text, ODD, time)).value
        at_that_time = dict(value) if isinstance(value, list) else {LabelSet({}): value}
        assert {k: str(v) for k, v in at_that_time.items()} == {k: str(v) for k, v in vector.items()}


def test_the_laws_have_something_to_tell() -> None:
    told = 0
    for number in range(50):
        tree = Author(number, NAMES).expression()
        try:
            result = finished(instant(tree, to_text(tree), ODD, MOMENT))
        except EvaluationError:
            continue
        told += bool(result.value)
    assert told > 20
    assert set(FULL) <= {one.labels.name for one in ODD.series}
