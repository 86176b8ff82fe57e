"""The Apprise channel: alerts to the services that Apprise knows, more than a hundred. The only importer of Apprise.

Apprise answers True or False and may take its time, so each call is made in a daemon thread and left alone at its deadline;
an ordinary thread, or a pool such as Apprise's own, would keep the program from ending while a service hangs.
"""

import asyncio
import inspect
import logging
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from types import ModuleType
from typing import Any, Final

from kailash_monitor.channels.channel import DeliveringChannel
from kailash_monitor.channels.checks import timeout_of
from kailash_monitor.channels.text import is_over, plain, title
from kailash_monitor.delivery.outcome import Delivered, Outcome, Retry
from kailash_monitor.errors import ChannelError, MissingExtra
from kailash_monitor.model.durations import Duration
from kailash_monitor.model.notice import Notice
from kailash_monitor.model.severity import AlertSeverity
from kailash_monitor.threads import begin, inherited

__all__ = ["AppriseNotificationChannel", "payload"]

_WHERE: Final = "apprise channel"
_THREAD: Final = "kailash-monitor apprise"

REMEMBERED: Final = 1_000
"""Messages of which it is known that some services took them and others did not; of more, the oldest is forgotten."""

_ATTEMPTS_OF_A_RAISING_SERVICE: Final = 3
"""An exception is more likely a defect than an outage: it is not tried for a day."""


class AppriseNotificationChannel(DeliveringChannel):
    """Sends each notice to the services at `urls`, as Apprise writes them: `"ntfy://topic"`, `"tgram://token/chat"`.

    A list is one channel, and a message is delivered when all of them took it; only those that did not are tried again. For
    services that should fail on their own, add a channel for each. What Apprise does not take is tried for a day, since it
    does not say whether that is of use; why it did not take it stands in its own log, the logger `apprise`.

    It needs Apprise, `pip install 'kailash-monitor[apprise]'`, which is imported here, and takes a second to be: make the
    channel where the program starts. MissingExtra where it is not there.
    """

    rate = (1.0, 5)

    def __init__(self, urls: str | Iterable[str], *, name: str | None = None, timeout: Duration = "10s") -> None:
        self.name = name
        self._seconds: Final = timeout_of(timeout, _WHERE)
        self.attempt_seconds = self._seconds + 1.0
        self._services: Final = _services(urls)
        self._partly: dict[str, frozenset[_Service]] = {}
        """Which services took a message that others did not, by its id. Only `_remember` writes it."""

    def __repr__(self) -> str:
        return f"<AppriseNotificationChannel {', '.join(service.kind for service in self._services)}>"

    async def deliver(self, notice: Notice) -> Outcome:
        """Send the notice once to each service that has not taken it yet."""
        before = self._partly.get(notice.id, frozenset())
        left = [service for service in self._services if service not in before]
        message = payload(notice)
        outcomes = await asyncio.gather(*(service.send(message, self._seconds) for service in left))
        failed = {service: outcome for service, outcome in zip(left, outcomes, strict=True) if isinstance(outcome, Retry)}
        took = frozenset(self._services) - failed.keys()
        self._remember(notice.id, took if failed else frozenset())
        return _together(failed, heard=bool(took)) if failed else Delivered()

    def _remember(self, message_id: str, took: frozenset["_Service"]) -> None:
        self._partly.pop(message_id, None)
        if took:
            self._partly[message_id] = took
        if len(self._partly) > REMEMBERED:
            del self._partly[next(iter(self._partly))]


def payload(notice: Notice) -> dict[str, str]:
    """Give what Apprise is told: title, text, and whether it is good or bad news."""
    first = title(notice)
    return {
        "title": first,
        "body": plain(notice).removeprefix(first).lstrip("\n") or first,
        "notify_type": "success" if is_over(notice) else _TYPES[notice.alert.severity],
        "body_format": "text",
    }


_TYPES: Final = {
    AlertSeverity.INFO: "info",
    AlertSeverity.WARNING: "warning",
    AlertSeverity.ERROR: "failure",
    AlertSeverity.CRITICAL: "failure",
}


_Answer = Delivered | Retry
"""What became of a message at one service: Apprise does not say whether trying again is of use."""


