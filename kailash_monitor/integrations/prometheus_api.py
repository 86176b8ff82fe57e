"""Rules over a Prometheus: its HTTP API evaluates their expressions, over all series that it has.

Mimir, Thanos, Cortex and VictoriaMetrics have the same API: https://prometheus.io/docs/prometheus/latest/querying/api/.
"""

import asyncio
import base64
import logging
import math
import threading
from collections.abc import Iterable, Mapping
from os import PathLike, fspath
from typing import Final
from urllib.parse import urlencode, urlsplit

from kailash_monitor.channels.checks import SecretUnreadable, headers_of, secrets_in, text_of, timeout_of
from kailash_monitor.channels.credentials import Credentials
from kailash_monitor.channels.egress import Egress, egress_of
from kailash_monitor.channels.http import Answer, check_url, post
from kailash_monitor.channels.printable import one_line
from kailash_monitor.channels.trust import Trust
from kailash_monitor.clock import SYSTEM_CLOCK, Clock
from kailash_monitor.delivery.outcome import Delivered
from kailash_monitor.engine.queries import driven
from kailash_monitor.errors import ChannelError, QueryError
from kailash_monitor.integrations.prometheus_answer import MOST, Heard, answered
from kailash_monitor.model.durations import Duration
from kailash_monitor.promql.samples import Vector
from kailash_monitor.rules import RuleQuery

__all__ = ["PrometheusQueries"]

AT_ONCE: Final = 8
"""Queries under way at a time: Prometheus itself evaluates no more than 20, and others ask it, too."""

REMEMBERED: Final = 256
"""Warnings that are remembered, so that they are not logged again."""

SHORTEST_SECRET: Final = 6
"""Characters of a header's value that is taken for a secret: shorter ones stand everywhere."""

_WHERE: Final = "prometheus queries"
_PATH: Final = "/api/v1/query"
_TENANT: Final = "x-scope-orgid"
_OURS: Final = frozenset({"content-type", "content-length", "transfer-encoding", "connection", "accept-encoding"})
"""Headers that follow from the question."""

_WHOLE: Final = {"partial_response": "false", "deny_partial_response": "1"}
"""Ask for all or nothing, Thanos by the former and VictoriaMetrics by the latter: what is left out would seem to be well."""

_logger: Final = logging.getLogger("kailash_monitor.integrations")


