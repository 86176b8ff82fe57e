"""Exponential buckets: a distribution kept as counts, so that percentiles of any merge are known within 2.2 %.

Bucket i holds the values in (b^(i-1), b^i] with b = 2^(1/16), and is read as its geometric middle b^(i-1/2), which is off
by at most b^(1/2) - 1 = 2.19 %. Negative values mirror the positive ones. This is schema 4 of Prometheus' native histograms.
"""

import math
from collections.abc import Mapping
from typing import Final

__all__ = ["OFFSET", "PER_DOUBLING", "bucket_middle", "bucket_of", "percentile"]

PER_DOUBLING: Final = 16
OFFSET: Final = 20_000  # above 16 · 1075, the index of the smallest float: indices of positive values stay positive


def bucket_of(value: float) -> int:
    """Give the index of the bucket of `value`. Indices rise with the values; 0 is the bucket of zero alone."""
    if value == 0:
        return 0
    index = math.ceil(math.log2(abs(value)) * PER_DOUBLING) + OFFSET
    return index if value > 0 else -index


def bucket_middle(index: int) -> float:
    """Give the value that stands for bucket `index`."""
    if index == 0:
        return 0.0
    exponent = (abs(index) - OFFSET - 0.5) / PER_DOUBLING
    return math.copysign(2.0**exponent if exponent < 1024 else math.inf, index)


def percentile(q: float, buckets: Mapping[int, int], *, low: float, high: float) -> float:
    """Give the nearest-rank percentile: the ⌈q·n/100⌉-th smallest of the n counted values.

    `q` runs from 0 to 100; 0 and 100 give `low` and `high`, the exact extremes, which also bound every other answer.
    `buckets` must not be empty.
    """
    if not 0 <= q <= 100:
        raise ValueError(f"percentile {q!r} is out of range; it must lie between 0 and 100")
    if q == 0:
        return low
    rank = math.ceil(q * sum(buckets.values()) / 100)
    seen = 0
    for index in sorted(buckets):
        seen += buckets[index]
        if seen >= rank:
            break
    else:
        index = max(buckets)
    if q == 100:
        return high
    return min(max(bucket_middle(index), low), high)
