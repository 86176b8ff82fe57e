"""The syntax of RE2, as Go's regexp/syntax reads it: from a regular expression to its tree.

Errors are worded as Go words them. Two things are refused that Go knows: Unicode scripts (`\\p{Greek}`), which Python has no
table of, and trees of more than 100 levels, where Go allows 1000.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple, TypeAlias

from kailash_monitor.promql.regex_characters import ANY, NOTHING, PERL, POSIX, Characters, category, folded, spanning, union

__all__ = [
    "Alternation",
    "Assertion",
    "Capture",
    "Chars",
    "Concatenation",
    "Expression",
    "Kind",
    "Node",
    "Repeat",
    "parse",
]

_HIGHEST: Final = 100
"""Levels of a tree: functions that call themselves for each level must not come near Python's limit of 1000 calls."""

_MOST_COPIES: Final = 1000
"""How often anything may be repeated by counts, one in another multiplied: Go's limit."""


class Kind(Enum):
    """What can be asked of a place in a text, between two characters."""

    BEGIN_TEXT = r"\A"
    END_TEXT = r"\z"
    BEGIN_LINE = "(?m:^)"
    END_LINE = "(?m:$)"
    WORD_BOUNDARY = r"\b"
    NO_WORD_BOUNDARY = r"\B"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Node:
    """A part of an expression: whether it can be empty, what it can begin with, how deep its tree is.

    `size` is about how many instructions a machine needs for it, `copies` how often the counts in it repeat anything.
    """

    nullable: bool
    first: Characters
    height: int = 1
    size: int = 1
    copies: int = 1


@dataclass(frozen=True, slots=True)
class Chars(_Node):
    """One character out of a set."""

    characters: Characters


@dataclass(frozen=True, slots=True)
class Assertion(_Node):
    """A demand on the place."""

    kind: Kind


@dataclass(frozen=True, slots=True)
class Concatenation(_Node):
    """One after the other; the empty text has no parts."""

    parts: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Alternation(_Node):
    """One of several, the first that leads to a match."""

    branches: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Repeat(_Node):
    """The same `least` times to `most` times (None for any number), as often as possible or, if `lazy`, as seldom."""

    inner: "Node"
    least: int
    most: int | None
    lazy: bool


@dataclass(frozen=True, slots=True)
class Capture(_Node):
    """A group whose text is kept under a number, from 1."""

    inner: "Node"
    number: int


Node: TypeAlias = Chars | Assertion | Concatenation | Alternation | Repeat | Capture


class Expression(NamedTuple):
    """A regular expression, with the names of its groups by number; empty for the whole (0) and for groups without one."""

    tree: Node
    names: tuple[str, ...]


def _chars(characters: Characters) -> Node:
    characters = characters.decoded
    return Chars(characters, nullable=False, first=characters)


def _joined(parts: Sequence[Node]) -> Node:
    """One part after the other, none of which is itself such a chain; without any the empty text."""
    parts = [each for part in parts for each in (part.parts if isinstance(part, Concatenation) else (part,))]
    if len(parts) == 1:
        return parts[0]
    firsts: list[Characters] = []
    for part in parts:
        firsts.append(part.first)
        if not part.nullable:
            break
    return Concatenation(
        tuple(parts),
        nullable=all(part.nullable for part in parts),
        first=union(firsts),
        height=1 + max((part.height for part in parts), default=0),
        size=sum(part.size for part in parts),
        copies=max((part.copies for part in parts), default=1),
    )


def _either(branches: Sequence[Node]) -> Node:
    if len(branches) == 1:
        return branches[0]
    return Alternation(
        tuple(branches),
        nullable=any(branch.nullable for branch in branches),
        first=union(branch.first for branch in branches),
        height=1 + max(branch.height for branch in branches),
        size=sum(branch.size for branch in branches) + len(branches) - 1,
        copies=max(branch.copies for branch in branches),
    )


