"""Outcomes: what became of one attempt. The channel knows what can be retried, the postman knows how."""

from dataclasses import dataclass

__all__ = ["Delivered", "Outcome", "Rejected", "Retry"]


@dataclass(frozen=True, slots=True)
class Delivered:
    """The other side took the message."""


@dataclass(frozen=True, slots=True)
class Retry:
    """It may work later: not before `after` seconds, where the other side said so, and at most `attempts` times in all.

    `in_doubt` where the message may have been taken all the same: no answer, a connection lost after sending.
    """

    why: str
    after: float | None = None
    in_doubt: bool = False
    attempts: int | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """It will never work as it is: a wrong address, a refused token, a malformed message."""

    why: str


Outcome = Delivered | Retry | Rejected
