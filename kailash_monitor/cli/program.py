"""A running program, asked and told over its HTTP API."""

import json
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from typing import Any, Final
from urllib.parse import quote

from kailash_monitor.cli.failure import Failure, WrongUse
from kailash_monitor.cli.runs import Run

__all__ = ["GREETING_SECONDS", "Program", "quoted"]

ANSWER_SECONDS: Final = 10.0
"""How long a program may take to say anything; it may be busy, or be stopped in a debugger."""

GREETING_SECONDS: Final = 2.0
"""The same where it is only asked whether it is there."""

LONGEST: Final = 2**26
"""Bytes of an answer that are read: far more than the alerts of any program."""

Document = dict[str, Any]
"""Any: what another program says, which may be of another version."""


class Program:
    """The program of a `run`, given `seconds` to say anything. A Failure says in a line what stands in the way."""

    def __init__(self, run: Run, *, seconds: float = ANSWER_SECONDS) -> None:
        self.run: Final = run
        self._seconds: Final = seconds

    def __repr__(self) -> str:
        return f"<Program {self.run}>"

    def answers(self) -> bool:
        """Whether anything answers there."""
        try:
            self._exchange("GET", "/healthz")
        except Failure:
            return False
        return True

    def ask(self, path: str) -> Document:
        """Give what there is to read at `path`."""
        return self._judged(*self._exchange("GET", path))

    def ask_list(self, path: str, name: str) -> list[Document]:
        """Give the list called `name` of what there is to read at `path`."""
        found = self.ask(path).get(name)
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise self._stranger()
        return found

    def tell(self, method: str, path: str, fields: Mapping[str, object] | None = None) -> Document:
        """Have something changed, and give what it answers."""
        headers = {"Content-Type": "application/json"}
        if self.run.token is not None:
            headers["Authorization"] = f"Bearer {self.run.token}"
        return self._judged(*self._exchange(method, path, json.dumps(fields or {}).encode(), headers))

    def _exchange(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        there = self.run.address.reachable
        connection = HTTPConnection(there.host, there.port, timeout=self._seconds)  # which knows nothing of proxies
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.read(LONGEST)
        except TimeoutError:
            raise Failure(f"{self.run} has not answered within {self._seconds:g} s") from None
        except OSError as error:
            raise Failure(f"cannot reach {self.run}: {error.strerror or error}") from None
        except (HTTPException, UnicodeError):
            raise self._stranger() from None
        finally:
            connection.close()

    def _judged(self, status: int, body: bytes) -> Document:
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            raise self._stranger() from None
        if not isinstance(document, dict):
            raise self._stranger()
        if status in (200, 201):
            return document
        if status == 401:
            raise self._unknown_here()
        error = document.get("error")
        if not isinstance(error, str):
            raise self._stranger()
        raise (WrongUse if status == 400 else Failure)(error)

    def _unknown_here(self) -> Failure:
        if self.run.token is None:
            return Failure(
                f"no token is known for {self.run}: only what this user starts by `kailash-monitor run` can be changed"
            )
        return Failure(f"{self.run} does not take the token of its run file: another program may serve there")

    def _stranger(self) -> Failure:
        return Failure(f"what serves on {self.run} does not answer as kailash-monitor does")


def quoted(an_id: str) -> str:
    """Give an id as it stands in a path."""
    return quote(an_id, safe="", errors="replace")