def _repeated(inner: Node, least: int, most: int | None, *, lazy: bool) -> Node:
    copies = max(1, least) if most is None else most
    return Repeat(
        inner,
        least,
        most,
        lazy,
        nullable=least == 0 or inner.nullable,
        first=NOTHING if most == 0 else inner.first,
        height=1 + inner.height,
        size=max(1, inner.size * copies + (2 if most is None else most - least)),
        copies=inner.copies * copies,
    )


def _captured(inner: Node, number: int) -> Node:
    return Capture(
        inner,
        number,
        nullable=inner.nullable,
        first=inner.first,
        height=1 + inner.height,
        size=2 + inner.size,
        copies=inner.copies,
    )


def parse(text: str) -> Expression:
    """Read an expression, whose `.` stands for a line feed too, as in Prometheus. A ValueError is worded as Go words it."""
    if invalid := _SURROGATE.search(text):
        raise _error("invalid UTF-8", text[invalid.start() :])
    return _Parser(text).parsed()


def _error(what: str, where: str) -> ValueError:
    shown = _SURROGATE.sub("\ufffd", where)
    return ValueError(f"error parsing regexp: {what}: `{shown}`")


_SURROGATE: Final = re.compile("[\ud800-\udfff]")


_FLAGS: Final = re.compile(r"\(\?([imsU]*)(?:-([imsU]+))?([:)])")
_FLAGS_SO_FAR: Final = re.compile(r"\(\?[imsU]*(?:-[imsU]*)?.?", re.DOTALL)
_BEGIN_OF_NAMED: Final = re.compile(r"\(\?P?<.", re.DOTALL)
_NAMED: Final = re.compile(r"\(\?P?<(?P<name>[^>]*)>")
_NAME: Final = re.compile(r"[0-9A-Za-z_]+")
_COUNTS: Final = re.compile(r"\{(?P<least>0|[1-9][0-9]*)(?P<comma>,(?P<most>0|[1-9][0-9]*)?)?\}")
_SIGNS: Final = {"*": (0, None), "+": (1, None), "?": (0, 1)}
_PLACES: Final = {"A": Kind.BEGIN_TEXT, "z": Kind.END_TEXT, "b": Kind.WORD_BOUNDARY, "B": Kind.NO_WORD_BOUNDARY}
_ESCAPE: Final = re.compile(
    r"\\(?:x\{(?P<braces>[0-9A-Fa-f]+)\}|x(?P<hex>[0-9A-Fa-f]{2})|(?P<octal>0[0-7]{0,2}|[1-7][0-7]{1,2}))"
)
_LETTERS: Final = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


@dataclass(slots=True)
class _Group:
    """A parenthesis that is open: what was read in it so far, and what was true outside."""

    flags: frozenset[str] = frozenset("s")
    number: int | None = None
    branches: list[Node] = field(default_factory=list)
    parts: list[Node] = field(default_factory=list)

    def closed(self) -> Node:
        """All of it; the group itself is not to be used any more."""
        return _either([*self.branches, _joined(self.parts)])


