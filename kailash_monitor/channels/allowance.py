"""The allowance of one rendering: how many steps it may take, and how long what it makes may become."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

__all__ = [
    "LONGEST",
    "Exceeded",
    "allowance",
    "check_format",
    "check_numbers",
    "check_power",
    "check_size",
    "deep",
    "made",
    "shallow",
    "spend",
    "within",
]

LONGEST: Final = 65_536
"""Characters of a text, and items of a list: more than any channel sends."""

STEPS: Final = 20_000
"""Turns of loops and calls, each with what is handed to it: some 20 ms. The longest message that can be sent needs fewer."""

_CHARACTERS_A_STEP: Final = 64

_DEEPEST: Final = 50
"""Calls within calls. The stack has room for more, but the program stands on it as well."""

_LARGEST_BITS: Final = 10_000
"""Of a whole number. Squaring one again and again would take for ever."""

_WIDE: Final = re.compile(r"%[^%a-zA-Z]*(?:\d{4}|\*)|\{[^{}]+(?:\{|\d{4})")
"""A format that pads to thousands of characters, or as wide as a variable says."""


class Exceeded(Exception):
    """A template asks for more than it is allowed."""


@dataclass(slots=True)
class _Allowance:
    """What is left. Only `spend` and `within` change it."""

    steps: int = STEPS
    depth: int = 0


_LEFT: Final[ContextVar[_Allowance]] = ContextVar("kailash_monitor.channels.allowance")


@contextmanager
def allowance() -> Iterator[None]:
    """Grant a new allowance to what is done inside."""
    token = _LEFT.set(_Allowance())
    try:
        yield
    finally:
        _LEFT.reset(token)


@contextmanager
def within() -> Iterator[None]:
    """Go a call deeper. Exceeded where calls stand in calls in calls."""
    left = _LEFT.get()
    if left.depth >= _DEEPEST:
        raise Exceeded(f"more than {_DEEPEST} calls within each other")
    left.depth += 1
    try:
        yield
    finally:
        left.depth -= 1


def spend(steps: int) -> None:
    """Take `steps` from what is left. Exceeded where that is not enough."""
    left = _LEFT.get()
    left.steps -= steps
    if left.steps < 0:
        raise Exceeded(f"more than {STEPS} steps")


def made(result: object) -> None:
    """Count a text that was made; Exceeded where it, or a list, has become too long."""
    if isinstance(result, str | list | tuple):
        check_size(len(result))
        spend(shallow(result) if isinstance(result, str) else 0)


def shallow(value: object) -> int:
    """Give the steps of going through `value` once."""
    if isinstance(value, str):
        return 1 + len(value) // _CHARACTERS_A_STEP
    return 1 + len(value) if isinstance(value, list | tuple | dict | range) else 1


def deep(value: object) -> int:
    """Give the steps of going through all that is in `value`: a list can hold the same long list many times."""
    steps, left = 0, [value]
    while left and steps <= STEPS:
        part = left.pop()
        steps += shallow(part)
        if steps <= STEPS and isinstance(part, list | tuple | dict):
            left += part
            left += part.values() if isinstance(part, dict) else ()
    return steps


def check_size(size: int) -> None:
    """Refuse a text or a list of more than `LONGEST`."""
    if size > LONGEST:
        raise Exceeded(f"more than {LONGEST} characters or items")


def check_numbers(values: Iterable[object]) -> None:
    """Refuse widths and counts that no message has."""
    if any(isinstance(value, int) and abs(value) > LONGEST for value in values):
        raise Exceeded(f"a number above {LONGEST}")


def check_power(base: int, exponent: int) -> None:
    """Refuse a power with thousands of digits."""
    if base.bit_length() * abs(exponent) > _LARGEST_BITS:
        raise Exceeded("a number that is far too large")


def check_format(text: str) -> None:
    """Refuse a format that makes much out of little."""
    if _WIDE.search(text):
        raise Exceeded("a format that is far too wide")
