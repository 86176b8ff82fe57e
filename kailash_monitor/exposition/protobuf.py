"""The Prometheus protobuf format: MetricFamily messages, each behind its length, with native histograms.

https://github.com/prometheus/client_model/blob/master/io/prometheus/client/metrics.proto
https://protobuf.dev/programming-guides/encoding/

Histograms carry their classic buckets and, beside them, exponential ones (`model.buckets`), which Prometheus keeps as a
native histogram. Those of a metric that is exported in another unit than it was recorded in are moved to the nearest bucket
of the new unit: within 4.4 % instead of 2.2.
"""

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final, cast

from kailash_monitor.exposition.names import ExportedName, exported_name
from kailash_monitor.exposition.pieces import slices
from kailash_monitor.model.buckets import PER_DOUBLING, SCHEMA, ZERO, mirrored, pool
from kailash_monitor.model.exemplar import Exemplar
from kailash_monitor.model.labels import Labels
from kailash_monitor.model.metric import MetricType
from kailash_monitor.model.snapshot import Snapshot
from kailash_monitor.model.views import CounterView, DistributionView, GaugeView, MetricView

__all__ = ["PROTOBUF_CONTENT_TYPE", "render_protobuf"]

PROTOBUF_CONTENT_TYPE: Final = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"

_TYPES: Final = {MetricType.COUNTER: 0, MetricType.GAUGE: 1, MetricType.HISTOGRAM: 4, MetricType.TIMER: 4}

HISTOGRAMS_PER_PIECE: Final = 16
"""One takes some sixty microseconds here."""

_UINT64: Final = (1 << 64) - 1

MAX_GAP: Final = 2
"""Empty buckets that are written rather than ended a span for; as client_golang does."""


def render_protobuf(snapshot: Snapshot, *, utf8: bool = False) -> Iterator[bytes]:
    """Give the page piece by piece, some series at a time, in base units.

    A family's length stands before it, so a family is first written as a whole. Meanwhile empty pieces are given, for
    whoever drives it to pause at. With `utf8`, names are as they are, else as older Prometheus servers take them.
    """
    for collector in snapshot.collectors:
        for metric in collector.metrics:
            exported = exported_name(snapshot.namespace, collector.name, metric.metadata, utf8=utf8)
            written: list[bytes] = []
            for messages in _series(exported, metric, snapshot.wall_offset):
                written.append(b"".join([_message(4, one) for one in messages]))
                yield b""
            length = sum(map(len, written))
            if length:
                header = _header(exported, metric)
                yield _varint(len(header) + length) + header
                yield from written


def _header(exported: ExportedName, metric: MetricView) -> bytes:
    fields = _text(1, exported.name) + _text(2, metric.metadata.help) + _integer(3, _TYPES[metric.metadata.type])
    return fields + (_text(5, exported.unit) if exported.unit else b"")


def _series(exported: ExportedName, metric: MetricView, offset: float) -> Iterator[list[bytes]]:
    """Give Metric messages, some series at a time; `cast` because a metric's type says of which kind its series are."""
    match metric.metadata.type:
        case MetricType.COUNTER:
            for counters in slices(cast("Sequence[CounterView]", metric.series)):
                yield [_labels(one.labels) + _message(3, _counter(one, exported.divisor, offset)) for one in counters]
        case MetricType.GAUGE:
            for gauges in slices(cast("Sequence[GaugeView]", metric.series)):
                values = [(one.labels, one.value) for one in gauges]
                yield [
                    _labels(labels) + _message(2, _double(1, value / exported.divisor))
                    for labels, value in values
                    if value is not None
                ]
        case MetricType.HISTOGRAM | MetricType.TIMER:
            bounds = [bound / exported.divisor for bound in (*metric.bounds, math.inf)]
            for distributions in slices(cast("Sequence[DistributionView]", metric.series), HISTOGRAMS_PER_PIECE):
                yield [
                    _labels(one.labels) + _message(7, _histogram(one, bounds, exported.divisor, offset))
                    for one in distributions
                ]


