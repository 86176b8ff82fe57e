"""An exemplar: one recorded event that stands for the others, such as the trace of a slow request."""

from typing import Final, NamedTuple

from kailash_monitor.model.labels import Labels

__all__ = ["MAX_CHARACTERS", "Exemplar"]

MAX_CHARACTERS: Final = 128
"""Of all names and values together: OpenMetrics 1.0, Exemplars."""


class Exemplar(NamedTuple):
    """What was recorded (`value`), when (`at`, on the registry's timeline), and how to find it (`labels`)."""

    labels: Labels
    value: float
    at: float
