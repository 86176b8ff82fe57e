"""YAML: text into nodes that know their line. The only importer of PyYAML."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kailash_monitor.errors import ConfigurationError, InvalidFile, MissingExtra

__all__ = ["Node", "Scalar", "parse_yaml", "text_of"]

MAX_NODES: Final = 100_000
"""A rule file of thousands of rules has fewer; aliases of aliases ("a billion laughs") have more."""

MAX_DEPTH: Final = 100
"""How deep lists and mappings may stand in each other; people's files have five levels."""

Scalar = str | int | float | bool | None


def text_of(path: Path) -> str:
    """Give the text of a file. An InvalidFile says why it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InvalidFile([f"{path}: cannot be read: {reason}"]) from None


@dataclass(frozen=True, slots=True)
class Node:
    """A scalar, a list of nodes or a mapping of texts to nodes, and where it begins (from 1).

    `key_lines` tells on which line each key of a mapping stands, `written` how a scalar stands in the file, its quotes
    included.
    """

    content: "Scalar | list[Node] | dict[str, Node]"
    line: int
    key_lines: dict[str, int]
    column: int = 1
    written: str = ""

    def plain(self) -> Any:  # Any: whatever YAML can say
        """Give scalars, lists and dictionaries."""
        match self.content:
            case dict():
                return {key: node.plain() for key, node in self.content.items()}
            case list():
                return [node.plain() for node in self.content]
            case _:
                return self.content

    def line_of(self, path: Sequence[str | int]) -> int:
        """Give the line of what stands at `path`, or of the nearest thing around it that exists."""
        return self._follow(path)[1]

    def has(self, path: Sequence[str | int]) -> bool:
        """Whether anything stands at `path`."""
        return self._follow(path)[0] == len(path)

    def place(self, offset: int) -> tuple[int, int]:
        """Give line and column (from 1) of character `offset` of a text, however it is quoted, folded or indented.

        Spaces may be folded; one of them, and the end of the text, is taken to stand behind the last visible character.
        """
        text = str(self.content)
        begin, pieces = _visible(self.written)
        before = sum([not character.isspace() for character in text[:offset]])
        if not text[offset : offset + 1].isspace() and offset < len(text) and before < len(pieces):
            at = pieces[before].start()
        else:
            at = pieces[min(before, len(pieces)) - 1].end() if pieces and before else begin
        lines = self.written.count("\n", 0, at)
        return self.line + lines, at - self.written.rfind("\n", 0, at) if lines else self.column + at

    def _follow(self, path: Sequence[str | int]) -> tuple[int, int]:
        """Give how many steps of `path` there are, and the line of the last of them."""
        node, line = self, self.line
        for taken, step in enumerate(path):
            match node.content, step:
                case dict() as entries, str() if step in entries:
                    node, line = entries[step], node.key_lines[step]
                case list() as items, int() if step < len(items):
                    node, line = items[step], items[step].line
                case _:
                    return taken, line
        return len(path), line


_PROPERTIES: Final = re.compile(r"(?:[&!]\S*\s+)*")
"""An anchor, a tag, which may stand before a scalar."""

_HEADER: Final = re.compile(r"[|>].*\n?")
_PIECE: Final = re.compile(r".", re.DOTALL)
_PIECES: Final = {
    "'": re.compile(r"''|.", re.DOTALL),
    '"': re.compile(r"\\(?:x(?P<x>..)|u(?P<u>.{4})|U(?P<U>.{8})|.)|.", re.DOTALL),
}
_INVISIBLE: Final = frozenset({rf"\{letter}" for letter in " nrtvfNLP_\t\r\n"})
"""Escapes in double quotes that stand for a space or a line break, or for nothing."""


def _visible(written: str) -> tuple[int, list[re.Match[str]]]:
    """Give where the text of a scalar begins in what is written, and all that stands for visible characters."""
    properties = _PROPERTIES.match(written)
    begin = properties.end() if properties else 0
    quote = written[begin : begin + 1]
    if header := _HEADER.match(written, begin):
        begin = header.end()
    elif quote in _PIECES:
        return begin + 1, [one for one in _PIECES[quote].finditer(written, begin + 1, len(written) - 1) if not _blank(one)]
    return begin, [one for one in _PIECE.finditer(written, begin) if not _blank(one)]


def _blank(piece: re.Match[str]) -> bool:
    code = next((digits for digits in piece.groups() if digits), None)
    return piece[0].isspace() or piece[0] in _INVISIBLE if code is None else chr(int(code, 16)).isspace()


def parse_yaml(text: str, source: str, *, as_texts: bool = False) -> Node:
    """Read one YAML document from `source`, which errors name.

    With `as_texts`, every scalar but null is the text that stands there, keys as well, and merge keys (`<<: *base`) work:
    so Go programs such as Prometheus read their files.

    A ConfigurationError tells the line and column of a syntax error, a key that stands twice or is no text, a tag beyond
    plain YAML, a second document, or a document that is far too large, too deep, or contains itself.
    """
    try:
        import yaml
    except ImportError:
        raise MissingExtra("reading YAML", package="PyYAML", extra="rules") from None

    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        return Node({}, 1, {}) if root is None else _Reader(source, loader, as_texts=as_texts).node(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = source if mark is None else f"{source}:{mark.line + 1}:{mark.column + 1}"
        seen, expected = error.problem or "no YAML", "one YAML document"
        if _ALIAS in seen:  # its name may be a password that begins with a star
            seen, expected = _ALIAS, "a text that begins with * stands in quotes"
        raise ConfigurationError(where, seen=seen, expected=expected) from None
    except yaml.YAMLError as error:
        raise ConfigurationError(source, seen=str(error).replace("\n", " "), expected="text") from None
    except RecursionError:  # PyYAML's own, long after MAX_DEPTH
        raise ConfigurationError(source, seen="values that are nested too deeply", expected=_NO_DEEPER) from None


_NO_DEEPER: Final = f"at most {MAX_DEPTH} levels"
_ALIAS: Final = "found undefined alias"

_STANDARD: Final = "tag:yaml.org,2002:"

_MERGE: Final = "tag:yaml.org,2002:merge"

_COLLECTIONS: Final = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


class _Reader:
    """Turns PyYAML's nodes into ours."""

    def __init__(self, source: str, loader: Any, *, as_texts: bool) -> None:  # Any: PyYAML is imported at first use
        self._source = source
        self._as_texts = as_texts
        self._loader = loader
        self._left = MAX_NODES
        self._around: list[Any] = []  # the lists and mappings in which we are

    def node(self, node: Any) -> Node:  # Any: as above
        self._left -= 1
        if self._left < 0:
            raise self._wrong(node, f"more than {MAX_NODES} values", "split the file")
        line = node.start_mark.line + 1
        if node.id == "scalar":
            written = node.start_mark.buffer[node.start_mark.pointer : node.end_mark.pointer]
            return Node(self._scalar(node), line, {}, node.start_mark.column + 1, written)
        self._enter(node)
        try:
            return self._mapping(node, line) if node.id == "mapping" else self._sequence(node, line)
        finally:
            self._around.pop()

    def _enter(self, node: Any) -> None:  # Any: as above
        if node.tag not in _COLLECTIONS:
            raise self._wrong(node, _tag(node.tag), "plain YAML has no such tag")
        if any(node is outer for outer in self._around):
            raise self._wrong(node, "a value that contains itself", "no such alias")
        if len(self._around) >= MAX_DEPTH:
            raise self._wrong(node, "values that are nested too deeply", _NO_DEEPER)
        self._around.append(node)

    def _sequence(self, node: Any, line: int) -> Node:  # Any: as above
        return Node([self.node(item) for item in node.value], line, {})

    def _mapping(self, node: Any, line: int) -> Node:  # Any: as above
        entries: dict[str, Node] = {}
        lines: dict[str, int] = {}
        inherited: list[Node] = []
        for key, value in node.value:
            name = self._scalar(key) if key.id == "scalar" else None
            if not isinstance(name, str):
                raise self._wrong(key, f"the key {getattr(key, 'value', '')!r}", "keys are texts; put it into quotes")
            if name in lines:
                raise self._wrong(key, f"the key {name!r} for the second time, first in line {lines[name]}", "keep one")
            lines[name] = key.start_mark.line + 1
            if key.tag == _MERGE:
                inherited = self._bases(value)
            else:
                entries[name] = self.node(value)
        for base in inherited:
            for name, value in base.content.items() if isinstance(base.content, dict) else ():
                if name not in entries:
                    entries[name], lines[name] = value, base.key_lines[name]
        return Node(entries, line, lines)

    def _bases(self, node: Any) -> list[Node]:  # Any: as above
        """Give the mappings of a merge key, of which the first counts most."""
        bases = [self.node(one) for one in (node.value if node.id == "sequence" else [node])]
        if not all(isinstance(base.content, dict) for base in bases):
            raise self._wrong(node, "a merge key (<<) with something else than mappings", "write <<: *name")
        return bases

    def _scalar(self, node: Any) -> Scalar:  # Any: as above
        tag = node.tag.removeprefix(_STANDARD)
        match tag:
            case "null" | "bool" | "int" | "float" if tag == "null" or not self._as_texts:
                try:
                    value: Scalar = self._loader.construct_object(node)
                except ValueError:
                    raise self._wrong(node, f"a value that is no {tag}", f"a valid {tag}") from None
                return value
            case "str" | "timestamp" | "value":  # what looks like a date or "=" is text here
                return str(node.value)
            case "bool" | "int" | "float" | "merge" if self._as_texts:
                return str(node.value)
            case _:
                raise self._wrong(node, _tag(node.tag), "plain YAML has no such tag")

    def _wrong(self, node: Any, seen: str, expected: str) -> ConfigurationError:  # Any: as above
        mark = node.start_mark
        return ConfigurationError(f"{self._source}:{mark.line + 1}:{mark.column + 1}", seen=seen, expected=expected)


def _tag(tag: str) -> str:
    """Name a tag; one of somebody's own may be a password that begins with an exclamation mark."""
    return f"the tag {tag!r}" if tag.startswith(_STANDARD) else "a tag (a text that begins with ! stands in quotes)"
