"""The functions that Go's templates have by themselves: comparisons, `index`, `len`, `printf` and their like."""

import operator
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote_plus

from kailash_monitor.rules.templates.formatting import Output, printed, printed_line
from kailash_monitor.rules.templates.moments import Duration, Moment
from kailash_monitor.rules.templates.printf import printed_by
from kailash_monitor.rules.templates.signatures import CallFailed, Function, Type
from kailash_monitor.rules.templates.values import (
    Arguments,
    Byte,
    Samples,
    Value,
    is_true,
    target,
    type_name,
)

__all__ = ["BUILTINS", "escaped_for_query"]

# Comparison

_Comparable = tuple[str, "bool | int | float | str"]


def _basic(value: Value) -> _Comparable | None:
    """A value and its kind, where it can be compared with others of its kind."""
    match value:
        case bool():
            return "bool", value
        case int():
            return "int", int(value)
        case Duration(nanoseconds=count):
            return "int", count
        case float():
            return "float", value
        case str():
            return "string", str(value)
        case _:
            return None


def _incompatible(one: Value, other: Value) -> CallFailed:
    return CallFailed(f"incompatible types for comparison: {type_name(one)} and {type_name(other)}")


def _equal(first: Value, *others: Value) -> bool:
    if not others:
        raise CallFailed("missing argument for comparison")
    return any(_same(first, other) for other in others)


def _same(one: Value, other: Value) -> bool:
    if one is None or other is None:
        return one is other
    left, right = _basic(one), _basic(other)
    if left is not None and right is not None and left[0] == right[0]:
        return left[1] == right[1]
    if left is not None or right is not None:
        raise _incompatible(one, other)
    if isinstance(one, Mapping | Samples) or isinstance(other, Mapping | Samples):
        raise CallFailed(f"non-comparable type {printed([other])}: {type_name(other)}")
    return one == other if isinstance(one, Moment) else one is other


def _less(one: Value, other: Value) -> bool:
    left, right = _basic(one), _basic(other)
    if left is None or right is None:
        raise CallFailed("invalid type for comparison")
    if left[0] != right[0]:
        raise _incompatible(one, other)
    if left[0] == "bool":
        raise CallFailed("invalid type for comparison")
    return bool(operator.lt(left[1], right[1]))


def _less_or_equal(one: Value, other: Value) -> bool:
    return _less(one, other) or _equal(one, other)


# Lists, maps and texts


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _pointed(value: Value) -> str:
    """The type's name of what `value` points to."""
    return type_name(value).removeprefix("*")


def _length(item: Value) -> int:
    item = target(item)
    match item:
        case None:
            raise CallFailed("reflect: call of reflect.Value.Type on zero Value")
        case str():
            return len(_bytes(item))
        case Mapping() | Samples():
            return len(item)
        case _:
            raise CallFailed(f"len of type {_pointed(item)}")


def _position(index: Value, most: int) -> int:
    if index is None:
        raise CallFailed("cannot index slice/array with nil")
    if not isinstance(index, int) or isinstance(index, bool):
        raise CallFailed(f"cannot index slice/array with type {type_name(index)}")
    if not 0 <= index <= most:
        raise CallFailed(f"index out of range: {int(index)}")
    return int(index)


def _indexed(item: Value, *indexes: Value) -> Value:
    if item is None:
        raise CallFailed("index of untyped nil")
    for index in indexes:
        item = _element(target(item), index)
    return item


def _element(item: Value, index: Value) -> Value:
    match item:
        case str():
            data = _bytes(item)
            place = _position(index, len(data))
            if place == len(data):
                raise CallFailed("reflect: string index out of range")
            return Byte(data[place])
        case Samples():
            place = _position(index, len(item))
            if place == len(item):
                raise CallFailed("reflect: slice index out of range")
            return item[place]
        case Mapping():
            if index is None:
                raise CallFailed("value is nil; should be of type string")
            if not isinstance(index, str):
                raise CallFailed(f"value has type {type_name(index)}; should be string")
            return item.get(index, None if isinstance(item, Arguments) else "")
        case None:
            raise CallFailed("index of nil pointer")
        case _:
            raise CallFailed(f"can't index item of type {_pointed(item)}")


