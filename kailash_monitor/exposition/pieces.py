"""Pieces: a page is written some series at a time, so that whoever drives it can pause for the host program."""

from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

__all__ = ["SERIES_PER_PIECE", "slices"]

SERIES_PER_PIECE: Final = 64
"""A histogram takes some ten microseconds to write as text: a piece stays under a millisecond."""

T = TypeVar("T")


def slices(series: Sequence[T], size: int = SERIES_PER_PIECE) -> Iterator[Sequence[T]]:
    """Give `series` some at a time."""
    for start in range(0, len(series), size):
        yield series[start : start + size]
