"""Range functions: what a series' samples in a window come to, as Prometheus computes it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from math import isnan, nan, sqrt
from operator import gt, ne
from typing import Final

from kailash_monitor.promql.extrapolation import delta, idelta, increase, irate, rate
from kailash_monitor.promql.quantile import quantile
from kailash_monitor.promql.regression import deriv, double_exponential_smoothing, predict_linear
from kailash_monitor.promql.summation import exact_mean, exact_sum, variance
from kailash_monitor.promql.window import RangeWindow

__all__ = ["OVER_TIME", "OverTime", "RangeWindow"]


@dataclass(frozen=True, slots=True)
class OverTime:
    """A range function.

    `compute(times, values, window, *parameters)` takes the samples in the window, one at least and in order of time, and
    the function's scalars in their order; None says that the series is no part of the result. All values are allowed, and
    an EvaluationError is the one error. The result is told with the metric's name where `keeps_name`.
    """

    name: str
    compute: Callable[..., float | None]
    keeps_name: bool = False


def _avg(times: Sequence[int], values: Sequence[float], window: RangeWindow) -> float:
    return exact_mean(values)


def _sum(times: Sequence[int], values: Sequence[float], window: RangeWindow) -> float:
    return exact_sum(values)


def _count(times: Sequence[int], values: Sequence[float], window: RangeWindow) -> float:
    return float(len(values))


def _present(times: Sequence[int], values: Sequence[float], window: RangeWindow) -> float:
    return 1.0


def _max(times: Sequence[int], values: Sequence[float], window: RangeWindow) -> float:
    """Give the greatest value, NaN only where all are: `max` passes over NaN but for the first value."""
    greatest = max(values)
    return greatest if greatest == greatest else max((value for value in values if value == value), default=nan)


def _min(times: Sequence[int], values: Sequence[float], window: RangeWindow) -> float:
    """Give the least value, NaN only where all are."""
    least = min(values)
    return least if least == least else min((value for value in values if value == value), default=nan)


def _stdvar(times: Sequence[int], values: Sequence[float], window: RangeWindow) -> float:
    return variance(values)


def _stddev(times: Sequence[int], values: Sequence[float], window: RangeWindow) -> float:
    squared = variance(values)
    return sqrt(squared) if squared >= 0 else nan


def _quantile(times: Sequence[int], values: Sequence[float], window: RangeWindow, phi: float) -> float:
    return quantile(phi, values)


def _mad(times: Sequence[int], values: Sequence[float], window: RangeWindow) -> float:
    """Give the median of the distances to the median; NaN where one value is."""
    if any(map(isnan, values)):
        return nan
    median = quantile(0.5, values)
    return quantile(0.5, [abs(value - median) for value in values])


def _first(times: Sequence[int], values: Sequence[float], window: RangeWindow) -> float:
    return values[0]


def _last(times: Sequence[int], values: Sequence[float], window: RangeWindow) -> float:
    return values[-1]


def _ts_of_first(times: Sequence[int], values: Sequence[float], window: RangeWindow) -> float:
    return times[0] / 1000


def _ts_of_last(times: Sequence[int], values: Sequence[float], window: RangeWindow) -> float:
    return times[-1] / 1000


def _ts_of_max(times: Sequence[int], values: Sequence[float], window: RangeWindow) -> float:
    return _last_time_of(_max(times, values, window), times, values)


def _ts_of_min(times: Sequence[int], values: Sequence[float], window: RangeWindow) -> float:
    return _last_time_of(_min(times, values, window), times, values)


def _last_time_of(wanted: float, times: Sequence[int], values: Sequence[float]) -> float:
    """Give when `wanted` was read last, in seconds; NaN is wanted only where all values are NaN."""
    place = -1 if isnan(wanted) else -1 - values[::-1].index(wanted)
    return times[place] / 1000


def _resets(times: Sequence[int], values: Sequence[float], window: RangeWindow) -> float:
    """Count how often a value is less than the one before."""
    return float(sum(map(gt, values, islice(values, 1, None))))


def _changes(times: Sequence[int], values: Sequence[float], window: RangeWindow) -> float:
    """Count how often a value is another than the one before; NaN after NaN is no other."""
    changes = sum(map(ne, values, islice(values, 1, None)))
    if changes and isnan(sum(values)):
        changes -= sum(isnan(before) and isnan(after) for before, after in pairwise(values))
    return float(changes)


_FUNCTIONS: Final[dict[str, Callable[..., float | None]]] = {
    "avg_over_time": _avg,
    "changes": _changes,
    "count_over_time": _count,
    "delta": delta,
    "deriv": deriv,
    "double_exponential_smoothing": double_exponential_smoothing,
    "first_over_time": _first,
    "idelta": idelta,
    "increase": increase,
    "irate": irate,
    "last_over_time": _last,
    "mad_over_time": _mad,
    "max_over_time": _max,
    "min_over_time": _min,
    "predict_linear": predict_linear,
    "present_over_time": _present,
    "quantile_over_time": _quantile,
    "rate": rate,
    "resets": _resets,
    "stddev_over_time": _stddev,
    "stdvar_over_time": _stdvar,
    "sum_over_time": _sum,
    "ts_of_first_over_time": _ts_of_first,
    "ts_of_last_over_time": _ts_of_last,
    "ts_of_max_over_time": _ts_of_max,
    "ts_of_min_over_time": _ts_of_min,
}

_KEEP_NAME: Final = ("first_over_time", "last_over_time")
"""What these give are the series' own samples."""

OVER_TIME: Final[Mapping[str, OverTime]] = {
    name: OverTime(name, compute, name in _KEEP_NAME) for name, compute in _FUNCTIONS.items()
}
"""Every function of a range by its name, but for absent_over_time, which is about series that are not there."""
