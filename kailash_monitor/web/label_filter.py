"""Label filters: which labels a reader wants to see, told so that anybody may be let to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from kailash_monitor.errors import ConfigurationError
from kailash_monitor.model.matcher import Matcher, Matchers, Operator
from kailash_monitor.promql.regex import fits

__all__ = ["EVERYTHING", "LabelFilter"]

_Demand = tuple[str, Callable[[str], bool], bool]
"""A label's name, what tells of its value, and which answer is wanted."""


@dataclass(frozen=True, slots=True)
class LabelFilter:
    """Matchers whose expressions cannot run away: they are those of RE2, which take time in proportion to the value.

    Who silences alerts has a token, and may write what Python's `re` reads; who only reads may be anybody.
    """

    demands: tuple[_Demand, ...] = ()

    @classmethod
    def of(cls, text: str, *, where: str, field: str) -> "LabelFilter":
        """Read a text such as `team="db", env!~"dev.*"`; a ConfigurationError about `field` where it cannot be read."""
        matchers = Matchers.of(text, where=where, field=field)
        return cls(tuple(_demand(matcher, where, field) for matcher in matchers))

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether `labels` meet every demand; a label that is absent has the empty value."""
        return all(tells(labels.get(name, "")) is wanted for name, tells, wanted in self.demands)

    @property
    def matches_everything(self) -> bool:
        """Whether labels that nobody thought of match."""
        return self.matches({})


EVERYTHING: Final = LabelFilter()
"""The filter that asks for nothing."""


def _demand(matcher: Matcher, where: str, field: str) -> _Demand:
    wanted = matcher.operator in (Operator.EQUAL, Operator.REGEX)
    if matcher.operator in (Operator.EQUAL, Operator.NOT_EQUAL):
        return matcher.name, matcher.value.__eq__, wanted
    try:
        return matcher.name, fits(matcher.value), wanted
    except ValueError as error:
        seen = f"the regular expression {matcher.value!r} for {matcher.name}: {error}"
        raise ConfigurationError(where, field=field, seen=seen, expected="one that RE2 can read") from None
