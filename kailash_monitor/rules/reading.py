"""Readings: what a rule sees of one label group at one moment.

An *empty* reading (0 of 0, no observation in the window) counts as clear. A *waiting* one (never seen since the start, or a
window that is not covered yet and proves nothing) changes nothing, nor do *missing* and *failed* ones: unknown is never OK.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from kailash_monitor.errors import MonitoringError
from kailash_monitor.model.labels import Labels

__all__ = ["Answer", "Empty", "Failed", "Missing", "Reading", "ReadingFunction", "Value", "Waiting", "Words"]


class Words(NamedTuple):
    """What is said of one alert: the labels and annotations that its rule's templates make of one value."""

    labels: Labels
    annotations: Mapping[str, str]


class Value(NamedTuple):
    """A number; with `at_least`, a lower bound of it, since the history does not cover the window.

    `words` is what is said of it, where that is not the same for all that the rule reads. A tuple: rules read thousands of
    them a second.
    """

    value: float
    at_least: bool = False
    words: Words | None = None


@dataclass(frozen=True, slots=True)
class Empty:
    """The metric lives, but there is nothing to judge."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Too early to say anything."""


@dataclass(frozen=True, slots=True)
class Missing:
    """There was data, and there is none now."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Reading raised; `error` says what, and `kind` is the error's type: the cause by which such alerts are grouped."""

    error: str
    kind: str = ""

    @classmethod
    def of(cls, error: BaseException) -> "Failed":
        """Give the reading of a rule whose reading raised `error`."""
        kind = type(error).__name__
        return cls(str(error) if isinstance(error, MonitoringError) else f"{kind}: {error}", kind)


Reading = Value | Empty | Waiting | Missing | Failed

Answer = float | None | Mapping[str, float | None] | Mapping[tuple[str, ...], float | None]
"""What a reading function of the user's own gives: None where there is nothing to judge, a mapping with `group_by`."""

ReadingFunction = Callable[[], Answer | Awaitable[Answer]]
