"""A checkpoint: the recent past of a series as bytes, with which another process goes on where this one ended.

The bytes are a version, whether the rest is compressed, a checksum of it, and the rest: numbers as Prometheus' own clients
would write them in C, little-endian, column by column. Times are those of the process that wrote them, beside what makes
them Unix seconds: within one start of the machine the timeline goes on, and its slots stay where they are.
"""

import math
import struct
import sys
import zlib
from array import array
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any, Final

from kailash_monitor.metrics.history import Fold, History
from kailash_monitor.model.buckets import EMPTY, Packed
from kailash_monitor.model.labels import Labels, valid_label_name

__all__ = ["Past", "Ring", "decode", "encode"]

VERSION: Final = 1

_HEAD: Final = struct.Struct("<BBI")  # version, whether it is compressed, checksum
_BODY: Final = struct.Struct("<dddIB")  # Unix seconds at the timeline's zero, until when, value before, slots, levels
_LENGTH: Final = "i"

_FORMS: Final = {"counter": "d", "gauge": "ddddd", "histogram": "qdddp", "timer": "qdddp"}
"""The columns of each kind of history: typecodes of arrays, and p for packed buckets."""

COMPRESSED_FROM: Final = 1024
"""Bytes. Below, setting the compressor up takes longer than all the rest, and saves a few hundred bytes."""

LARGEST: Final = 1 << 26
"""Bytes that a compressed ring may have: the most hostile history has two million."""

SAME_TIMELINE: Final = 0.1
"""Seconds by which the two clocks may drift apart between two processes of one start of the machine."""

FUTURE: Final = 1.0
"""Seconds by which a past may seem to be yet to come: what a wall clock is corrected by."""

_DAMAGE: Final = (AttributeError, KeyError, OverflowError, TypeError, ValueError, struct.error, zlib.error)


@dataclass(frozen=True, slots=True)
class Ring:
    """The recent past of one series, to be stored under collector, metric and labels.

    `kind` is the metric's type in words. Where there is no `data`, the series was removed on purpose, and what is stored of
    it is to be forgotten.
    """

    collector: str
    metric: str
    kind: str
    labels: Labels
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Past:
    """What a series recorded in another process, on the timeline of this one: up to `until`, from then on nothing is known.

    `before` is what the first column was before its first slot.
    """

    kind: str
    labels: Labels
    ends: "array[float]"
    columns: tuple[Any, ...]  # Any: array or list
    sizes: bytearray
    before: float
    until: float

    def then(
        self,
        live: History | None,
        folds: tuple[Fold, ...],
        born: float,
        unknown: tuple[float, ...] | None = None,
    ) -> History:
        """Give the history that goes on with `live`, which has begun at `born`; `unknown` is a slot for what is between.

        What is here counts as gone before `born`: a window that reaches back there is not covered, however much of it is
        known. Where `live` has let go of slots, or goes on with a past already, it stays as it is.
        """
        if live is not None and live.gone is not None:
            return live
        latest = math.nextafter(born, -math.inf)  # another process may have run on while this one began
        ends = self.ends if self.ends[-1] < born else array("d", [min(end, latest) for end in self.ends])
        history = History.of(ends, self.columns, folds, self.sizes)
        history.gone = (born, self.before)
        if unknown is not None:
            until = max(self.until, math.floor(self.ends[-1]) + 1.0)  # in a slot of its own
            history.append(min(until, latest), unknown, math.inf)
        for end, *row in () if live is None else live.rows():
            history.append(end, row, math.inf)  # a rule that asks for more than is usual may be yet to come
        return history


def encode(history: History, *, until: float, offset: float) -> bytes:
    """Write a history down, which has a slot at least; `offset` makes Unix seconds of its times."""
    before = math.nan if history.gone is None else history.gone[1]
    body = b"".join(
        [
            _BODY.pack(offset, until, before, len(history), len(history.sizes)),
            history.sizes,
            _little(history.ends),
            *[_little(column) if isinstance(column, array) else _packs(column) for column in history.columns],
        ]
    )
    compressed = len(body) >= COMPRESSED_FROM
    if compressed:
        body = zlib.compress(body, 1)
    return _HEAD.pack(VERSION, compressed, zlib.crc32(body, compressed)) + body


def decode(ring: Ring, *, offset: float, now: float) -> Past | None:
    """Read a ring, for the timeline whose times `offset` makes Unix seconds; None where it cannot be used.

    It is damaged, of an unknown version, or from the future.
    """
    try:
        labels, form = Labels(ring.labels), _FORMS[ring.kind]
        body = _body(ring.data)
        written, until, before, count, levels = _BODY.unpack_from(body)
        at = _BODY.size + levels
        sizes = bytearray(body[_BODY.size : at])
        columns: list[Any] = []  # Any: array or list
        for typecode in "d" + form:
            column, at = _column(body, at, typecode, count)
            columns.append(column)
    except _DAMAGE:
        return None
    shift = written - offset
    if abs(shift) > SAME_TIMELINE:
        columns[0], until = array("d", [end + shift for end in columns[0]]), until + shift
    ends = columns.pop(0)
    fits = at == len(body) and 0 < count == sum(sizes) and all(map(valid_label_name, labels.names))
    if not fits or not all(map(math.isfinite, ends)) or any(b < a for a, b in pairwise(ends)) or ends[-1] > now + FUTURE:
        return None
    return Past(
        kind=ring.kind, labels=labels, ends=ends, columns=(*columns,), sizes=sizes, before=before, until=min(until, now)
    )


def _body(data: bytes) -> bytes:
    version, compressed, checksum = _HEAD.unpack_from(data)
    body = data[_HEAD.size :]
    if version != VERSION or compressed > 1 or zlib.crc32(body, compressed) != checksum:
        raise ValueError("not a ring of this version, or damaged")
    return zlib.decompressobj().decompress(body, LARGEST) if compressed else body


def _column(body: bytes, at: int, typecode: str, count: int) -> tuple[Any, int]:  # Any: array or list
    """Read `count` values from `at` on; give them, and where they end."""
    if typecode == "p":
        lengths, at = _column(body, at, _LENGTH, count)
        ends = [*accumulate(map(abs, lengths), initial=at)]
        parts = [body[start:end] for start, end in pairwise(ends)]
        return [*map(_unpacked, lengths, parts)], ends[-1]
    column = array(typecode)
    end = at + count * column.itemsize
    column.frombytes(body[at:end])
    if sys.byteorder == "big":  # pragma: no cover
        column.byteswap()
    return column, end


def _little(column: Any) -> bytes:  # Any: array of any type
    if sys.byteorder == "big":  # pragma: no cover
        column = column[:]
        column.byteswap()
    written: bytes = column.tobytes()
    return written


def _packs(column: list[Packed]) -> bytes:
    """Write packed buckets down: their lengths, negative where they are sparse, and then all of them."""
    parts = [one.to_bytes((one.bit_length() + 7) // 8, "little") if isinstance(one, int) else _little(one) for one in column]
    lengths = [len(part) if isinstance(one, int) else -len(part) for one, part in zip(column, parts, strict=True)]
    return b"".join([_little(array(_LENGTH, lengths)), *parts])


def _unpacked(length: int, part: bytes) -> Packed:
    if length > 0:
        return int.from_bytes(part, "little")
    return _column(part, 0, "q", len(part) // 8)[0] if length else EMPTY
