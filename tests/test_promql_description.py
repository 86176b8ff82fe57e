"""Series descriptions: what they stand for, and how errors say what is wrong and where."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kailash_monitor.promql import ParseError
from kailash_monitor.promql.description import (
    MAX_VALUES,
    STALE,
    SeriesDescription,
    Value,
    parse_description,
    parse_labels,
    parse_values,
)
from kailash_monitor.promql.labelset import LabelSet


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", ()),
        ("1", (1.0,)),
        ("1 2  3", (1.0, 2.0, 3.0)),
        ("\t1\t2 ", (1.0, 2.0)),
        ("5x2", (5.0, 5.0, 5.0)),
        ("5x0", (5.0,)),
        ("1+2x3", (1.0, 3.0, 5.0, 7.0)),
        ("1-2x3", (1.0, -1.0, -3.0, -5.0)),
        ("-1+1x3", (-1.0, 0.0, 1.0, 2.0)),
        ("-2-3x1", (-2.0, -5.0)),
        ("+1 -.5 1.5e3 1e-2x1", (1.0, -0.5, 1500.0, 0.01, 0.01)),
        ("_ _x3", (None, None, None, None)),
        ("1 _x0 2", (1.0, 2.0)),
        ("1 stale 2", (1.0, STALE, 2.0)),
        ("Inf -Inf +inf", (math.inf, -math.inf, math.inf)),
        ("Inf+1x1", (math.inf, math.inf)),
        ("1_000", (1000.0,)),
        ("017", (15.0,)),
        ("0x3", (0.0, 0.0, 0.0, 0.0)),
    ],
)
def test_values(text: str, values: tuple[Value, ...]) -> None:
    """`0x3` is 0 and three more of it: there are no hexadecimal numbers here."""
    assert parse_values(text) == values


def test_nan_is_a_value_and_no_gap() -> None:
    (value,) = parse_values("NaN")
    assert isinstance(value, float)
    assert math.isnan(value)


def test_steps_add_up_as_they_do_in_prometheus() -> None:
    """It adds the step again and again, which rounds otherwise than a multiplication."""
    assert parse_values("0+0.1x6")[6] == 0.1 + 0.1 + 0.1 + 0.1 + 0.1 + 0.1 != 0.1 * 6


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("up", {"__name__": "up"}),
        ("job:up:sum", {"__name__": "job:up:sum"}),
        ("up{}", {"__name__": "up"}),
        ("{}", {}),
        ('up{job="a", path="/x y"}', {"__name__": "up", "job": "a", "path": "/x y"}),
        ('up{job="a",}', {"__name__": "up", "job": "a"}),
        ('{__name__="up"}', {"__name__": "up"}),
        ('{"my.metric", "a.b"=\'}\'}', {"__name__": "my.metric", "a.b": "}"}),
        ('{"my.metric"}', {"__name__": "my.metric"}),
        ('sum{by="x"}', {"__name__": "sum", "by": "x"}),
        ('  up{empty=""} ', {"__name__": "up"}),
    ],
)
def test_series(text: str, labels: dict[str, str]) -> None:
    assert parse_labels(text) == LabelSet(labels)
    assert parse_description(f"{text} 1") == SeriesDescription(LabelSet(labels), (1.0,))


def test_a_series_may_have_no_values() -> None:
    assert parse_description('up{job="a"}') == SeriesDescription(LabelSet({"__name__": "up", "job": "a"}), ())


@pytest.mark.parametrize(
    ("text", "message", "marked"),
    [
        ("up 1 two", 'unexpected "two" in series values', "two"),
        ("up 1+2", 'unexpected "1+2" in series values', "1+2"),
        ("up 1x", 'unexpected "1x" in series values', "1x"),
        ("up 1x-1", 'unexpected "1x-1" in series values', "1x-1"),
        ("up stalex3", 'unexpected "stalex3" in series values', "stalex3"),
        ("up NaNx3", 'unexpected "NaNx3" in series values', "NaNx3"),
        ("up 1,2", 'unexpected "1,2" in series values', "1,2"),
        ("up 0x1f", 'unexpected "0x1f" in series values', "0x1f"),
        ("up 1e999", 'error parsing number: strconv.ParseFloat: parsing "1e999": value out of range', "1e999"),
        ("up{}1", "unexpected values right after a series, expected a space", "1"),
        ("up 1x9999999", "more than 1000000 values of one series", "1x9999999"),
        ("up 1 1x999999", "more than 1000000 values of one series", "1x999999"),
        ("up 1x" + "9" * 5000, "more than 1000000 values of one series", "1x" + "9" * 5000),
        ("up _x" + "9" * 5000, "more than 1000000 values of one series", None),
        ("up 1 {{schema:1 sum:3}}x2 4", "native histograms are not supported: {{schema:1 sum:3}}x2", "{{schema:1 sum:3}}x2"),
        ("up {{schema:1 sum:3", "native histograms are not supported: {{schema:1 sum:3", "{{schema:1 sum:3"),
        ('up{a!="x"} 1', 'a series has one value of each label, which a!="x" does not tell', 'up{a!="x"}'),
        ('up{a=~"x"} 1', 'a series has one value of each label, which a=~"x" does not tell', 'up{a=~"x"}'),
        ('up{a="x", a="y"} 1', 'the label "a" of a series is given twice: "x" and "y"', 'up{a="x", a="y"}'),
        ('up{"down"} 1', 'the metric name of a series is given twice: "up" and "down"', 'up{"down"}'),
        ("up{a} 1", 'unexpected "}" in label matching, expected label matching operator', "}"),
        ("up{a='x' 1", "unexpected character inside braces: '1'", "1"),
        ("up{a='x'", "unexpected end of input inside braces", ""),
        ("", "unexpected end of input", ""),
        ("1 2", "unexpected end of input", None),
        ('"up" 1', "unexpected end of input", None),
    ],
)  # fmt: skip
def test_errors_say_what_is_wrong_and_where(text: str, message: str, marked: str | None) -> None:
    with pytest.raises(ParseError) as caught:
        parse_description(text)
    assert caught.value.message == message
    assert caught.value.text == text
    assert marked is None or text[caught.value.start : caught.value.end] == marked


def test_no_values_may_follow_a_series_that_stands_alone() -> None:
    with pytest.raises(ParseError, match='1:4: parse error: unexpected "1 2" after a series'):
        parse_labels("up 1 2")


def test_as_many_values_as_there_may_be() -> None:
    assert len(parse_values(f"1x{MAX_VALUES - 1}")) == MAX_VALUES


@given(st.text() | st.text("upab{}=\"',_x+-0123456789. einfastle"))
def test_any_text_is_read_or_is_a_parse_error(text: str) -> None:
    for read in (parse_description, parse_labels, parse_values):
        try:
            read(text)
        except ParseError as error:
            assert error.text == text


@given(st.lists(st.none() | st.just(STALE) | st.floats(allow_nan=False)))
def test_values_written_one_by_one_are_read_back(values: list[Value]) -> None:
    words = {None: "_", STALE: "stale"}
    assert list(parse_values(" ".join(words.get(value) or repr(value) for value in values))) == values
