"""Trends: straight lines through samples, and values smoothed along them."""

from collections.abc import Sequence
from math import isinf, nan

from kailash_monitor.promql.arithmetic import divided
from kailash_monitor.promql.errors import EvaluationError
from kailash_monitor.promql.summation import exact_sum
from kailash_monitor.promql.window import RangeWindow

__all__ = ["deriv", "double_exponential_smoothing", "predict_linear"]


def deriv(times: Sequence[int], values: Sequence[float], window: RangeWindow) -> float | None:
    """Give the slope of the samples' regression line for each second; None for fewer than two samples."""
    return _line(times, values, times[0])[0] if len(values) > 1 else None


def predict_linear(times: Sequence[int], values: Sequence[float], window: RangeWindow, seconds: float) -> float | None:
    """Give what the regression line has `seconds` after the evaluation; None for fewer than two samples."""
    if len(values) < 2:
        return None
    slope, intercept = _line(times, values, window.now)
    return slope * seconds + intercept


def _line(times: Sequence[int], values: Sequence[float], origin: int) -> tuple[float, float]:
    """Give the slope for each second, and the value at `origin`, of the least squares' line.

    https://en.wikipedia.org/wiki/Simple_linear_regression
    """
    level = values[0]
    if all(value == level for value in values):
        return (nan, nan) if isinf(level) else (0.0, level)
    count = len(values)
    xs = [(time - origin) / 1000 for time in times]
    sum_x, sum_y = exact_sum(xs), exact_sum(values)
    sum_xy = exact_sum([x * y for x, y in zip(xs, values, strict=True)])
    sum_xx = exact_sum([x * x for x in xs])
    slope = divided(sum_xy - sum_x * sum_y / count, sum_xx - sum_x * sum_x / count)
    return slope, sum_y / count - slope * sum_x / count


def double_exponential_smoothing(
    times: Sequence[int], values: Sequence[float], window: RangeWindow, smoothing: float, trending: float
) -> float | None:
    """Give the last value, smoothed along its trend; None for fewer than two samples.

    Both factors lie between 0 and 1, else an EvaluationError says so: of a smaller `smoothing` older samples count more,
    with a larger `trending` the trend follows sooner. https://en.wikipedia.org/wiki/Exponential_smoothing
    """
    for name, letter, factor in (("smoothing", "sf", smoothing), ("trend", "tf", trending)):
        if factor <= 0 or factor >= 1:
            raise EvaluationError(f"invalid {name} factor. Expected: 0 < {letter} < 1, got: {_fixed(factor)}")
    if len(values) < 2:
        return None
    before, trend = values[0], values[1] - values[0]
    smoothed = smoothing * values[1] + (1 - smoothing) * (before + trend)
    for value in values[2:]:
        trend = trending * (smoothed - before) + (1 - trending) * trend
        before, smoothed = smoothed, smoothing * value + (1 - smoothing) * (smoothed + trend)
    return smoothed


def _fixed(number: float) -> str:
    """Write a number as Go's %f does."""
    return f"{number:+f}".replace("inf", "Inf") if isinf(number) else f"{number:f}"
