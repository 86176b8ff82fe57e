"""Translation to Python's `re`, for those regular expressions on which its backtracking cannot run away.

`re` is some ten times as quick as any machine written in Python. What it may be trusted with is decided by counting
ways: how many of the ways to match a part can be left when the character after it has been seen. Where that is a few
for the whole, the time is linear (the one-unambiguous expressions of Brüggemann-Klein and Wood, 1998, have one). Beside
those, one repetition of a character that may end in many places is fine, if what follows costs little at each of them.
"""

import math
import re
from collections.abc import Iterable, Sequence
from typing import Final, assert_never

from kailash_monitor.promql.regex_characters import ANY, END, Characters, union
from kailash_monitor.promql.regex_literals import flat, literal
from kailash_monitor.promql.regex_syntax import Alternation, Assertion, Capture, Chars, Concatenation, Kind, Node, Repeat

__all__ = ["translated"]

_FEW: Final = 16
"""Ways that may be left: the factor by which a value may take longer than one reading."""


def translated(tree: Node, *, captures: bool) -> re.Pattern[str] | None:
    """Give the same as a pattern for `fullmatch`; None where that could take more than linear time, or means something else.

    A group in a repetition is among the latter, if `captures` are wanted: what it keeps differs between versions of Python.
    """
    if not _is_linear(flat(tree)) or (captures and _repeats_capture(tree)):
        return None
    return re.compile(_text(tree, captures=captures), re.DOTALL | re.ASCII)


# how long it takes


def _is_linear(parts: Sequence[Node]) -> bool:
    """Whether backtracking through a chain that must reach the end of the value takes linear time."""
    follows = _follows(parts, END)
    ways = 1.0
    for index, part in enumerate(parts):
        here = ways * _ways(part, follows[index])
        if here <= _FEW:
            ways = here
        elif index + 1 < len(parts):
            return _is_gap(part) and _is_cheap(parts[index + 1 :])
        else:
            return isinstance(part, Alternation) and all(_is_linear(flat(branch)) for branch in part.branches)
    return True


def _follows(parts: Sequence[Node], follow: Characters) -> list[Characters]:
    """For each part of a chain, which character can come after it."""
    follows: list[Characters] = []
    for part in reversed(parts):
        follows.append(follow)
        follow = union([part.first, follow]) if part.nullable else part.first
    return follows[::-1]


def _ways(node: Node, follow: Characters) -> float:
    """How many ways to match a part from a given place can be left when what follows it has been seen, at most."""
    match node:
        case Chars() | Assertion():
            return 1
        case Capture():
            return _ways(node.inner, follow)
        case Concatenation():
            return _product(node.parts, _follows(node.parts, follow))
        case Alternation():
            return _alternatives(node.branches, follow)
        case Repeat():
            return _repeated_ways(node, follow)
        case _:
            assert_never(node)


def _product(parts: Sequence[Node], follows: Sequence[Characters]) -> float:
    return math.prod(_ways(part, follow) for part, follow in zip(parts, follows, strict=True))


def _alternatives(branches: Sequence[Node], follow: Characters) -> float:
    texts = [literal(branch) for branch in branches]
    known = sorted(text for text in texts if text)
    if len(known) == len(texts):
        return _most_prefixes(known)
    changes: list[tuple[int, float]] = []
    for branch in branches:
        first = union([branch.first, follow]) if branch.nullable else branch.first
        ways = _ways(branch, follow)
        if ways > _FEW:
            return math.inf
        for start, last in first.ranges:
            changes += ((start, ways), (last + 1, -ways))
    most = ways = 0.0
    for _, change in sorted(changes):
        ways += change
        most = max(most, ways)
    return most


def _most_prefixes(texts: Iterable[str]) -> int:
    """How many of the texts, which are in order, can be found at one place: each of them begins with those before it."""
    chain: list[str] = []
    longest = 0
    for text in texts:
        while chain and not text.startswith(chain[-1]):
            chain.pop()
        chain.append(text)
        longest = max(longest, len(chain))
    return longest


