"""Labels: the names and values that tell the series of one metric apart."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Final

__all__ = ["NO_LABELS", "Labels", "label_value", "valid_label_name"]

MAX_VALUE_BYTES: Final = 1024
"""Longer values are cut and end in a hash: a label is a name to group by, not a place for payloads."""

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class Labels(Mapping[str, str]):
    """An immutable, hashable set of label names and values, in the order of the names.

    Values are taken as text whatever they are (`label_value`). Equality ignores the order in which they were given.
    """

    __slots__ = ("_by_name", "pairs")

    def __init__(self, labels: Mapping[str, object] | None = None) -> None:
        pairs = sorted((name, label_value(value)) for name, value in (labels or {}).items())
        self.pairs: Final[tuple[tuple[str, str], ...]] = tuple(pairs)
        self._by_name: Final = dict(pairs)

    def __getitem__(self, name: str) -> str:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def __hash__(self) -> int:
        return hash(self.pairs)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Labels):
            return self.pairs == other.pairs
        return NotImplemented

    def __repr__(self) -> str:
        return f"{{{self.text()}}}"

    def text(self) -> str:
        """Give the labels as `a="x",b="y"`, with quotes, backslashes and newlines escaped."""
        return ",".join(f'{name}="{_escape(value)}"' for name, value in self.pairs)

    def pick(self, names: tuple[str, ...]) -> "Labels":
        """Give only the labels called `names`; one that is absent has the empty value."""
        return Labels({name: self._by_name.get(name, "") for name in names})

    def matches(self, wanted: Mapping[str, str]) -> bool:
        """Whether each of `wanted` is here with that value; an absent label has the empty value."""
        return all(self._by_name.get(name, "") == value for name, value in wanted.items())


def label_value(value: object) -> str:
    """Give `value` as the text of a label: lone surrogates replaced, anything over 1 kB cut and told apart by a hash."""
    text = value if isinstance(value, str) else str(value)
    if len(text) <= MAX_VALUE_BYTES // 4 and text.isascii():  # nearly every label there is
        return text
    encoded = text.encode("utf-8", "replace")
    if len(encoded) > MAX_VALUE_BYTES:
        mark = "#" + hashlib.blake2b(encoded, digest_size=8).hexdigest()
        encoded = encoded[: MAX_VALUE_BYTES - len(mark)] + mark.encode()
    return encoded.decode("utf-8", "ignore")


def valid_label_name(name: str) -> bool:
    """Whether `name` may be a label's: letters, digits and underscores, not a digit first, not reserved by `__`."""
    return _NAME.fullmatch(name) is not None and not name.startswith("__")


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


NO_LABELS: Final = Labels()
