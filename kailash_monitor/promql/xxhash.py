"""xxHash64, the hash by which Prometheus samples series.

Source: https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md, with the seed 0.
"""

from struct import Struct
from typing import Final

from kailash_monitor.promql.labelset import LabelSet

__all__ = ["label_hash", "xxhash64"]

_PRIME_1: Final = 0x9E3779B185EBCA87
_PRIME_2: Final = 0xC2B2AE3D27D4EB4F
_PRIME_3: Final = 0x165667B19E3779F9
_PRIME_4: Final = 0x85EBCA77C2B2AE63
_PRIME_5: Final = 0x27D4EB2F165667C5
_64_BITS: Final = 0xFFFFFFFFFFFFFFFF

_STRIPE: Final = Struct("<4Q")
_LANE: Final = Struct("<Q")

_LONG: Final = 255
"""A text of that many bytes or more has its length in three bytes, after one with this number."""


def label_hash(labels: LabelSet) -> int:
    """Give what Prometheus' `Labels.Hash` gives in its default build, which prefixes each text with its length."""
    pairs = sorted((_encoded(name), _encoded(value)) for name, value in labels.labels.items())
    return xxhash64(b"".join([_size(text) + text for pair in pairs for text in pair]))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # no label of Prometheus has half a character


def _size(text: bytes) -> bytes:
    size = len(text)
    return bytes((size,)) if size < _LONG else bytes((_LONG,)) + size.to_bytes(3, "little")


def xxhash64(data: bytes) -> int:
    """Give the hash of `data`, from 0 to 2⁶⁴ - 1."""
    end = len(data) - len(data) % 32
    mixed = ((_mixed(data, end) if end else _PRIME_5) + len(data)) & _64_BITS
    place = end
    while place + 8 <= len(data):
        mixed ^= _round(0, _LANE.unpack_from(data, place)[0])
        mixed = (_rotated(mixed, 27) * _PRIME_1 + _PRIME_4) & _64_BITS
        place += 8
    if place + 4 <= len(data):
        mixed ^= int.from_bytes(data[place : place + 4], "little") * _PRIME_1 & _64_BITS
        mixed = (_rotated(mixed, 23) * _PRIME_2 + _PRIME_3) & _64_BITS
        place += 4
    for byte in data[place:]:
        mixed ^= byte * _PRIME_5 & _64_BITS
        mixed = _rotated(mixed, 11) * _PRIME_1 & _64_BITS
    mixed = (mixed ^ mixed >> 33) * _PRIME_2 & _64_BITS
    mixed = (mixed ^ mixed >> 29) * _PRIME_3 & _64_BITS
    return mixed ^ mixed >> 32


def _mixed(data: bytes, end: int) -> int:
    """What four lanes make of the whole stripes of `data`, which end at `end`."""
    lanes = [(_PRIME_1 + _PRIME_2) & _64_BITS, _PRIME_2, 0, -_PRIME_1 & _64_BITS]
    for place in range(0, end, 32):
        lanes = [_round(lane, read) for lane, read in zip(lanes, _STRIPE.unpack_from(data, place), strict=True)]
    mixed = sum(map(_rotated, lanes, (1, 7, 12, 18))) & _64_BITS
    for lane in lanes:
        mixed = ((mixed ^ _round(0, lane)) * _PRIME_1 + _PRIME_4) & _64_BITS
    return mixed


def _round(lane: int, read: int) -> int:
    return _rotated((lane + read * _PRIME_2) & _64_BITS, 31) * _PRIME_1 & _64_BITS


def _rotated(number: int, bits: int) -> int:
    return (number << bits | number >> 64 - bits) & _64_BITS
