"""Outcomes: what became of one attempt. The channel knows what can be retried, the postman knows how."""

from dataclasses import dataclass
from typing import Final

__all__ = ["Delivered", "Gone", "Outcome", "Refused", "Rejected", "Retry", "Unauthorised"]


@dataclass(frozen=True, slots=True)
class Delivered:
    """The other side took the message."""


LONGEST_PAUSE: Final = 86_400.0
"""A day: longer than that nobody keeps from telling what is wrong."""


@dataclass(frozen=True, slots=True)
class Retry:
    """It may work later: not before `after` seconds, where the other side said so, and at most `attempts` times in all.

    A pause is a day at most; what is no number of seconds is none. `in_doubt` where the message may have been taken all the
    same: no answer, a connection lost after sending.
    """

    why: str
    after: float | None = None
    in_doubt: bool = False
    attempts: int | None = None

    def __post_init__(self) -> None:
        if self.after is not None and not 0.0 <= self.after <= LONGEST_PAUSE:
            object.__setattr__(self, "after", LONGEST_PAUSE if self.after > LONGEST_PAUSE else None)


@dataclass(frozen=True, slots=True)
class Rejected:
    """The message will never be taken as it is: malformed, too large, a recipient who does not exist."""

    why: str


@dataclass(frozen=True, slots=True)
class Unauthorised:
    """No message will be taken until somebody gives other credentials: a wrong token, a revoked key, no permission."""

    why: str


@dataclass(frozen=True, slots=True)
class Gone:
    """No message will be taken at this address any more: it was closed, archived, deleted."""

    why: str


Refused = Rejected | Unauthorised | Gone
"""What trying again does not mend."""

Outcome = Delivered | Retry | Refused
