"""Signatures: what the functions of a template take, by the Go types of their parameters."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from kailash_monitor.rules.templates.moments import Duration, Moment
from kailash_monitor.rules.templates.values import Markup, Pointer, Sample, Samples, Value, type_name

__all__ = ["CallFailed", "Function", "Type", "fitted"]


class CallFailed(Exception):
    """A function of a template cannot do what it was asked to; the text says why, as Go says it."""


class Type(Enum):
    """The type of a parameter, by its name in Go. ANY and VALUE take everything."""

    STRING = "string"
    INT = "int"
    FLOAT = "float64"
    ANY = "interface {}"
    VALUE = "reflect.Value"
    SAMPLE = "*template.sample"
    SAMPLES = "template.queryResult"
    TIME = "time.Time"
    DURATION = "time.Duration"

    @property
    def can_be_nil(self) -> bool:
        """Whether nil is a value of this type."""
        return self in (Type.ANY, Type.VALUE, Type.SAMPLE, Type.SAMPLES)

    def takes(self, value: Value) -> bool:
        """Whether a value, which is not nil, is of this type."""
        match self:
            case Type.ANY | Type.VALUE:
                return True
            case Type.STRING:
                return isinstance(value, str) and not isinstance(value, Markup)
            case Type.INT | Type.FLOAT:
                return type(value) is (int if self is Type.INT else float)
            case Type.SAMPLE:
                return isinstance(value, Sample)
            case Type.SAMPLES:
                return isinstance(value, Samples)
            case Type.TIME:
                return isinstance(value, Moment)
            case Type.DURATION:
                return isinstance(value, Duration)


@dataclass(frozen=True, slots=True)
class Function:
    """A function or method: what it does, the types of its parameters, and the type of any number of further ones.

    It raises CallFailed.
    """

    call: Callable[..., Value]
    parameters: tuple[Type, ...] = ()
    rest: Type | None = None

    def type_of(self, index: int) -> Type:
        """Give the type of the parameter with this number."""
        if index < len(self.parameters):
            return self.parameters[index]
        assert self.rest is not None, "the number of arguments has been checked"
        return self.rest


def fitted(value: Value, wanted: Type) -> Value:
    """Give `value` as a parameter of this type takes it. A ValueError says why it does not."""
    if value is None:
        if wanted.can_be_nil:
            return Samples() if wanted is Type.SAMPLES else None
        raise ValueError(f"invalid value; expected {wanted.value}")
    if wanted.takes(value):
        return value
    if isinstance(value, Pointer) and wanted.takes(value.target):
        return value.target
    raise ValueError(f"wrong type for value; expected {wanted.value}; got {type_name(value)}")
