"""Reads delimited MetricFamily messages into plain dictionaries, strictly, and knows nothing of how we write them.

Written from Prometheus' own definition, `prompb/io/prometheus/client/metrics.proto` of prometheus/prometheus at commit
0e0afa1aed78 (with `google/protobuf/timestamp.proto`), and https://protobuf.dev/programming-guides/encoding/: no field number
stands here because it stands in `kailash_monitor.exposition.protobuf`.

A message is a dictionary of the fields that are present; a field that may repeat is always there, as a list. What the
definition does not know, a field twice that may stand once, a wrong wire type and an end in mid-field are a ValueError.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

Message = dict[str, Any]
Wire = int | bytes

VARINT, FIXED64, DELIMITED = 0, 1, 2

_DEFINITION: Final = """
message Timestamp
int64 seconds = 1
int32 nanos = 2

message LabelPair
string name = 1
string value = 2

message Exemplar
repeated LabelPair label = 1
double value = 2
Timestamp timestamp = 3

message Gauge
double value = 1

message Counter
double value = 1
Exemplar exemplar = 2
Timestamp created_timestamp = 3

message Bucket
uint64 cumulative_count = 1
double cumulative_count_float = 4
double upper_bound = 2
Exemplar exemplar = 3

message BucketSpan
sint32 offset = 1
uint32 length = 2

message Histogram
uint64 sample_count = 1
double sample_count_float = 4
double sample_sum = 2
repeated Bucket bucket = 3
Timestamp created_timestamp = 15
sint32 schema = 5
double zero_threshold = 6
uint64 zero_count = 7
double zero_count_float = 8
repeated BucketSpan negative_span = 9
repeated sint64 negative_delta = 10
repeated double negative_count = 11
repeated BucketSpan positive_span = 12
repeated sint64 positive_delta = 13
repeated double positive_count = 14
repeated Exemplar exemplars = 16

message Metric
repeated LabelPair label = 1
Gauge gauge = 2
Counter counter = 3
Histogram histogram = 7
int64 timestamp_ms = 6

message MetricFamily
string name = 1
string help = 2
MetricType type = 3
repeated Metric metric = 4
string unit = 5
"""
"""The definition's lines, without Quantile, Summary and Untyped: a page that has one is refused."""

_METRIC_TYPES: Final = ("COUNTER", "GAUGE", "SUMMARY", "UNTYPED", "HISTOGRAM", "GAUGE_HISTOGRAM")


@dataclass(frozen=True, slots=True)
class Field:
    """One line of the definition."""

    kind: str
    name: str
    repeated: bool


def read_families(page: bytes) -> list[Message]:
    """Give the families of a page, in order."""
    families, at = [], 0
    while at < len(page):
        family, at = _wire_value(page, at, DELIMITED)
        families.append(read_message(family, "MetricFamily"))
    return families


def read_message(content: bytes, kind: str) -> Message:
    """Give one message of this kind."""
    fields = MESSAGES[kind]
    message: Message = {field.name: [] for field in fields.values() if field.repeated}
    for number, wire_type, value in _wire_fields(content):
        if number not in fields:
            raise ValueError(f"{kind} has no field {number}")
        field = fields[number]
        expected, read = _reader(field.kind)
        if field.repeated and wire_type == DELIMITED != expected:
            message[field.name] += [read(one) for one in _unpacked(value, expected)]
        elif wire_type != expected:
            raise ValueError(f"{kind}.{field.name} has wire type {wire_type} instead of {expected}")
        elif field.repeated:
            message[field.name].append(read(value))
        elif field.name in message:
            raise ValueError(f"{kind}.{field.name} stands twice")
        else:
            message[field.name] = read(value)
    return message


def native_counts(spans: list[Message], deltas: list[int]) -> dict[int, int]:
    """Give the counts by bucket index that spans and deltas stand for, empty buckets included.

    The first span's offset is an index, every other one counts the buckets since the span before and may not go back; each
    delta is from one written bucket to the next, across spans.
    """
    indices: list[int] = []
    end = 0
    for position, span in enumerate(spans):
        if position and span["offset"] < 0:
            raise ValueError(f"span {position} begins before the end of the one before it: {span}")
        start = end + span["offset"]
        end = start + span["length"]
        indices += range(start, end)
    counts = list(accumulate(deltas))
    if any(count < 0 for count in counts):
        raise ValueError(f"a bucket counts less than nothing: {counts}")
    return dict(zip(indices, counts, strict=True))


def _parsed(definition: str) -> dict[str, dict[int, Field]]:
    messages = {}
    for block in definition.strip().split("\n\n"):
        title, *lines = block.splitlines()
        fields = {}
        for line in lines:
            *repeated, kind, name, _, number = line.split()
            fields[int(number)] = Field(kind, name, repeated == ["repeated"])
        messages[title.removeprefix("message ")] = fields
    return messages


MESSAGES: Final = _parsed(_DEFINITION)


def _reader(kind: str) -> tuple[int, Callable[[Any], object]]:
    """Give the wire type of a kind of field, and how what stands on the wire is read."""
    match kind:
        case "double":
            return FIXED64, lambda raw: struct.unpack("<d", raw)[0]
        case "string":
            return DELIMITED, lambda raw: raw.decode("utf-8", "strict")
        case "int32" | "int64":
            return VARINT, lambda raw: raw - (1 << 64) if raw >> 63 else raw
        case "uint32" | "uint64":
            return VARINT, int
        case "sint32" | "sint64":
            return VARINT, lambda raw: -(raw >> 1) - 1 if raw & 1 else raw >> 1
        case "MetricType":
            return VARINT, lambda raw: _METRIC_TYPES[raw]
        case _:
            return DELIMITED, lambda raw: read_message(raw, kind)


def _wire_fields(content: bytes) -> Iterator[tuple[int, int, Any]]:
    """Give field number, wire type and value of each field."""
    at = 0
    while at < len(content):
        tag, at = _varint(content, at)
        value, at = _wire_value(content, at, tag & 7)
        yield tag >> 3, tag & 7, value


def _unpacked(content: bytes, wire_type: int) -> Iterator[Wire]:
    at = 0
    while at < len(content):
        value, at = _wire_value(content, at, wire_type)
        yield value


def _wire_value(content: bytes, at: int, wire_type: int) -> tuple[Any, int]:
    """Give the value that begins at `at`, and where it ends."""
    match wire_type:
        case 0:
            return _varint(content, at)
        case 1:
            return _bytes(content, at, 8), at + 8
        case 2:
            length, at = _varint(content, at)
            return _bytes(content, at, length), at + length
        case _:
            raise ValueError(f"no field has wire type {wire_type}")


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = 0
    for position in range(10):  # seven bits a byte: a uint64 takes ten at most
        byte = _bytes(content, at + position, 1)[0]
        value |= (byte & 0x7F) << 7 * position
        if byte < 0x80 and value < 1 << 64:
            return value, at + position + 1
    raise ValueError("a number of more than 64 bits")


def _bytes(content: bytes, at: int, length: int) -> bytes:
    if at + length > len(content):
        raise ValueError(f"the end comes {at + length - len(content)} bytes early")
    return content[at : at + length]
