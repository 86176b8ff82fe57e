"""Durations at the border."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kailash_monitor.model.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (5, 5.0),
        (0.25, 0.25),
        (timedelta(minutes=5), 300.0),
        ("500ms", 0.5),
        ("10s", 10.0),
        (" 1h30m ", 5400.0),
        ("1.5m", 90.0),
        ("7d", 604_800.0),
        ("2w", 1_209_600.0),
        ("-5s", -5.0),
    ],
)
def test_every_spelling_of_a_duration_is_seconds_inside(given: object, seconds: float) -> None:
    assert parse_duration(given) == seconds  # type: ignore[arg-type]


@pytest.mark.parametrize("given", ["", "5", "5 m", "m5", "5y", "1h 30m", "--5s", None, True, [], float("nan"), float("inf")])
def test_what_is_no_duration_is_refused_by_name(given: object) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.25, "250ms"), (1.5, "1.5s"), (59, "59s"), (90, "1m30s"), (3600, "1h"), (3605, "1h"), (90061, "1d1h"),
     (604_800, "1w"), (-90, "-1m30s")],
)  # fmt: skip
def test_durations_are_written_in_at_most_two_units(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(min_value=1, max_value=10_000_000))
def test_a_written_duration_is_off_by_an_eighth_at_most(seconds: int) -> None:
    assert abs(parse_duration(format_duration(seconds)) - seconds) <= max(0.5, seconds / 8)
