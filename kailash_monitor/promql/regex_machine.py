"""The machine of a regular expression: it finds the match that Go finds, in a time that is linear in the length of the text.

An expression becomes a program of few kinds of instructions (Thompson, 1968). A value is read twice. Backwards first: at
each place the machine knows from which instructions the rest of the value can be matched to its end; which sets of them
come up is remembered, so mostly it is one look into a dictionary for each character. Then forwards, only where captures
are asked for: at each fork it takes the first branch that is known to lead to the end, which is the one that a machine
with backtracking would end up in, in Perl as in Go.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias, assert_never

from kailash_monitor.promql.regex_characters import Characters
from kailash_monitor.promql.regex_syntax import (
    Alternation,
    Assertion,
    Capture,
    Chars,
    Concatenation,
    Expression,
    Kind,
    Node,
    Repeat,
)

__all__ = ["Machine", "Span"]

_LARGEST: Final = 2_000
"""Instructions of a program. Go allows three million; here each may cost a microsecond at a character not seen before."""

_REMEMBERED: Final = 2_000_000
"""Bits of all sets of instructions that a machine remembers, about; a fresh start is made beyond."""

Span: TypeAlias = tuple[int, int] | None
"""Where the text of a group begins and ends in the value; None for a group that had no part in the match."""


@dataclass(frozen=True, slots=True)
class _Consume:
    characters: Characters
    after: int


@dataclass(frozen=True, slots=True)
class _Demand:
    kind: Kind
    after: int


@dataclass(frozen=True, slots=True)
class _Mark:
    """Note the place: of the beginning of group n in slot 2n, of its end in slot 2n + 1."""

    slot: int
    after: int


@dataclass(slots=True)
class _Fork:
    """Go on at `first` if that leads to the end, else at `second`. It is built before its branches are known."""

    first: int = -1
    second: int = -1


class _Match:
    """The end: the whole value must have been read."""


_Instruction: TypeAlias = _Consume | _Demand | _Mark | _Fork | _Match
_MATCH: Final = 0


class _Compiler:
    """Builds a program from its end to its beginning. Mutable: the instructions so far."""

    def __init__(self) -> None:
        self.program: list[_Instruction] = [_Match()]

    def compiled(self, node: Node, after: int) -> int:
        """Add what matches `node` and goes on at `after`; give where that begins."""
        match node:
            case Chars():
                return self._added(_Consume(node.characters, after))
            case Assertion():
                return self._added(_Demand(node.kind, after))
            case Concatenation():
                for part in reversed(node.parts):
                    after = self.compiled(part, after)
                return after
            case Alternation():
                *others, entry = [self.compiled(branch, after) for branch in node.branches]
                for other in reversed(others):
                    entry = self._added(_Fork(other, entry))
                return entry
            case Capture():
                end = self._added(_Mark(2 * node.number + 1, after))
                return self._added(_Mark(2 * node.number, self.compiled(node.inner, end)))
            case Repeat():
                return self._repeated(node, after)
            case _:
                assert_never(node)

    def _added(self, instruction: _Instruction) -> int:
        self.program.append(instruction)
        return len(self.program) - 1

    def _repeated(self, node: Repeat, after: int) -> int:
        """A counted repetition is as many copies: x{2,4} is xx(x(x)?)?, x{2,} is xx+."""
        entry, copies = after, node.least
        if node.most is not None:
            for _ in range(node.most - node.least):
                entry = self._choice(self.compiled(node.inner, entry), after, lazy=node.lazy)
        else:
            fork, once = self._loop(node, after)
            if copies:
                entry, copies = once, copies - 1
            elif node.inner.nullable:  # as Go has it, that the order of the choices be right: (x+)?
                entry = self._choice(once, after, lazy=node.lazy)
            else:
                entry = fork
        for _ in range(copies):
            entry = self.compiled(node.inner, entry)
        return entry

    def _choice(self, inside: int, after: int, *, lazy: bool) -> int:
        return self._added(_Fork(after, inside) if lazy else _Fork(inside, after))

    def _loop(self, node: Repeat, after: int) -> tuple[int, int]:
        """Any number of times; gives where it is asked whether there is to be another, and where that begins."""
        fork = _Fork()
        place = self._added(fork)
        inside = self.compiled(node.inner, place)
        fork.first, fork.second = (after, inside) if node.lazy else (inside, after)
        return place, inside


# What stands beside a place, as far as assertions tell characters apart.
_EDGE, _LINE_FEED, _WORD, _OTHER = range(4)


def _beside(character: str) -> int:
    if character == "\n":
        return _LINE_FEED
    return _WORD if character.isascii() and (character.isalnum() or character == "_") else _OTHER


def _holds(kind: Kind, before: int, after: int) -> bool:
    match kind:
        case Kind.BEGIN_TEXT:
            return before == _EDGE
        case Kind.END_TEXT:
            return after == _EDGE
        case Kind.BEGIN_LINE:
            return before in (_EDGE, _LINE_FEED)
        case Kind.END_LINE:
            return after in (_EDGE, _LINE_FEED)
        case Kind.WORD_BOUNDARY:
            return (before == _WORD) != (after == _WORD)
        case Kind.NO_WORD_BOUNDARY:
            return (before == _WORD) == (after == _WORD)
        case _:
            assert_never(kind)


class _Foresight(dict[str, "_Foresight"]):
    """What is known of a place: by which instructions (bits of `consuming`) its character can be read on the way to the end.

    As a dictionary it gives the foresight one place to the left, by the character there.
    """

    __slots__ = ("_machine", "consuming", "following", "steps", "viable")

    def __init__(self, machine: "Machine", consuming: int, following: int) -> None:
        super().__init__()
        self._machine = machine
        self.consuming = consuming
        self.following = following  # what the character at the place is, for assertions before it
        self.viable: dict[int, int] = {}  # instructions that lead to the end, by what stands before the place
        self.steps: dict[tuple[int, int], tuple[int, tuple[int, ...]]] = {}

    def __missing__(self, character: str) -> "_Foresight":
        found = self[character] = self._machine.before(self, character)
        return found


class Machine:
    """The program of an expression, and what was found out about the values it was used on; that only makes it faster.

    A ValueError says that the program would be too large.
    """

    def __init__(self, expression: Expression, text: str) -> None:
        if expression.tree.size > _LARGEST:
            raise ValueError(f"error parsing regexp: expression too large: `{text}`")
        compiler = _Compiler()
        self._start = compiler.compiled(expression.tree, _MATCH)
        self._program = tuple(compiler.program)
        self._slots = 2 * len(expression.names)
        self._has_demands = any(isinstance(each, _Demand) for each in self._program)
        self._sources: list[list[int]] = [
            [] for _ in self._program
        ]  # from where an instruction is reached without a character
        for place, instruction in enumerate(self._program):
            for after in _onward(instruction):
                self._sources[after].append(place)
        self._consumers: list[list[int]] = [[] for _ in self._program]  # the same with a character
        for place, instruction in enumerate(self._program):
            if isinstance(instruction, _Consume):
                self._consumers[instruction.after].append(place)
        self._known: dict[tuple[int, int], _Foresight] = {}
        self._steps_left = 0
        self._forget()

    def fits(self, value: str) -> bool:
        """Whether the expression matches the whole value."""
        foresight, nothing = self._end, self._nothing
        for character in reversed(value):
            foresight = foresight[character]
            if foresight is nothing:
                return False
        return bool(self._viable(foresight, _EDGE) >> self._start & 1)

    def spans(self, value: str) -> list[Span] | None:
        """The texts of all groups in the match of the whole value, that of the match first; None if there is none."""
        path = [self._end]
        for character in reversed(value):
            path.append(path[-1][character])
        if not self._viable(path[-1], _EDGE) >> self._start & 1:
            return None
        marks = [-1] * self._slots
        marks[:2] = 0, len(value)
        place, before = self._start, _EDGE
        for position, foresight in enumerate(reversed(path)):
            if self._has_demands and position:
                before = _beside(value[position - 1])
            place, slots = foresight.steps.get((place, before)) or self._step(foresight, place, before)
            for slot in slots:
                marks[slot] = position
        return [None if end < 0 else (start, end) for start, end in zip(marks[::2], marks[1::2], strict=True)]

    def before(self, foresight: _Foresight, character: str) -> _Foresight:
        """What is known one place to the left of `foresight`, where `character` stands."""
        beside = _beside(character) if self._has_demands else _EDGE
        viable, code = self._viable(foresight, beside), ord(character)
        consuming = 0
        for after in _bits(viable):
            for place in self._consumers[after]:
                if code in self._characters(place):
                    consuming |= 1 << place
        return self._foresight(consuming, beside if consuming else _EDGE)

    def _characters(self, place: int) -> Characters:
        instruction = self._program[place]
        assert isinstance(instruction, _Consume)
        return instruction.characters

    def _foresight(self, consuming: int, following: int) -> _Foresight:
        """The one of its kind."""
        self._steps_left -= 1
        if self._steps_left < 0:
            self._forget()
        if (found := self._known.get((consuming, following))) is None:
            found = self._known[consuming, following] = _Foresight(self, consuming, following)
        return found

    def _forget(self) -> None:
        """Begin anew: what is remembered shall not grow without limit."""
        for foresight in self._known.values():
            foresight.clear()
        self._known.clear()
        self._steps_left = _REMEMBERED // (len(self._program) + 500)
        self._end = self._foresight(1 << _MATCH, _EDGE)
        self._nothing = self._foresight(0, _EDGE)

    def _viable(self, foresight: _Foresight, before: int) -> int:
        """From which instructions the end can be reached at a place, as bits; `before` is what stands before it."""
        if (found := foresight.viable.get(before)) is not None:
            return found
        found = foresight.consuming
        open_ends = list(_bits(found))
        while open_ends:
            for place in self._sources[open_ends.pop()]:
                instruction = self._program[place]
                if found >> place & 1 or (
                    isinstance(instruction, _Demand) and not _holds(instruction.kind, before, foresight.following)
                ):
                    continue
                found |= 1 << place
                open_ends.append(place)
        foresight.viable[before] = found
        return found

    def _step(self, foresight: _Foresight, place: int, before: int) -> tuple[int, tuple[int, ...]]:
        """The way on from an instruction past the character at this place: where it leads, and the slots marked before."""
        seen: set[int] = set()
        ways: list[tuple[int, tuple[int, ...]]] = [(place, ())]
        while True:
            here, slots = ways.pop()
            instruction = self._program[here]
            if foresight.consuming >> here & 1:
                break
            if here in seen:
                continue
            seen.add(here)
            match instruction:
                case _Fork():
                    ways += ((instruction.second, slots), (instruction.first, slots))
                case _Mark():
                    ways.append((instruction.after, (*slots, instruction.slot)))
                case _Demand() if _holds(instruction.kind, before, foresight.following):
                    ways.append((instruction.after, slots))
        after = instruction.after if isinstance(instruction, _Consume) else here
        found = foresight.steps[place, before] = after, slots
        return found


def _onward(instruction: _Instruction) -> tuple[int, ...]:
    """Where it goes on without reading a character."""
    match instruction:
        case _Fork():
            return instruction.first, instruction.second
        case _Mark() | _Demand():
            return (instruction.after,)
    return ()


def _bits(number: int) -> Iterator[int]:
    """Which bits of a number are set."""
    while number:
        yield (number & -number).bit_length() - 1
        number &= number - 1
