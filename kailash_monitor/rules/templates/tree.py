"""The tree of a template: texts, actions, branches, and the pipelines in them.

Each node knows its `place`, the offset in the text that Go's error texts count from, and `str()` gives what they quote.
"""

from dataclasses import dataclass
from typing import TypeAlias

from kailash_monitor.promql.quoting import quoted

__all__ = [
    "Action",
    "Body",
    "Bool",
    "Branch",
    "Chain",
    "Command",
    "Dot",
    "Field",
    "Identifier",
    "Invocation",
    "Jump",
    "Nil",
    "Node",
    "Number",
    "Operand",
    "Pipe",
    "Statement",
    "String",
    "Text",
    "Variable",
]


@dataclass(frozen=True, slots=True)
class Bool:
    """`true` or `false`."""

    place: int
    value: bool

    def __str__(self) -> str:
        return "true" if self.value else "false"


@dataclass(frozen=True, slots=True)
class Dot:
    """The present value, `.`."""

    place: int

    def __str__(self) -> str:
        return "."


@dataclass(frozen=True, slots=True)
class Nil:
    """The constant `nil`."""

    place: int

    def __str__(self) -> str:
        return "nil"


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it is written. `whole` is None where it is none, or fits no 64 bits; `is_float` says how it is spelt."""

    place: int
    text: str
    whole: int | None
    real: float
    is_float: bool

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class String:
    """A quoted text, and how it was quoted."""

    place: int
    text: str
    value: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Identifier:
    """The name of a function."""

    place: int
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Field:
    """`.A.B`: fields of the present value."""

    place: int
    names: tuple[str, ...]

    def __str__(self) -> str:
        return "".join(f".{name}" for name in self.names)


@dataclass(frozen=True, slots=True)
class Variable:
    """`$x.A.B`: a variable and fields of it. The name has the dollar sign."""

    place: int
    name: str
    fields: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ".".join((self.name, *self.fields))


@dataclass(frozen=True, slots=True)
class Chain:
    """`(…).A.B`: fields of what another operand gives."""

    place: int
    operand: "Operand"
    names: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join((_in_command(self.operand), *self.names))


@dataclass(frozen=True, slots=True)
class Command:
    """`f a b`: the words of one command, one at least."""

    place: int
    words: "tuple[Operand, ...]"

    def __str__(self) -> str:
        return " ".join(map(_in_command, self.words))


@dataclass(frozen=True, slots=True)
class Pipe:
    """`$x := a | b`: commands, each of which is given what the one before it gave, and the variables that keep the last."""

    place: int
    declared: tuple[Variable, ...]
    assigns: bool
    commands: tuple[Command, ...]

    def __str__(self) -> str:
        variables = ", ".join(map(str, self.declared))
        commands = " | ".join(map(str, self.commands))
        return f"{variables} := {commands}" if variables else commands


Operand: TypeAlias = Bool | Dot | Nil | Number | String | Identifier | Field | Variable | Chain | Pipe


def _in_command(operand: Operand) -> str:
    return f"({operand})" if isinstance(operand, Pipe) else str(operand)


@dataclass(frozen=True, slots=True)
class Text:
    """What stands between actions."""

    place: int
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Action:
    """`{{ … }}`: a pipeline whose value is printed, unless it is kept in a variable."""

    place: int
    pipe: Pipe

    def __str__(self) -> str:
        return f"{{{{{self.pipe}}}}}"


@dataclass(frozen=True, slots=True)
class Jump:
    """`{{ break }}` or `{{ continue }}`."""

    place: int
    leaves: bool

    def __str__(self) -> str:
        return f"{{{{{'break' if self.leaves else 'continue'}}}}}"


@dataclass(frozen=True, slots=True)
class Branch:
    """`{{ if … }}`, `{{ with … }}` or `{{ range … }}`, which `kind` names. `otherwise` is None where there is no else."""

    place: int
    kind: str
    pipe: Pipe
    body: "Body"
    otherwise: "Body | None"

    def __str__(self) -> str:
        return f"{{{{{self.kind} {self.pipe}}}}}"


@dataclass(frozen=True, slots=True)
class Invocation:
    """`{{ template "name" … }}`."""

    place: int
    name: str
    pipe: Pipe | None

    def __str__(self) -> str:
        return f"{{{{template {quoted(self.name)}{f' {self.pipe}' if self.pipe else ''}}}}}"


Statement: TypeAlias = Text | Action | Jump | Branch | Invocation
Body: TypeAlias = tuple[Statement, ...]
Node: TypeAlias = Statement | Command | Operand
