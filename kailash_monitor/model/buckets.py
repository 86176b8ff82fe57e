"""Exponential buckets: a distribution kept as counts, so that percentiles of any merge are known within 2.2 %.

Bucket i holds the values in (b^(i-1), b^i] with b = 2^(1/16), and is read as its geometric middle b^(i-1/2), which is off
by at most b^(1/2) - 1 = 2.19 %: schema 4 of Prometheus' native histograms. Zero has a bucket below all those of positive
values, and negative values mirror the positive ones below it, so that indices rise with the values.

Counts that do not change any more are *packed*: into one integer of 32-bit fields (the first bucket's index, the sum of all
counts, the counts from the first bucket on), so that merging two distributions is one addition of the machine's own; or,
where that would be mostly zeros, hold zero or negative values or overflow a field, into a sorted array of index, count,
index, count, … What is packed is never changed.
"""

import math
import sys
from array import array
from collections.abc import Iterable, Mapping
from typing import Final

__all__ = [
    "EMPTY",
    "PER_DOUBLING",
    "SCHEMA",
    "ZERO",
    "Packed",
    "bucket_middle",
    "bucket_of",
    "merge",
    "mirrored",
    "pack",
    "percentile",
    "pool",
]

PER_DOUBLING: Final = 16.0
SCHEMA: Final = 4
"""log2 of PER_DOUBLING: the name of this resolution among Prometheus' native histograms."""

ZERO: Final = -20_000
"""Below -16 · 1075, the index of the smallest float."""

Packed = int | array  # type: ignore[type-arg]  # array("q"); `array[int]` cannot be asked of isinstance
EMPTY: Final[Packed] = array("q")

_FIELD: Final = 32
_HEADER: Final = 64
_LIMIT: Final = 1 << _FIELD
_MASK: Final = _LIMIT - 1
_NEAR: Final = 16
_APART: Final = 1024  # buckets, or 64 doublings: what a process measures lies closer together
_SPARSE: Final = 6
"""A field takes 4 bytes, an entry of the sparse form 16, and adding integers is far quicker than adding entries."""


def bucket_of(value: float) -> int:
    """Give the index of the bucket of `value`."""
    if value == 0:
        return ZERO
    index = math.ceil(math.log2(abs(value)) * PER_DOUBLING)
    return index if value > 0 else mirrored(index)


def mirrored(index: int) -> int:
    """Give the index of the bucket of the values of bucket `index` with the other sign."""
    return 2 * ZERO - index


def bucket_middle(index: int) -> float:
    """Give the value that stands for bucket `index`."""
    if index == ZERO:
        return 0.0
    if index < ZERO:
        return -bucket_middle(mirrored(index))
    exponent = (index - 0.5) / PER_DOUBLING
    return 2.0**exponent if exponent < sys.float_info.max_exp else math.inf


def percentile(q: float, buckets: Mapping[int, int], *, low: float, high: float) -> float:
    """Give the nearest-rank percentile: the ⌈q·n/100⌉-th smallest of the n counted values.

    `q` runs from 0 to 100; 0 and 100 give `low` and `high`, the exact extremes, which also bound every other answer.
    `buckets` must not be empty.
    """
    if not 0 <= q <= 100:
        raise ValueError(f"percentile {q!r} is out of range; it must lie between 0 and 100")
    if q == 0:
        return low
    if q == 100:
        return high
    rank = math.ceil(q * sum(buckets.values()) / 100)
    seen = index = 0
    for index in sorted(buckets):
        seen += buckets[index]
        if seen >= rank:
            break
    return min(max(bucket_middle(index), low), high)


def pack(buckets: Mapping[int, int]) -> Packed:
    """Pack counts by index."""
    if not buckets:
        return EMPTY
    low, total = min(buckets), sum(buckets.values())
    fields = max(buckets) - low + 1
    if low > ZERO and fields <= _SPARSE * len(buckets) + _NEAR and total < _LIMIT:
        counts = array("I", bytes(4 * fields))
        for index, count in buckets.items():
            counts[index - low] = count
        if sys.byteorder == "big":  # pragma: no cover
            counts.byteswap()
        return int.from_bytes(counts.tobytes(), "little") << _HEADER | total << _FIELD | low - ZERO
    packed = array("q")
    for index in sorted(buckets):
        packed.extend((index, buckets[index]))
    return packed


def merge(a: Packed, b: Packed) -> Packed:
    """Pack what `a` and `b` counted together."""
    if isinstance(a, int) and isinstance(b, int):
        low_a, low_b = a & _MASK, b & _MASK
        if low_b < low_a:
            a, b, low_a, low_b = b, a, low_b, low_a
        gap, total = low_b - low_a, b >> _FIELD & _MASK
        touching = gap <= a.bit_length() // _FIELD + _NEAR
        if touching and (a >> _FIELD & _MASK) + total < _LIMIT:
            return a + (total << _FIELD) + (b >> _HEADER << _HEADER + _FIELD * gap)
    return pack(pool((a, b)))


def pool(packed: Iterable[Packed]) -> dict[int, int]:
    """Give the counts by index of all of `packed` together."""
    dense: list[int] = []
    pooled: dict[int, int] = {}
    for one in packed:
        if isinstance(one, int):
            dense.append(one)
        else:
            for index, number in zip(one[::2], one[1::2], strict=True):
                pooled[index] = pooled.get(index, 0) + number
    lows = [one & _MASK for one in dense]
    low, reach = min(lows, default=0), max(lows, default=0)
    if sum([one >> _FIELD & _MASK for one in dense]) < _LIMIT and reach - low < _APART:
        fields = 0
        for one in dense:
            fields += one >> _HEADER << _FIELD * ((one & _MASK) - low)
        _unpack_into(pooled, low + ZERO, fields)
    else:  # the fields of the sum might overflow, or be mostly zeros
        for one in dense:
            _unpack_into(pooled, (one & _MASK) + ZERO, one >> _HEADER)
    return pooled


def _unpack_into(buckets: dict[int, int], index: int, fields: int) -> None:
    """Add counts in 32-bit fields, the first of them of bucket `index`, to `buckets`."""
    counts = array("I", fields.to_bytes((fields.bit_length() + _FIELD - 1) // _FIELD * 4, "little"))
    if sys.byteorder == "big":  # pragma: no cover
        counts.byteswap()
    for count in counts:
        if count:
            buckets[index] = buckets.get(index, 0) + count
        index += 1
