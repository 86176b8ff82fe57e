"""What a metric is: its name, its type and what its numbers mean."""

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from kailash_monitor.errors import MetricError

__all__ = ["Metadata", "MetricType", "valid_part_name"]

_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class MetricType(Enum):
    """What may be done with a metric's numbers.

    COUNTER only rises: requests served, bytes sent. GAUGE is a value that comes and goes: memory in use, queue length.
    HISTOGRAM is a distribution of observed values; TIMER is a histogram of durations.
    """

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    TIMER = "timer"

    @property
    def exported(self) -> str:
        """The word of Prometheus for it."""
        return "histogram" if self is MetricType.TIMER else self.value


@dataclass(frozen=True, slots=True)
class Metadata:
    """The definition of one metric.

    `unit` is free text; "seconds", "milliseconds", "bytes" and their like are exported in base units. `share_of` names
    another counter of the same collector of which this one counts a part. A name may be any printable text, such as
    `http.server.duration`; where a scraper does not read more than letters, digits and underscores, it gets underscores.
    """

    name: str
    type: MetricType
    description: str = ""
    unit: str = ""
    share_of: str | None = None

    def __post_init__(self) -> None:
        if not self.name or not self.name.isprintable() or self.name[0].isdigit() or any(c in self.name for c in '"\\{}'):
            raise MetricError(
                "metric",
                seen=f"the name {self.name!r}",
                expected="a name is text without control characters, quotes, backslashes or braces, and no digit first; "
                "letters, digits and underscores are what every tool reads",
            )
        if self.share_of is not None and self.type is not MetricType.COUNTER:
            raise MetricError(
                f"metric {self.name!r}",
                seen=f"share_of on a {self.type.value}",
                expected="only a counter can be a share",
            )
        for field in ("description", "unit"):  # lone surrogates are replaced: no page could be encoded with them
            object.__setattr__(self, field, getattr(self, field).encode("utf-8", "replace").decode())

    @property
    def help(self) -> str:
        """What a page says the metric is: its description, or else its name in words."""
        return self.description or self.name.replace("_", " ")

    def difference(self, other: "Metadata") -> str:
        """Say in words where `other` differs, empty where it is the same definition."""
        fields = ("type", "description", "unit", "share_of")
        pairs = ((field, getattr(self, field), getattr(other, field)) for field in fields)
        return ", ".join(f"{field} {_word(was)} and {_word(now)}" for field, was, now in pairs if was != now)


def valid_part_name(name: str) -> bool:
    """Whether `name` may be a collector's or a namespace: letters, digits, underscores, no digit first."""
    return _NAME.fullmatch(name) is not None


def _word(value: object) -> str:
    return value.value if isinstance(value, MetricType) else repr(value)