def _repeated_ways(node: Repeat, follow: Characters) -> float:
    if node.most == 0:
        return 1
    if node.inner.nullable:  # here Python and Go differ, too
        return math.inf
    most = math.inf if node.most is None else node.most
    inside = _ways(node.inner, union([node.inner.first, follow]))
    through = 1 if inside == 1 else math.inf if most > _FEW or inside > _FEW else inside**most
    if node.least == node.most or node.inner.first.isdisjoint(follow):
        return through
    return through * (most - node.least + 1)


def _is_gap(node: Node) -> bool:
    """Whether it is a repetition of one character, of whichever kind."""
    return isinstance(node, Repeat) and [type(part) for part in flat(node.inner)] == [Chars]


def _is_cheap(parts: Sequence[Node]) -> bool:
    """Whether it costs a linear time at most to try these, which must reach the end, at every place of a value.

    So it is where they look at a few characters only; or where they begin with a character that they come upon nowhere
    else, so that no try goes beyond the begin of the next. A last part that takes whatever is left costs nothing.
    """
    if parts and _takes_all(parts[-1]):
        parts = parts[:-1]
    if _product(parts, _follows(parts, END)) > _FEW:
        return False
    if all(_is_bounded(part) for part in parts):
        return True
    head, *others = parts
    return isinstance(head, Chars) and all(head.characters.isdisjoint(each) for part in others for each in _alphabet(part))


def _is_bounded(node: Node) -> bool:
    match node:
        case Repeat():
            return node.most is not None and _is_bounded(node.inner)
        case Concatenation() | Alternation():
            inside = node.parts if isinstance(node, Concatenation) else node.branches
            return all(_is_bounded(each) for each in inside)
        case Capture():
            return _is_bounded(node.inner)
        case _:
            return True


def _takes_all(node: Node) -> bool:
    if not isinstance(node, Repeat) or node.most is not None or not _is_gap(node):
        return False
    return _alphabet(node) == [ANY]


def _alphabet(node: Node) -> list[Characters]:
    """The sets of all characters that a part can read."""
    match node:
        case Chars():
            return [node.characters]
        case Assertion():
            return []
        case Capture() | Repeat():
            return _alphabet(node.inner)
        case Concatenation() | Alternation():
            inside = node.parts if isinstance(node, Concatenation) else node.branches
            return [each for part in inside for each in _alphabet(part)]
        case _:
            assert_never(node)


def _repeats_capture(node: Node, *, repeated: bool = False) -> bool:
    match node:
        case Chars() | Assertion():
            return False
        case Capture():
            return repeated or _repeats_capture(node.inner)
        case Repeat():
            return _repeats_capture(node.inner, repeated=True)
        case Concatenation() | Alternation():
            inside = node.parts if isinstance(node, Concatenation) else node.branches
            return any(_repeats_capture(part, repeated=repeated) for part in inside)
        case _:
            assert_never(node)


# what it looks like

_ASSERTIONS: Final = {
    Kind.BEGIN_TEXT: r"\A",
    Kind.END_TEXT: r"\Z",
    Kind.BEGIN_LINE: "(?m:^)",
    Kind.END_LINE: "(?m:$)",
    Kind.WORD_BOUNDARY: r"\b",
    Kind.NO_WORD_BOUNDARY: r"(?!\b)",  # \B is not true of the empty text before Python 3.14
}


def _text(node: Node, *, captures: bool) -> str:
    match node:
        case Chars():
            return _class(node.characters)
        case Assertion():
            return _ASSERTIONS[node.kind]
        case Concatenation():
            return "".join([_text(part, captures=captures) for part in node.parts])
        case Alternation():
            return f"(?:{'|'.join([_text(branch, captures=captures) for branch in node.branches])})"
        case Capture():
            return f"{'(' if captures else '(?:'}{_text(node.inner, captures=captures)})"
        case Repeat():
            count = f"{{{node.least},{'' if node.most is None else node.most}}}"
            return f"(?:{_text(node.inner, captures=captures)}){count}{'?' * node.lazy}"
        case _:
            assert_never(node)


def _class(characters: Characters) -> str:
    if characters == ANY:
        return "."
    if characters.count == 1:
        return re.escape(chr(characters.bounds[0]))
    complement = characters.complement
    if not characters.bounds or len(complement.bounds) < len(characters.bounds):
        return f"[^{_ranges(complement)}]"
    return f"[{_ranges(characters)}]"


def _ranges(characters: Characters) -> str:
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in characters.ranges)