class _Service:
    """One address, as the object that Apprise makes of it. It is made for one thread, so one call is let in at a time."""

    def __init__(self, kind: str, apprise: Any) -> None:  # Any: Apprise's, which is loaded at first use
        self.kind: Final = kind
        self._apprise: Final = apprise
        self._after_fork()
        inherited(self)

    def _after_fork(self) -> None:
        """Let a call in: none is under way in a forked child."""
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<{self.kind}>"

    async def send(self, message: Mapping[str, str], seconds: float) -> _Answer:
        """Send `message` once, from a thread that is left alone after `seconds`."""
        abandoned = threading.Event()
        try:
            async with asyncio.timeout(seconds):
                return await _in_thread(lambda: self._send(message, seconds, abandoned))
        except TimeoutError:
            return Retry(f"no answer within {seconds:g} s", in_doubt=True)
        finally:
            abandoned.set()

    def _send(self, message: Mapping[str, str], seconds: float, abandoned: threading.Event) -> _Answer:
        """Send it, unless it was given up while another message was under way."""
        if not self._lock.acquire(timeout=seconds):
            return _HANGS
        try:
            if abandoned.is_set():
                return _HANGS
            with _hushed(logging.WARNING):
                taken = self._apprise.notify(**message)
        except Exception as error:  # a plug-in's; its text may hold the address
            return Retry(f"raised {type(error).__name__}", in_doubt=True, attempts=_ATTEMPTS_OF_A_RAISING_SERVICE)
        finally:
            self._lock.release()
        return Delivered() if taken else Retry("not taken", in_doubt=True)  # it is False after a lost connection, too


_HANGS: Final = Retry("a message before it still hangs")


def _together(failed: Mapping[_Service, Retry], *, heard: bool) -> Retry:
    """Say what became of a message that these services did not take, and others have `heard`."""
    limits = [retry.attempts for retry in failed.values() if retry.attempts is not None]
    return Retry(
        "; ".join(f"{service.kind}: {retry.why}" for service, retry in failed.items()),
        in_doubt=heard or any(retry.in_doubt for retry in failed.values()),
        attempts=max(limits) if len(limits) == len(failed) else None,
    )


def _in_thread(work: Callable[[], _Answer]) -> asyncio.Future[_Answer]:
    """Give what comes of `work`, done in a thread that ends with the process."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_Answer] = loop.create_future()

    def tell(outcome: _Answer) -> None:
        if not future.done():
            future.set_result(outcome)

    def run() -> None:
        outcome = work()
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(tell, outcome)

    begin(run, _THREAD)
    return future


def _services(urls: str | Iterable[str]) -> tuple[_Service, ...]:
    """Make a service of each address; a ChannelError, which shows none of them, where Apprise does not know one."""
    try:
        given = [urls] if isinstance(urls, str) else list(urls)
    except TypeError:
        given = []
    if not given:
        raise ChannelError(_WHERE, field="urls", seen="no addresses", expected=_EXPECTED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of what Apprise imports as it loads its services
        apprise = _load_apprise()
        asset = _asset(apprise)
        return tuple(_service(apprise, asset, url, f"address {n} of {len(given)}") for n, url in enumerate(given, start=1))


_EXPECTED: Final = "use addresses of services, such as 'ntfy://topic' (https://github.com/caronc/apprise/wiki)"


def _service(apprise: ModuleType, asset: Any, url: str, which: str) -> _Service:  # Any: Apprise's, as above
    with _hushed(logging.CRITICAL + 1):  # it would log the address
        found = apprise.Apprise.instantiate(url, asset=asset) if isinstance(url, str) else None
    if found is None:
        raise ChannelError(_WHERE, field="urls", seen=f"{which}, which Apprise does not know", expected=_EXPECTED)
    alone = apprise.Apprise(asset=asset)
    alone.add(found)
    return _Service(url.partition(":")[0].lower(), alone)


def _asset(apprise: ModuleType) -> Any:  # Any: Apprise's, as above
    """Give settings by which Apprise makes its calls in the thread that calls it.

    Those that have a deadline of Apprise's own it hands to a pool, where it has such deadlines.
    """
    known = inspect.signature(apprise.AppriseAsset).parameters
    no_deadline: dict[str, object] = {"service_timeout": 0} if "service_timeout" in known else {}
    return apprise.AppriseAsset(async_mode=False, **no_deadline)


def _load_apprise() -> ModuleType:
    """Give Apprise; MissingExtra says what to install where it is not there."""
    try:
        import apprise
    except ImportError:
        raise MissingExtra("the apprise channel", package="apprise", extra="apprise") from None
    logging.getLogger("apprise").addFilter(_may_be_logged)
    for name in _TALKATIVE:
        logging.getLogger(name).addFilter(_is_not_ours)
    return apprise


_TALKATIVE: Final = tuple(
    f"urllib3.{name}" for name in ("connection", "connectionpool", "poolmanager", "response", "util.retry")
)
"""Loggers of the client of most services: they write whole addresses, which hold keys, into warnings as well."""

_least: Final = ContextVar("kailash_monitor_apprise_least_level", default=logging.NOTSET)


def _may_be_logged(record: logging.LogRecord) -> bool:
    """Whether it is grave enough where it was logged; everywhere but within our calls, everything is.

    At the level DEBUG, Apprise writes whole addresses, which hold keys.
    """
    return record.levelno >= _least.get()


def _is_not_ours(_: logging.LogRecord) -> bool:
    """Whether it was logged elsewhere than within our calls."""
    return _least.get() == logging.NOTSET


@contextmanager
def _hushed(level: int) -> Iterator[None]:
    """Keep what Apprise logs below `level` meanwhile out of the log."""
    token = _least.set(level)
    try:
        yield
    finally:
        _least.reset(token)
