"""Matchers: which labels somebody speaks of, such as `severity=~"warn.*"`."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeAlias

from kailash_monitor.errors import ConfigurationError
from kailash_monitor.model.labels import label_value, valid_label_name

__all__ = ["NO_MATCHERS", "Matcher", "Matchers", "MatchersGiven", "Operator"]


class Operator(Enum):
    """How a label's value is compared: with a text, or with a regular expression that must fit all of it."""

    EQUAL = "="
    NOT_EQUAL = "!="
    REGEX = "=~"
    NOT_REGEX = "!~"


@dataclass(frozen=True, slots=True)
class Matcher:
    """One demand on one label. A label that is absent has the empty value.

    Regular expressions are Python's and must fit the whole value: `warn` is not found in "warning", `warn.*` is.
    A name that no label can have, or an expression that cannot be read, is a ConfigurationError.
    """

    name: str
    operator: Operator
    value: str
    _regex: re.Pattern[str] | None = field(init=False, repr=False, compare=False)
    _negative: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not valid_label_name(self.name):
            raise _error(f"the label name {self.name!r}", "letters, digits and underscores, no digit first")
        if not isinstance(self.operator, Operator):
            raise _error(f"the operator {self.operator!r}", "an Operator")
        if not isinstance(self.value, str):
            raise _error(f"the value {self.value!r} for {self.name}", "a text")
        regular = self.operator in (Operator.REGEX, Operator.NOT_REGEX)
        object.__setattr__(self, "_regex", _compiled(self.value, self.name) if regular else None)
        object.__setattr__(self, "_negative", self.operator in (Operator.NOT_EQUAL, Operator.NOT_REGEX))

    @classmethod
    def parse(cls, text: str) -> "Matcher":
        """Read one matcher: a label name, one of `= != =~ !~`, and a value in double quotes, or one plain word.

        In quotes, `\\"`, `\\\\` and `\\n` stand for a quote, a backslash and a newline; any other backslash for itself.
        """
        found = tuple(_read_text(text))
        if len(found) != 1:
            raise _error(f"{len(found)} matchers in {text!r}", "one")
        return found[0]

    def __str__(self) -> str:
        value = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.name}{self.operator.value}"{value}"'

    def __repr__(self) -> str:
        return f"<Matcher {self}>"

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether `labels` meet the demand."""
        value = labels.get(self.name, "")
        fits = value == self.value if self._regex is None else self._regex.fullmatch(value) is not None
        return fits is not self._negative

    @property
    def matches_empty(self) -> bool:
        """Whether an alert without the label meets the demand."""
        return self.matches({})


MatchersGiven: TypeAlias = "Matchers | Mapping[str, str] | str | Iterable[str | Matcher] | None"
"""What `Matchers.of` reads."""


@dataclass(frozen=True, slots=True)
class Matchers:
    """Demands that must all be met, in the order given."""

    all: tuple[Matcher, ...] = ()

    def __post_init__(self) -> None:
        for matcher in self.all:
            if not isinstance(matcher, Matcher):
                raise _error(f"{matcher!r} among the matchers", "Matcher objects; Matchers.of reads texts")

    @classmethod
    def of(cls, given: MatchersGiven, *, where: str = "matchers", field: str | None = None) -> "Matchers":
        """Read matchers as people write them.

        That is a dictionary of labels and their values, a text such as `service="x", severity!="info"`, in braces or not,
        or a list of such texts and of Matcher objects. None asks for nothing. Anything else is a ConfigurationError about
        `where`, which points at `field`.
        """
        if isinstance(given, Matchers):
            return given
        try:
            return cls(tuple(_read(given)))
        except ConfigurationError as error:
            raise ConfigurationError(where, field=field, seen=error.seen, expected=error.expected) from None

    def __iter__(self) -> Iterator[Matcher]:
        return iter(self.all)

    def __len__(self) -> int:
        return len(self.all)

    def __str__(self) -> str:
        return ",".join(map(str, self.all))

    def __repr__(self) -> str:
        return f"<Matchers {self}>"

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether `labels` meet every demand."""
        for matcher in self.all:  # noqa: SIM110  # a generator costs as much as three matchers
            if not matcher.matches(labels):
                return False
        return True

    @property
    def matches_everything(self) -> bool:
        """Whether labels that nobody thought of match: there is no demand, or none that the empty value does not meet."""
        return self.matches({})


NO_MATCHERS: Final = Matchers()


def _error(seen: str, expected: str) -> ConfigurationError:
    return ConfigurationError("matcher", seen=seen, expected=expected)


def _compiled(expression: str, name: str) -> re.Pattern[str]:
    try:
        return re.compile(expression)
    except re.error as error:
        place = "" if error.pos is None else f" at position {error.pos}"
        seen = f"the regular expression {expression!r} for {name}: {error.msg}{place}"
    except (OverflowError, RecursionError) as error:
        seen = f"the regular expression {expression!r} for {name}: {error}"
    raise _error(seen, "one that Python's re can read")


def _read(given: object) -> Iterator[Matcher]:
    match given:
        case None:
            return
        case str():
            yield from _read_text(given)
        case Mapping():
            for name, value in given.items():
                plain = isinstance(value, str | int | float)  # YAML reads `code: 500` as a number
                yield Matcher(name, Operator.EQUAL, label_value(value) if plain else value)
        case Iterable() if not isinstance(given, bytes):
            for one in given:
                if isinstance(one, Matcher):
                    yield one
                elif isinstance(one, str):
                    yield from _read_text(one)
                else:
                    raise _error(f"{one!r} in a list of matchers", _EXPECTED)
        case _:
            raise _error(f"the matchers {given!r}", "a dictionary of labels, a text or a list of texts")


_EXPECTED: Final = """write name="value", or != =~ !~ in place of =, with commas between them"""

_ONE: Final = re.compile(
    r"""\s* (?P<name> [^\s"{},=!~]+ )
        \s* (?P<operator> =~ | !~ | != | = )
        \s* (?: "(?P<quoted> (?: [^"\\] | \\. )* )" | (?P<word> [^\s"'`{},=!~\\]+ ) )
        \s* (?: , \s* | $ )""",
    re.VERBOSE | re.DOTALL,
)
"""A matcher and the comma behind it. The characters of a word are those that Alertmanager takes without quotes."""

_ESCAPE: Final = re.compile(r'\\(["\\n])')


def _read_text(text: str) -> Iterator[Matcher]:
    rest = text.strip()
    if rest.startswith("{") and rest.endswith("}"):
        rest = rest[1:-1].strip()
    while rest:
        one = _ONE.match(rest)
        if one is None:
            raise _error(f"{rest!r} in the matchers {text!r}", _EXPECTED)
        quoted = one["quoted"]
        value = one["word"] if quoted is None else _ESCAPE.sub(_unescaped, quoted)
        yield Matcher(one["name"], Operator(one["operator"]), value)
        rest = rest[one.end() :]


def _unescaped(escape: re.Match[str]) -> str:
    return "\n" if escape[1] == "n" else escape[1]