class _Parser:
    """A reader of one expression. Mutable: the place it is at, the flags there, the open groups, the names so far."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._place = 0
        self._flags = frozenset("s")
        self._groups = [_Group()]
        self._names = [""]

    def parsed(self) -> Expression:
        repeated: int | None = None  # where the repetition begins that was read just before
        while self._place < len(self._text):
            start = self._place
            is_repetition = self._read_repetition(repeated)
            if not is_repetition:
                self._read_other()
            repeated = start if is_repetition else None
        if len(self._groups) > 1:
            raise _error("missing closing )", self._text)
        return Expression(self._checked(self._groups[0].closed()), tuple(self._names))

    def _checked(self, node: Node) -> Node:
        if node.height > _HIGHEST:
            raise _error("expression nests too deeply", self._text)
        return node

    def _add(self, node: Node) -> None:
        self._groups[-1].parts.append(self._checked(node))

    def _literal(self, code: int) -> None:
        self._add(_chars(self._cased(spanning(code))))

    def _cased(self, characters: Characters) -> Characters:
        return folded(characters) if "i" in self._flags else characters

    # repetitions

    def _read_repetition(self, repeated: int | None) -> bool:
        """Read a repetition, if there is one here; `repeated` is where another one begins that ends here."""
        text, start = self._text, self._place
        if (sign := text[start]) in _SIGNS:
            least, most = _SIGNS[sign]
            self._place += 1
        elif sign == "{" and (counts := _COUNTS.match(text, start)):
            self._place = counts.end()
            least = int(counts["least"])
            most = least if counts["comma"] is None else None if counts["most"] is None else int(counts["most"])
            if max(least, most or 0) > _MOST_COPIES or (most is not None and least > most):
                raise _error("invalid repeat count", counts[0])
        else:
            return False
        lazy = text.startswith("?", self._place)
        self._place += lazy
        if repeated is not None:
            raise _error("invalid nested repetition operator", text[repeated : self._place])
        parts = self._groups[-1].parts
        if not parts:
            raise _error("missing argument to repetition operator", text[start : self._place])
        self._add(_repeated(parts.pop(), least, most, lazy=lazy != ("U" in self._flags)))
        if parts[-1].copies > _MOST_COPIES:
            raise _error("invalid repeat count", text[start : self._place])
        return True

    # everything else

    def _read_other(self) -> None:
        character = self._text[self._place]
        match character:
            case "(":
                self._read_parenthesis()
                return
            case "[":
                self._read_class()
                return
            case "\\":
                self._read_backslash()
                return
            case "|":
                group = self._groups[-1]
                group.branches.append(self._checked(_joined(group.parts)))
                group.parts = []
            case ")":
                self._close()
            case "^":
                self._assert(Kind.BEGIN_LINE if "m" in self._flags else Kind.BEGIN_TEXT)
            case "$":
                self._assert(Kind.END_LINE if "m" in self._flags else Kind.END_TEXT)
            case ".":
                self._add(_chars(ANY if "s" in self._flags else spanning(0x0A).complement))
            case _:
                self._literal(ord(character))
        self._place += 1

    def _assert(self, kind: Kind) -> None:
        self._add(Assertion(kind, nullable=True, first=NOTHING))

    def _close(self) -> None:
        if len(self._groups) == 1:
            raise _error("unexpected )", self._text)
        group = self._groups.pop()
        inner = self._checked(group.closed())
        self._flags = group.flags
        self._add(inner if group.number is None else _captured(inner, group.number))

    def _read_parenthesis(self) -> None:
        """Read what opens a group, or changes the flags from here on."""
        text, start = self._text, self._place
        if not text.startswith("(?", start):
            self._place += 1
            self._open_capture("")
        elif _BEGIN_OF_NAMED.match(text, start):
            named = _NAMED.match(text, start)
            if named is None or not _NAME.fullmatch(named["name"]):
                raise _error("invalid named capture", text[start:] if named is None else named[0])
            self._place = named.end()
            self._open_capture(named["name"])
        elif flags := _FLAGS.match(text, start):
            self._place = flags.end()
            if flags[3] == ":":
                self._groups.append(_Group(self._flags))
            self._flags = (self._flags | {*flags[1]}) - {*(flags[2] or "")}
        else:
            so_far = _FLAGS_SO_FAR.match(text, start)
            raise _error("invalid or unsupported Perl syntax", so_far[0] if so_far else text[start:])

    def _open_capture(self, name: str) -> None:
        self._groups.append(_Group(self._flags, len(self._names)))
        self._names.append(name)

    def _read_backslash(self) -> None:
        text, start = self._text, self._place
        letter = text[start + 1 : start + 2]
        if letter == "Q":
            end = text.find(r"\E", start + 2)
            for character in text[start + 2 : end if end >= 0 else None]:
                self._literal(ord(character))
            self._place = end + 2 if end >= 0 else len(text)
        elif letter in _PLACES:
            self._place += 2
            self._assert(_PLACES[letter])
        elif letter == "C":
            raise _error("invalid escape sequence", r"\C")
        elif (known := self._known_class()) is not None:
            self._add(_chars(known))
        else:
            self._literal(self._escaped())

    def _escaped(self) -> int:
        """Read an escape that stands for one character."""
        text, start = self._text, self._place
        letter = text[start + 1 : start + 2]
        if not letter:
            raise _error("trailing backslash at end of expression", "")
        if escape := _ESCAPE.match(text, start):
            digits = escape["braces"] or escape["hex"] or escape["octal"]
            code = int(digits, 8 if escape["octal"] else 16)
            if code <= 0x10FFFF:
                self._place = escape.end()
                return code
        elif letter in _LETTERS or (letter.isascii() and not letter.isalnum()):
            self._place += 2
            return ord(_LETTERS.get(letter, letter))
        raise _error("invalid escape sequence", _faulty_escape(text[start:]))

    # classes

    def _known_class(self) -> Characters | None:
        """Read `\\d`, `\\pL` and their like, if there is one here."""
        text, start = self._text, self._place
        letter = text[start + 1 : start + 2] if text.startswith("\\", start) else ""
        if letter in ("p", "P") and len(text) > start + 2:
            return self._unicode_class()
        if not letter or letter.lower() not in PERL:
            return None
        self._place += 2
        characters = self._cased(PERL[letter.lower()])
        return characters if letter.islower() else characters.complement

    def _unicode_class(self) -> Characters:
        text, start = self._text, self._place
        end = start + 3
        if text[start + 2] == "{":
            end = text.find("}", start) + 1
            if not end:
                raise _error("invalid character class range", text[start:])
        name = text[start + 2 : end].strip("{}")
        found = category(name.removeprefix("^"))
        if found is None:
            raise ValueError(
                f"{_error('invalid character class range', text[start:end])} (general categories are known, scripts are not)"
            )
        self._place = end
        found = self._cased(found)
        return found.complement if (text[start + 1] == "P") != name.startswith("^") else found

    def _read_class(self) -> None:
        """Read a class in brackets."""
        text, start = self._text, self._place
        self._place += 1
        negated = text.startswith("^", self._place)
        self._place += negated
        sets: list[Characters] = []
        while not sets or not text.startswith("]", self._place):
            sets.append(self._posix_class() or self._known_class() or self._range(start))
        self._place += 1
        characters = union(sets)
        self._add(_chars(characters.complement if negated else characters))

    def _posix_class(self) -> Characters | None:
        text, start = self._text, self._place
        end = text.find(":]", start + 2)
        if not text.startswith("[:", start) or end < 0:
            return None
        name = text[start + 2 : end]
        self._place = end + 2
        if name.removeprefix("^") not in POSIX:
            raise _error("invalid character class range", text[start : self._place])
        characters = self._cased(POSIX[name.removeprefix("^")])
        return characters.complement if name.startswith("^") else characters

    def _range(self, whole: int) -> Characters:
        """Read one character, or those from one to another; `whole` is where the class begins."""
        text, start = self._text, self._place
        first = last = self._member(whole)
        if text.startswith("-", self._place) and text[self._place + 1 : self._place + 2] not in ("", "]"):
            self._place += 1
            last = self._member(whole)
            if last < first:
                raise _error("invalid character class range", text[start : self._place])
        return self._cased(spanning(first, last))

    def _member(self, whole: int) -> int:
        if self._place >= len(self._text):
            raise _error("missing closing ]", self._text[whole:])
        if self._text[self._place] == "\\":
            return self._escaped()
        self._place += 1
        return ord(self._text[self._place - 1])


def _faulty_escape(text: str) -> str:
    """As much of a wrong escape as Go shows: up to where it could not go on."""
    faulty = re.match(r"\\(?:x\{[0-9A-Fa-f]*.?|x.{0,2}|.)", text, re.DOTALL)
    return faulty[0] if faulty else text
