"""The heartbeat: calls somebody outside for as long as all is well, who tells people when the calls stop.

What ends with its process cannot say that it has ended: healthchecks.io, Dead Man's Snitch and their like can.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

from kailash_monitor.channels import LogNotificationChannel, NotificationChannel
from kailash_monitor.channels.checks import Hidden, timeout_of
from kailash_monitor.channels.egress import Egress, egress_of
from kailash_monitor.channels.http import check_url, post
from kailash_monitor.channels.text import one_line
from kailash_monitor.delivery.outcome import Delivered
from kailash_monitor.engine.core import Core
from kailash_monitor.engine.status import RuleStatus
from kailash_monitor.engine.task_group import cancellation_is_ours
from kailash_monitor.errors import ChannelError
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.model.durations import Duration, format_duration, parse_duration
from kailash_monitor.rules import AlertRule

__all__ = ["Beat", "Heart", "Heartbeat", "ailment", "look"]

AGAIN: Final = 1.0
"""Seconds between two looks at what ails: a call that is due is made as soon as all is well."""

PATIENCE: Final = 10.0
"""Seconds that a call may be late before it is said why: rules are judged for the first time, or a machine wakes up."""

LATE: Final = 30.0
"""Seconds that any rule may be late, since a loop that was held up is not dead; one at a long interval, three of those."""

_WHERE: Final = "heartbeat"
_METHODS: Final = ("GET", "POST")
_SHORTEST: Final = 1.0
_LONGEST: Final = 86_400.0

_logger: Final = logging.getLogger("kailash_monitor.engine")


class Heartbeat:
    """Has `url` called, each `every`, for as long as an alert manager is well; it takes this as its `heartbeat`.

        AlertManager(registry, heartbeat=Heartbeat("https://hc-ping.com/…"))

    Well it is while every rule is judged in time and can be, the store works, and not all channels are down. The first call
    comes once all rules have been judged. Whoever is called should be told to wait for more than one of `every`.

    2xx is an answer, redirects are not followed, and what was not answered within `timeout` is called again when the next
    call is due. The address is a secret, as whoever knows it can call. A ChannelError where an argument is none.
    """

    def __init__(
        self,
        url: str,
        *,
        every: Duration = "1m",
        method: str = "GET",
        timeout: Duration = "10s",
        egress: str | Egress = "private",
    ) -> None:
        self._host: Final = check_url(url, _WHERE, "url")
        if method not in _METHODS:
            raise ChannelError(
                _WHERE, field="method", seen=f"the method {method!r}", expected=f"use {' or '.join(_METHODS)}"
            )
        self.every: Final = _every(every)
        self._url: Final = Hidden(url)
        self._method: Final = method
        self._seconds: Final = timeout_of(timeout, _WHERE)
        self._egress: Final = egress_of(egress, _WHERE)

    def __repr__(self) -> str:
        return f"<Heartbeat {self._host} every {format_duration(self.every)}>"  # path and query are the secret

    async def call(self) -> str | None:
        """Call once, and say why it was not answered; None where it was."""
        outcome = await post(self._url.value, b"", {}, seconds=self._seconds, method=self._method, egress=self._egress)
        return None if isinstance(outcome, Delivered) else outcome.why


def _every(value: Duration) -> float:
    try:
        seconds = parse_duration(value)
    except ValueError as error:
        raise ChannelError(_WHERE, field="every", seen=f"every = {value!r}", expected=str(error)) from None
    if not _SHORTEST <= seconds <= _LONGEST:
        raise ChannelError(_WHERE, field="every", seen=f"every = {value!r}", expected="use 1s to 1d, such as '1m'")
    return seconds


# -- whether all is well ---------------------------------------------------------------------------------------------------


def ailment(rules: Iterable[RuleStatus], down: Mapping[str, bool], *, store_fails: bool, wall: float) -> str | None:
    """Say what keeps alerts from being found or told at the Unix time `wall`; None where nothing does.

    `down` says of each channel that calls people whether it is down. One of them is enough, and where there are none,
    nobody expects to be called. A rule whose data cannot be read does not count: an alert tells of it, and the others are
    judged. Where that is so of all rules, nothing is watched any more.
    """
    enabled = [status for status in rules if status.rule.enabled]
    for status in enabled:
        judged = status.last_evaluation
        if judged is None:
            return f"rule {status.rule.name!r} was not judged yet"
        if wall - judged.timestamp() > _longest_pause(status.rule):
            return f"rule {status.rule.name!r} is not judged any more"
    if enabled and all(status.error is not None and status.value is None for status in enabled):
        return "no rule can be judged"
    if store_fails:
        return "the store fails"
    if down and all(down.values()):
        return "all channels are down"
    return None


def _longest_pause(rule: AlertRule) -> float:
    """Give the seconds between two judgements after which something is wrong: a reading of its own may take its time."""
    interval = rule.evaluation_interval
    return interval + max(LATE, 3 * interval) + rule.waits


def look(core: Core, channels: Mapping[str, NotificationChannel], *, store_fails: bool) -> str | None:
    """Say what ails the engine now; None where nothing does. A log is no channel here: it calls nobody."""
    with core.lock:
        wall = core.registry.clock.wall()
        rules = core.rulebook.status((), {}, wall - core.registry.clock.now(), running=True)
        gates = core.outbox.gates()
        down = {name: gates[name].down for name, one in channels.items() if not isinstance(one, LogNotificationChannel)}
    return ailment(rules, down, store_fails=store_fails, wall=wall)


# -- at work ---------------------------------------------------------------------------------------------------------------


class Beat(Protocol):
    """One who is called: see Heartbeat."""

    @property
    def every(self) -> float:
        """Seconds from one call to the next."""
        ...

    async def call(self) -> str | None:
        """Call once, and say why it was not answered, without a secret; None where it was. Cancellation ends it at once."""
        ...


class Heart:
    """Calls while all is well, and says so in the log and in the self-metrics when that changes.

    `look` says what ails, None for nothing. `run` belongs to one loop at a time. Mutable, by that loop: what was said last.
    """

    def __init__(self, registry: MetricsRegistry, beat: Beat, look: Callable[[], str | None]) -> None:
        own = registry.self_metrics
        self._up = own.gauge("heartbeat_up", "1 while somebody outside is called, and answers")
        self._calls = own.counter("heartbeat_calls", "Calls of the heartbeat", labels=("outcome",))
        self._clock = registry.clock
        self._beat = beat
        self._look = look
        self._ailing = False
        self._failing = False

    async def run(self) -> None:
        """Call until cancelled; from then on nobody is called."""
        self._ailing = self._failing = False
        due = self._clock.now()
        try:
            while True:
                ails = self._look()
                if ails is None:
                    self._note_well()
                    begun = self._clock.now()
                    self._note_call(await self._call())
                    due = begun + self._beat.every
                    await asyncio.sleep(due - self._clock.now())
                else:
                    if self._clock.now() - due >= PATIENCE:
                        self._note_ailment(ails)
                    await asyncio.sleep(AGAIN)
        finally:
            self._up.set(0.0)

    async def _call(self) -> str | None:
        try:
            with cancellation_is_ours():
                return await self._beat.call()
        except Exception as error:  # monitoring goes on without a heartbeat; the text may hold the address
            return f"raised {type(error).__name__}"

    def _note_call(self, failure: str | None) -> None:
        self._calls.inc("answered" if failure is None else "failed")
        self._up.set(1.0 if failure is None else 0.0)
        if failure is not None and not self._failing:
            again = format_duration(self._beat.every)
            _logger.warning("the heartbeat was not answered: %s; it calls again each %s", one_line(failure), again)
        elif failure is None and self._failing:
            _logger.warning("the heartbeat is answered again")
        self._failing = failure is not None

    def _note_ailment(self, ails: str) -> None:
        self._up.set(0.0)
        if not self._ailing:
            self._ailing = True
            _logger.error("no heartbeat: %s", one_line(ails))

    def _note_well(self) -> None:
        if self._ailing:
            self._ailing = False
            _logger.warning("the heartbeat goes on: all is well again")
