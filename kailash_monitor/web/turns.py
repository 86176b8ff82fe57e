"""Turns: answers that take long, a few at a time, each within its time."""

import asyncio
from typing import Final, TypeVar
from weakref import WeakKeyDictionary

from kailash_monitor.clock import SYSTEM_CLOCK
from kailash_monitor.engine.queries import driven
from kailash_monitor.promql.source import Pieces
from kailash_monitor.web.answers import checked
from kailash_monitor.web.http import Request, Response
from kailash_monitor.web.routes import Answer

__all__ = ["TookTooLong", "Turns", "Unknown", "in_time"]

T = TypeVar("T")

AT_ONCE: Final = 2
"""Answers that are worked on by turns; others wait. Each may keep the program waiting for a few milliseconds a turn."""

LONGEST: Final = 6.0
"""Seconds that an answer may take, its waiting included: people have long gone by then, and a program of threads has not."""


class TookTooLong(Exception):
    """An answer is not there in its time; `str()` says what would be."""


class Turns:
    """Has work done in pieces, between which the program has its turns."""

    def __init__(self, at_once: int = AT_ONCE, seconds: float = LONGEST) -> None:
        self._at_once: Final = at_once
        self._seconds: Final = seconds
        self._places: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()

    async def work(self, pieces: Pieces[T]) -> T:
        """Give what the work gives. TookTooLong where there is no time for it, and nothing goes on then."""
        loop = asyncio.get_running_loop()  # a loop cannot wait for another's places
        place = self._places.setdefault(loop, asyncio.Semaphore(self._at_once))
        try:
            async with asyncio.timeout(self._seconds), place:
                done = await driven(pieces, SYSTEM_CLOCK)
                await asyncio.sleep(0)  # to write it down has a budget of its own
                return done
        except TimeoutError:
            expected = "ask for less: a shorter range, or fewer series by match"
            raise TookTooLong(f"no answer within {self._seconds:g} s; {expected}") from None
        finally:
            pieces.close()


class Unknown(Exception):
    """There is none of that name; `str()` says of which."""


def in_time(answer: Answer) -> Answer:
    """Give an answer that says what is wrong with the request, that there is no such thing, or that it took too long."""
    checking = checked(answer)

    async def answering(request: Request, an_id: str) -> Response:
        try:
            return await checking(request, an_id)
        except Unknown as error:
            return Response.json({"error": str(error)}, status=404)
        except TookTooLong as error:
            return Response.json({"error": str(error)}, status=503)

    return answering
