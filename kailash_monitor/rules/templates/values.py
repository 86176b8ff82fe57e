"""Values of templates, as Python has them, and the names of their Go types.

Go                        here                 Go                        here
nil                       None                 *template.sample          Sample
bool                      bool                 template.queryResult      Samples
int, int64, uint8         int, Long, Byte      template.HTML             Markup
float64                   float                time.Time, …Duration      Moment, Duration
string                    str                  *time.Time, …             Pointer
map[string]string         a mapping            time.Month, …Weekday      Month, Weekday
map[string]interface {}   Arguments            the data of an alert      Data
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from kailash_monitor.rules.templates.moments import MONTHS, WEEKDAYS, Duration, Moment

__all__ = [
    "Arguments",
    "Byte",
    "Data",
    "Long",
    "Markup",
    "Month",
    "Pointer",
    "Sample",
    "Samples",
    "Value",
    "Weekday",
    "fields_of",
    "is_true",
    "target",
    "type_name",
]

Value: TypeAlias = object
"""Any of the values above. Go looks at their types when a template runs, and so does this."""


class Byte(int):
    """A byte of a text."""

    __slots__ = ()


class Long(int):
    """An integer that is of 64 bits by its type."""

    __slots__ = ()


class Month(int):
    """A month, from 1."""

    __slots__ = ()

    def __str__(self) -> str:
        return MONTHS[self - 1]


class Weekday(int):
    """A day of the week, from Sunday, which is 0."""

    __slots__ = ()

    def __str__(self) -> str:
        return WEEKDAYS[self]


class Markup(str):
    """A text that is HTML already."""

    __slots__ = ()


class Arguments(dict[str, Value]):
    """Values by name: what `args` makes of its arguments."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """One series of a query's result: its labels, the metric's name among them, and its value."""

    labels: Mapping[str, str]
    value: float


class Samples(list[Sample]):
    """A query's result."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Pointer:
    """What points to a time or a duration, which prints the same."""

    target: Moment | Duration

    def __str__(self) -> str:
        return str(self.target)


@dataclass(frozen=True, slots=True)
class Data:
    """What a template is about, its `.`."""

    labels: Mapping[str, str]
    external_labels: Mapping[str, str]
    external_url: str
    value: float


_TYPES: Final[Mapping[type, str]] = {
    type(None): "<nil>",
    bool: "bool",
    int: "int",
    Long: "int64",
    Byte: "uint8",
    float: "float64",
    str: "string",
    Markup: "template.HTML",
    Arguments: "map[string]interface {}",
    Sample: "*template.sample",
    Samples: "template.queryResult",
    Moment: "time.Time",
    Duration: "time.Duration",
    Month: "time.Month",
    Weekday: "time.Weekday",
    Data: "struct { Labels map[string]string; ExternalLabels map[string]string; ExternalURL string; Value interface {} }",
}


def type_name(value: Value) -> str:
    """Give the name of the value's Go type."""
    if isinstance(value, Pointer):
        return f"*{_TYPES[type(value.target)]}"
    return _TYPES.get(type(value), "map[string]string")


def target(value: Value) -> Value:
    """Give what `value` points to; itself where it is no pointer. Samples are pointers only by their type's name."""
    return value.target if isinstance(value, Pointer) else value


def fields_of(value: Sample | Data) -> tuple[tuple[str, Value], ...]:
    """Give the fields of a structure, in order, by their names in Go."""
    if isinstance(value, Sample):
        return ("Labels", value.labels), ("Value", value.value)
    return (
        ("Labels", value.labels),
        ("ExternalLabels", value.external_labels),
        ("ExternalURL", value.external_url),
        ("Value", value.value),
    )


def is_true(value: Value) -> bool:
    """Whether a value counts as true: neither nil, zero nor empty."""
    if isinstance(value, str | int | float | Mapping | Samples | None):
        return bool(value)
    return value.nanoseconds != 0 if isinstance(value, Duration) else True