def _counter(series: CounterView, divisor: float, offset: float) -> bytes:
    exemplar = series.exemplar
    written = b"" if exemplar is None else _message(2, _exemplar(exemplar, divisor, offset))
    return _double(1, series.total / divisor) + written + _message(3, _timestamp(series.born + offset))


def _histogram(series: DistributionView, bounds: Sequence[float], divisor: float, offset: float) -> bytes:
    (counts, total), packed = series.exponential()
    exemplars = series.exemplars
    fields = [_double(2, total / divisor)]
    for index, (bound, count) in enumerate(zip(bounds, accumulate(counts), strict=True)):
        bucket = _integer(1, count) + _double(2, bound)
        if index in exemplars:
            bucket += _message(3, _exemplar(exemplars[index], divisor, offset))
        fields.append(_message(3, bucket))
    shift = round(-math.log2(divisor) * PER_DOUBLING)
    buckets = pool((packed,))
    positive = {index + shift: count for index, count in buckets.items() if index > ZERO}
    negative = {mirrored(index) + shift: count for index, count in buckets.items() if index < ZERO}
    fields += [
        _integer(1, sum(buckets.values())),
        _signed(5, SCHEMA),
        _double(6, 0.0),
        _integer(7, buckets.get(ZERO, 0)),
        *_spans(9, 10, negative),
        *_spans(12, 13, positive),
        _message(15, _timestamp(series.born + offset)),
    ]
    if not positive and not negative:
        fields.append(_message(12, _signed(1, 0) + _integer(2, 0)))  # an empty span says that it is a native histogram
    return b"".join(fields)


def _spans(span_field: int, delta_field: int, buckets: Mapping[int, int]) -> Iterator[bytes]:
    """Give runs of neighbouring buckets, and the counts as differences from one to the next."""
    runs: list[tuple[int, int]] = []  # first index, length
    deltas: list[int] = []
    before = 0
    for index in sorted(buckets):
        start, length = runs[-1] if runs else (index, 0)
        gap = index - start - length
        if not runs or gap > MAX_GAP:
            runs.append((index, 1))
        else:
            runs[-1] = (start, length + gap + 1)
            if gap:
                deltas += [-before, *[0] * (gap - 1)]
                before = 0
        deltas.append(buckets[index] - before)
        before = buckets[index]
    end = 0
    for start, length in runs:
        yield _message(span_field, _signed(1, start - end) + _integer(2, length))
        end = start + length
    if deltas:
        yield _message(delta_field, b"".join(map(_zigzag, deltas)))  # packed


def _exemplar(exemplar: Exemplar, divisor: float, offset: float) -> bytes:
    labels, value, at = exemplar
    return _labels(labels) + _double(2, value / divisor) + _message(3, _timestamp(at + offset))


def _labels(labels: Labels) -> bytes:
    return b"".join([_message(1, _text(1, name) + _text(2, value)) for name, value in labels.items()])


def _timestamp(at: float) -> bytes:
    seconds = math.floor(at)
    return _integer(1, seconds) + _integer(2, int((at - seconds) * 1e9))


def _tag(field: int, wire_type: int) -> bytes:
    return _varint(field << 3 | wire_type)


def _integer(field: int, value: int) -> bytes:
    return _tag(field, 0) + _varint(value & _UINT64)  # negative ones, such as times before 1970, as two's complement


def _signed(field: int, value: int) -> bytes:
    return _tag(field, 0) + _zigzag(value)


def _double(field: int, value: float) -> bytes:
    return _tag(field, 1) + struct.pack("<d", value)


def _text(field: int, text: str) -> bytes:
    return _message(field, text.encode())


def _message(field: int, content: bytes) -> bytes:
    return _tag(field, 2) + _varint(len(content)) + content


def _zigzag(value: int) -> bytes:
    return _varint(value << 1 if value >= 0 else (-value << 1) - 1)


def _varint(value: int) -> bytes:
    if value < 128:
        return bytes((value,))
    written = bytearray()
    while value > 127:
        written.append(value & 127 | 128)
        value >>= 7
    written.append(value)
    return bytes(written)
