"""Long JSON, read in pieces between which others can run: ten thousand series take the standard library 20 ms at once."""

import json
import re
from typing import Final

from kailash_monitor.promql.source import Pieces

__all__ = ["read"]

DEEP: Final = 3
"""Lists and objects within each other whose members are read one by one; what is further in is short."""

PIECE: Final = 250
"""Members of a list that are read at a time: a millisecond's work."""

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_DECODER: Final = json.JSONDecoder()


def read(text: str) -> Pieces[object]:
    """Give what `json.loads` gives. A ValueError where it is no JSON, a RecursionError where it is far too deep."""
    value, end = yield from _value(text, _begin(text, 0), DEEP)
    if _begin(text, end) < len(text):
        raise ValueError(f"more than one value: {end}")
    return value


def _value(text: str, at: int, deep: int) -> Pieces[tuple[object, int]]:
    """Read what begins at `at`; give it, and where it ends."""
    if deep and text.startswith("{", at):
        return (yield from _object(text, at + 1, deep - 1))
    if deep and text.startswith("[", at):
        return (yield from _list(text, at + 1, deep - 1))
    return _DECODER.raw_decode(text, at)


def _list(text: str, at: int, deep: int) -> Pieces[tuple[list[object], int]]:
    members: list[object] = []
    at = _begin(text, at)
    if text.startswith("]", at):
        return members, at + 1
    while True:
        member, at = yield from _value(text, at, deep)
        members.append(member)
        if len(members) % PIECE == 0:
            yield
        at = _begin(text, at)
        if text.startswith("]", at):
            return members, at + 1
        at = _past(",", text, at)


def _object(text: str, at: int, deep: int) -> Pieces[tuple[dict[str, object], int]]:
    members: dict[str, object] = {}
    at = _begin(text, at)
    if text.startswith("}", at):
        return members, at + 1
    while True:
        name, at = _DECODER.raw_decode(text, at)
        if not isinstance(name, str):
            raise ValueError(f"a name that is no text: {at}")
        members[name], at = yield from _value(text, _past(":", text, _begin(text, at)), deep)
        at = _begin(text, at)
        if text.startswith("}", at):
            return members, at + 1
        at = _past(",", text, at)


def _past(mark: str, text: str, at: int) -> int:
    """Give where the next value or name begins, after the mark that must stand here."""
    if not text.startswith(mark, at):
        raise ValueError(f"no {mark!r} where one is needed: {at}")
    return _begin(text, at + 1)


def _begin(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    assert space  # also where there is none
    return space.end()
