"""Labels: the names and values that tell the series of one metric apart."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Final, Self

__all__ = ["NO_LABELS", "Labels", "label_value", "valid_label_name"]

MAX_VALUE_BYTES: Final = 1024
"""Longer values are cut and end in a hash: a label is a name to group by, not a place for payloads."""

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class Labels(Mapping[str, str]):
    """An immutable, hashable set of label names and values.

    Values are taken as text whatever they are (`label_value`). Equality ignores the order. Made from a mapping they stand
    in the order of their names, made by `of` in the order given.

    A program may have hundreds of thousands of them: they are two tuples, of which the first is shared.
    """

    __slots__ = ("_hash", "_text", "names", "texts")

    def __init__(self, labels: Mapping[str, object] | None = None) -> None:
        pairs = sorted((labels or {}).items())
        self.names: tuple[str, ...] = tuple(name for name, _ in pairs)
        self.texts: tuple[str, ...] = tuple(label_value(value) for _, value in pairs)
        self._text: str | None = None
        self._hash: int | None = None

    @classmethod
    def of(cls, names: tuple[str, ...], values: tuple[str, ...]) -> Self:
        """Give labels of these names and, in the same order, these texts, which must be `label_value`s."""
        labels = cls.__new__(cls)
        labels.names, labels.texts, labels._text, labels._hash = names, values, None, None
        return labels

    def __getitem__(self, name: str) -> str:
        try:
            return self.texts[self.names.index(name)]  # few labels: a search is as fast as a dict, and far smaller
        except ValueError:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(frozenset(zip(self.names, self.texts, strict=True)))
        return self._hash

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Labels) and self.names == other.names:
            return self.texts == other.texts
        return dict(self) == dict(other) if isinstance(other, Mapping) else NotImplemented

    def __repr__(self) -> str:
        return f"{{{self.text()}}}"

    def text(self) -> str:
        """Give the labels as `a="x",b="y"`, with quotes, backslashes and newlines escaped; kept, since pages ask often."""
        if self._text is None:
            pairs = zip(self.names, self.texts, strict=True)
            self._text = ",".join([f'{name}="{_escape(value)}"' for name, value in pairs])
        return self._text

    def pick(self, names: tuple[str, ...]) -> "Labels":
        """Give only the labels called `names`; one that is absent has the empty value."""
        return Labels({name: self.get(name, "") for name in names})

    def matches(self, wanted: Mapping[str, str]) -> bool:
        """Whether each of `wanted` is here with that value; an absent label has the empty value."""
        return all(self.get(name, "") == value for name, value in wanted.items())


def label_value(value: object) -> str:
    """Give `value` as the text of a label: lone surrogates replaced, anything over 1 kB cut and told apart by a hash."""
    text = value if type(value) is str else _text_of(value)
    if len(text) <= MAX_VALUE_BYTES // 4 and text.isascii():  # nearly every label there is
        return text
    encoded = text.encode("utf-8", "replace")
    if len(encoded) > MAX_VALUE_BYTES:
        mark = "#" + hashlib.blake2b(encoded, digest_size=8).hexdigest()
        encoded = encoded[: MAX_VALUE_BYTES - len(mark)] + mark.encode()
    return encoded.decode("utf-8", "ignore")


def _text_of(value: object) -> str:
    if isinstance(value, str):
        return str.__str__(value)  # and not what a subclass makes of it
    try:
        return str(value)
    except Exception as error:  # the code of whatever it is: a label must not raise into the program
        return f"<{type(value).__name__}: {type(error).__name__}>"


def valid_label_name(name: str) -> bool:
    """Whether `name` may be a label's: letters, digits and underscores, not a digit first, not reserved by `__`."""
    return _NAME.fullmatch(name) is not None and not name.startswith("__")


def _escape(value: str) -> str:
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return value


NO_LABELS: Final = Labels()