def _sliced(item: Value, *indexes: Value) -> Value:
    if item is None:
        raise CallFailed("slice of untyped nil")
    if len(indexes) > 3:
        raise CallFailed(f"too many slice indexes: {len(indexes)}")
    if not isinstance(item, str | Samples):
        raise CallFailed(f"can't slice item of type {type_name(item)}")
    if isinstance(item, str) and len(indexes) == 3:
        raise CallFailed("cannot 3-index slice a string")
    whole: bytes | Samples = _bytes(item) if isinstance(item, str) else item
    bounds = [_position(index, len(whole)) for index in indexes]
    start, end, *_ = (*bounds, *(0, len(whole))[len(bounds) :])
    for lower, upper in zip((start, end), (end, *bounds[2:]), strict=False):
        if lower > upper:
            raise CallFailed(f"invalid slice index: {lower} > {upper}")
    part = whole[start:end]
    return _text(part) if isinstance(part, bytes) else Samples(part)


def _called(value: Value, *_arguments: Value) -> Value:
    if value is None:
        raise CallFailed("call of nil")
    raise CallFailed(f"non-function of type {type_name(value)}")


# Escaping

_HTML: Final = str.maketrans({"\0": "\ufffd", '"': "&#34;", "'": "&#39;", "&": "&amp;", "<": "&lt;", ">": "&gt;"})
_SCRIPT: Final = {"\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E", "&": "\\u0026", "=": "\\u003D"}


def _joined(values: tuple[Value, ...]) -> str:
    """The values as one text, each as a template prints it."""
    if len(values) == 1:
        out = Output()
        out.printable(values[0])
        return out.text()
    return printed(["<no value>" if value is None else target(value) for value in values])


def _html(*values: Value) -> str:
    return _joined(values).translate(_HTML)


def _script(*values: Value) -> str:
    return "".join(map(_script_character, _joined(values)))


def _script_character(character: str) -> str:
    if character in _SCRIPT:
        return _SCRIPT[character]
    return character if character.isprintable() else f"\\u{ord(character):04X}"


def escaped_for_query(text: str) -> str:
    """Give a text as it stands in the query of an address."""
    return quote_plus(_bytes(text))


def _query(*values: Value) -> str:
    return escaped_for_query(_joined(values))


def _never(*_values: Value) -> Value:
    raise AssertionError("`and` and `or` are evaluated as far as they must be, by whoever calls functions")


def _compares(compare: Callable[[Value, Value], bool]) -> Function:
    return Function(compare, (Type.VALUE, Type.VALUE))


BUILTINS: Final[Mapping[str, Function]] = {
    "and": Function(_never, (Type.VALUE,), Type.VALUE),
    "or": Function(_never, (Type.VALUE,), Type.VALUE),
    "not": Function(lambda value: not is_true(value), (Type.VALUE,)),
    "eq": Function(_equal, (Type.VALUE,), Type.VALUE),
    "ne": _compares(lambda one, other: not _equal(one, other)),
    "lt": _compares(_less),
    "le": _compares(_less_or_equal),
    "gt": _compares(lambda one, other: not _less_or_equal(one, other)),
    "ge": _compares(lambda one, other: not _less(one, other)),
    "len": Function(_length, (Type.VALUE,)),
    "index": Function(_indexed, (Type.VALUE,), Type.VALUE),
    "slice": Function(_sliced, (Type.VALUE,), Type.VALUE),
    "call": Function(_called, (Type.VALUE,), Type.VALUE),
    "print": Function(lambda *values: printed(values), rest=Type.ANY),
    "printf": Function(lambda format_, *values: printed_by(format_, values), (Type.STRING,), Type.ANY),
    "println": Function(lambda *values: printed_line(values), rest=Type.ANY),
    "html": Function(_html, rest=Type.ANY),
    "js": Function(_script, rest=Type.ANY),
    "urlquery": Function(_query, rest=Type.ANY),
}
"""Go's own functions by name."""