class PrometheusQueries:
    """Has the expressions of rules evaluated at `url` by a Prometheus, a Mimir, a Thanos, or what else has its HTTP API.

        AlertManager(registry, queries=PrometheusQueries("http://prometheus:9090"))

    An expression goes out as it is written; each alert's templates ask there, too. Mimir's address is that with its prefix,
    such as `http://mimir/prometheus`.

    - `timeout`: for an answer; half of it may pass until it is asked for, as that is done for eight at a time. It should be
      shorter than that of the rules, which is 5 s, for the error to say what is wrong.
    - `username` with `password` or `password_file`; or `token` or `token_file`, a bearer token. `headers` are added to each
      request; `tenant` is the header X-Scope-OrgID, several for Mimir's federation as `"a|b"`. Files are read at each query.
    - `ca_file`: the authorities whose certificates are accepted, in place of the system's.
    - `egress`: "public" refuses every address that is not of the open internet.
    - `clock`: what time it is that expressions are evaluated at.

    A server that is away, overloaded, refuses, or says what is not understood makes a QueryError: nothing is known then, no
    alert is resolved, and from the third interval on people are told. So does one that has but a part of its data, where it
    says so (Thanos and VictoriaMetrics are asked for all or nothing), and one whose clock differs by a minute. What it finds
    wrong with the expression is an EvaluationError, as are native histograms in the answer. Warnings are logged, each once.

    Redirects are not followed, and no connection is kept. It may serve several managers, on any event loops. A ChannelError
    where an argument is none.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: Duration = "4s",
        headers: Mapping[str, str] | None = None,
        username: str | None = None,
        password: str | None = None,
        password_file: str | PathLike[str] | None = None,
        token: str | None = None,
        token_file: str | PathLike[str] | None = None,
        tenant: str | None = None,
        ca_file: str | PathLike[str] | None = None,
        egress: str | Egress = Egress.PRIVATE,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._url: Final = _address(url)
        self._name: Final = urlsplit(self._url).netloc.rpartition("@")[2]
        self._seconds: Final = timeout_of(timeout, _WHERE)
        self._headers: Final = headers_of(headers or {}, _WHERE, ours=_OURS)
        self._credentials: Final = Credentials.of(username, (password, password_file), (token, token_file), where=_WHERE)
        self._credentials.check_alone(self._headers.value, [self._url], field="url", where=_WHERE)
        self._tenant: Final = _tenant(tenant, self._headers.value)
        self._trust: Final = None if ca_file is None else Trust(_path(ca_file))
        self._egress: Final = egress_of(egress, _WHERE)
        self._clock: Final = clock
        self._turns: Final = _Turns()
        self._warned: dict[tuple[str, str], None] = {}  # what was logged, by expression; only `_warn` writes it

    def __repr__(self) -> str:
        return f"<PrometheusQueries {self._name}>"  # credentials, path and query can be secrets

    async def vector(self, query: RuleQuery) -> Vector:
        """Ask what an expression is now, or was its offset ago. A QueryError or an EvaluationError where it is not said."""
        heard = await self._hear(query, self._clock.wall() - query.offset)
        answer = await driven(answered(heard), SYSTEM_CLOCK)
        self._warn(query, answer.warnings)
        return answer.vector

    async def _hear(self, query: RuleQuery, time: float) -> Heard:
        """Ask once it is this question's turn. A QueryError where there is no answer in time."""
        loop = asyncio.get_running_loop()
        turn, begun = self._turns.of(loop), loop.time()
        try:
            async with asyncio.timeout(self._seconds / 2):
                await turn.acquire()
        except TimeoutError:
            seen = f"not asked within {self._seconds / 2:g} s: the {AT_ONCE} queries before are not answered yet"
            raise self._failed(seen) from None
        try:
            waited = round(loop.time() - begun, 1)  # it stands in texts
            return await self._ask(self._body(query, time), self._seconds - waited)
        finally:
            turn.release()

    def _body(self, query: RuleQuery, time: float) -> bytes:
        timeout = f"{math.ceil(self._seconds * 1000)}ms"  # whole numbers are all that some servers read
        fields = {"query": query.text, "time": f"{time:.3f}", "timeout": timeout, **_WHOLE}
        return urlencode(fields, errors="surrogatepass").encode()

    async def _ask(self, body: bytes, seconds: float) -> Heard:
        try:
            headers = {**self._headers.value, **self._tenant, **await self._credentials.headers()}
            tls = None if self._trust is None else await asyncio.to_thread(self._trust.context)
        except SecretUnreadable as unreadable:
            raise self._failed(str(unreadable)) from None
        except OSError as error:
            raise self._failed(f"the certificates of ca_file cannot be used: {error.strerror or 'there are none'}") from None
        heard: list[Heard] = []

        def hear(answer: Answer, now: float) -> Delivered:
            heard.append(Heard(answer, now, where=self._name, secrets=_secrets(self._url, headers)))
            return Delivered()

        outcome = await post(
            self._url,
            body,
            {**headers, "content-type": "application/x-www-form-urlencoded"},
            seconds=seconds,
            judge=hear,
            egress=self._egress,
            longest=MOST + 1,
            tls=tls,
        )
        if not isinstance(outcome, Delivered):
            raise self._failed(outcome.why)
        return heard[0]

    def _failed(self, seen: str) -> QueryError:
        return QueryError(self._name, seen=seen)

    def _warn(self, query: RuleQuery, warnings: Iterable[str]) -> None:
        """Log what was not logged yet of this expression."""
        for warning in warnings:
            if (query.text, warning) not in self._warned:
                self._warned[query.text, warning] = None
                if len(self._warned) > REMEMBERED:
                    del self._warned[next(iter(self._warned))]
                _logger.warning("%s warns of %s: %s", self._name, one_line(query.text), warning)


class _Turns(threading.local):
    """Whose turn it is, in each thread on its own: a loop belongs to one. Mutable, by that thread."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._places = asyncio.Semaphore(AT_ONCE)

    def of(self, loop: asyncio.AbstractEventLoop) -> asyncio.Semaphore:
        """Give the places of `loop`, which runs in this thread."""
        if self._loop is not loop:
            self._loop, self._places = loop, asyncio.Semaphore(AT_ONCE)
        return self._places


def _secrets(url: str, headers: Mapping[str, str]) -> tuple[str, ...]:
    """Give what of a question is not for everybody to see, as it was sent."""
    parts = urlsplit(url)
    found = [parts.path.removesuffix(_PATH), *secrets_in(parts._replace(path="").geturl())]
    for name, value in headers.items():
        if name != _TENANT:
            found += [word for word in (value, *value.split()) if len(word) >= SHORTEST_SECRET]
    scheme, _, pair = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        found.append(_decoded(pair).partition(":")[2])
    return tuple(found)


def _decoded(pair: str) -> str:
    try:
        return base64.b64decode(pair).decode("utf-8", "replace")
    except ValueError:
        return ""


def _address(url: str) -> str:
    """Give where queries are asked of the server at `url`; a ChannelError where it is no address."""
    check_url(url, _WHERE, "url")
    parts = urlsplit(url)
    return parts._replace(path=parts.path.rstrip("/").removesuffix(_PATH) + _PATH, fragment="").geturl()


def _tenant(tenant: str | None, headers: Mapping[str, str]) -> dict[str, str]:
    """Give the header that names the tenant, where there is one."""
    if tenant is not None and _TENANT in headers:
        raise ChannelError(
            _WHERE, field="tenant", seen="a tenant beside the header 'X-Scope-OrgID'", expected="give one of them"
        )
    text = text_of(tenant, "tenant", _WHERE, longest=1_000)
    return {} if text is None else {_TENANT: text}


def _path(file: str | PathLike[str]) -> str:
    path = fspath(file) if isinstance(file, str | PathLike) else None
    if not isinstance(path, str) or not path or "\0" in path:
        raise ChannelError(_WHERE, field="ca_file", seen=f"ca_file {file!r}", expected="name a file")
    return path
