"""Literals: regular expressions that ask for nothing but certain texts, with anything or nothing in between."""

import re
from collections.abc import Callable, Sequence
from itertools import product
from typing import Final, NamedTuple

from kailash_monitor.promql.regex_characters import ANY
from kailash_monitor.promql.regex_syntax import Alternation, Assertion, Capture, Chars, Concatenation, Kind, Node, Repeat

__all__ = ["flat", "literal", "literal_fits", "plain_texts"]

_MOST: Final = 256
"""Texts that an expression is written out to; as many as Prometheus does."""

_PLAIN: Final = re.compile(r"[^\\.+*?()|\[\]{}^$]*(?:\|[^\\.+*?()|\[\]{}^$]*)*")

Fits = Callable[[str], bool]


def plain_texts(pattern: str) -> frozenset[str] | None:
    """Give the texts of `a|b|c`, without reading its syntax; None for what has other signs in it."""
    return frozenset(pattern.split("|")) if _PLAIN.fullmatch(pattern) else None


def literal_fits(tree: Node) -> Fits | None:
    """Give how to compare whole values with an expression without a machine; None where that needs one."""
    tree = _unanchored(tree)
    if (texts := _texts(tree)) is not None:
        return frozenset(texts).__contains__
    branches = tree.branches if isinstance(tree, Alternation) else (tree,)
    gapped = [_gapped(branch) for branch in branches]
    known = [each for each in gapped if each is not None]
    if len(known) < len(gapped):
        return None
    if all(each.is_prefix for each in known):
        prefixes = tuple(each.literals[0] for each in known)
        return lambda value: value.startswith(prefixes)
    each_fits = [_gapped_fits(each) for each in known]
    return each_fits[0] if len(each_fits) == 1 else lambda value: any(fits(value) for fits in each_fits)


def literal(node: Node) -> str | None:
    """Give the one text that a part stands for; None if there are several."""
    texts = _texts(node, most=1)
    return texts[0] if texts else None


def flat(node: Node) -> list[Node]:
    """The parts of a chain, with those of the groups in it."""
    match node:
        case Capture():
            return flat(node.inner)
        case Concatenation():
            return [each for part in node.parts for each in flat(part)]
        case _:
            return [node]


def _unanchored(tree: Node) -> Node:
    """The same without `^` at its beginning and `$` at its end, which say nothing where the whole value must fit."""
    if not isinstance(tree, Concatenation):
        return tree
    parts = list(tree.parts)
    while parts and isinstance(first := parts[0], Assertion) and first.kind in (Kind.BEGIN_TEXT, Kind.BEGIN_LINE):
        del parts[0]
    while parts and isinstance(last := parts[-1], Assertion) and last.kind in (Kind.END_TEXT, Kind.END_LINE):
        del parts[-1]
    return parts[0] if len(parts) == 1 else Concatenation(tuple(parts), nullable=tree.nullable, first=tree.first)


def _texts(node: Node, most: int = _MOST) -> list[str] | None:
    """All texts that a part stands for; None if they are more than `most`, or it asks for more than texts."""
    match node:
        case Chars():
            return (
                [chr(code) for first, last in node.characters.ranges for code in range(first, last + 1)]
                if (0 < node.characters.count <= most)
                else None
            )
        case Capture():
            return _texts(node.inner, most)
        case Concatenation():
            return _chained(node.parts, most)
        case Alternation():
            branches = [_texts(branch, most) for branch in node.branches]
            known = [text for texts in branches if texts is not None for text in texts]
            return None if None in branches or len(known) > most else known
        case Repeat() if node.most is not None and node.most <= most:
            counts = [_chained((node.inner,) * count, most) for count in range(node.least, node.most + 1)]
            known = [text for texts in counts if texts is not None for text in texts]
            return None if None in counts or len(known) > most else known
        case _:
            return None


def _chained(parts: Sequence[Node], most: int) -> list[str] | None:
    chains = [""]
    for part in parts:
        texts = _texts(part, most)
        if texts is None or len(chains) * len(texts) > most:
            return None
        chains = [before + text for before, text in product(chains, texts)]
    return chains


class _Gapped(NamedTuple):
    """Texts in their order, the first at the beginning, the last at the end, and how much at least must lie between two."""

    literals: list[str]
    gaps: list[int]

    @property
    def is_prefix(self) -> bool:
        """Whether anything may follow the first of them."""
        return self.literals[1:] == [""] and self.gaps == [0]


def _gapped(node: Node) -> _Gapped | None:
    """The expression as texts with any characters between them; None if it is more than that."""
    literals, gaps = [""], list[int]()
    for part in flat(node):
        if isinstance(part, Repeat) and part.most is None and _is_any(part.inner):
            if gaps and not literals[-1]:
                gaps[-1] += part.least
            else:
                literals.append("")
                gaps.append(part.least)
        elif (text := literal(part)) is not None:
            literals[-1] += text
        else:
            return None
    return _Gapped(literals, gaps)


def _is_any(node: Node) -> bool:
    inner = flat(node)
    return len(inner) == 1 and isinstance(inner[0], Chars) and inner[0].characters == ANY


def _gapped_fits(gapped: _Gapped) -> Fits:
    if not gapped.gaps:
        return frozenset(gapped.literals).__contains__
    (first, *inside, last), (*before, least) = gapped
    if not first and not inside:
        return _suffix_fits(last, least)
    if len(inside) == 1 and not first and not last and gapped.gaps == [0, 0]:
        contained = inside[0]
        return lambda value: contained in value
    middle = list(zip(before, inside, strict=True))

    def fits(value: str) -> bool:
        """The earliest place of each text leaves most for those after it."""
        place, end = len(first), len(value) - len(last)
        if not value.startswith(first) or not value.endswith(last):
            return False
        for gap, text in middle:
            found = value.find(text, place + gap, end)
            if found < 0:
                return False
            place = found + len(text)
        return place + least <= end

    return fits


def _suffix_fits(suffix: str, least: int) -> Fits:
    if not suffix and least == 1:
        return bool
    if not least:
        return lambda value: value.endswith(suffix)
    shortest = least + len(suffix)
    return lambda value: len(value) >= shortest and value.endswith(suffix)
