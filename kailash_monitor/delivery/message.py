"""A message: a notice on its way to one channel, and what becomes of it after each attempt."""

from dataclasses import dataclass, replace
from typing import Final, assert_never

from kailash_monitor.delivery.backoff import Backoff
from kailash_monitor.delivery.outcome import Delivered, Gone, Outcome, Rejected, Retry, Unauthorised
from kailash_monitor.model.notice import Notice

__all__ = ["BUDGET", "Done", "GivenUp", "Message", "TryAgain", "Verdict", "after_attempt"]

BUDGET: Final = 86_400.0
"""A day: a message that could not be delivered until then is news to nobody."""


@dataclass(frozen=True, slots=True)
class Message:
    """A notice and its attempts so far. `in_doubt` where one of them may have been heard."""

    notice: Notice
    born_at: float
    attempts: int = 0
    in_doubt: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """The channel took it."""


@dataclass(frozen=True, slots=True)
class TryAgain:
    """It goes out again at `at`; if it is not in doubt, newer truth may take its place."""

    message: Message
    at: float
    why: str


@dataclass(frozen=True, slots=True)
class GivenUp:
    """It is not tried again."""

    message: Message
    why: str


Verdict = Done | TryAgain | GivenUp


def after_attempt(message: Message, outcome: Outcome, now: float, *, backoff: Backoff, luck: float) -> Verdict:
    """Say what becomes of `message` after one more attempt with `outcome`; `luck` is a random number from 0 to 1."""
    tried = replace(message, attempts=message.attempts + 1)
    match outcome:
        case Delivered():
            return Done()
        case Rejected(why=why) | Unauthorised(why=why) | Gone(why=why):
            return GivenUp(tried, why)
        case Retry(why=why, after=after, in_doubt=in_doubt, attempts=limit):
            tried = replace(tried, in_doubt=message.in_doubt or in_doubt)
            if limit is not None and tried.attempts >= limit:
                return GivenUp(tried, f"{why}, {limit} times")
            at = now + max(after or 0.0, backoff.delay(tried.attempts, luck))
            if at - message.born_at > BUDGET:
                return GivenUp(tried, f"{why}, for a day")
            return TryAgain(tried, at, why)
        case _:
            assert_never(outcome)
