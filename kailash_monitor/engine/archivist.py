"""The archivist: keeps the store in step with the core, and finds in it what was there before a restart."""

import asyncio
import json
import logging
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from functools import partial
from itertools import chain, islice
from typing import Final, TypeVar

from kailash_monitor.alerting.incident import State
from kailash_monitor.channels.text import one_line
from kailash_monitor.clock import Clock
from kailash_monitor.engine.core import Core
from kailash_monitor.engine.daemon import WorkerThread
from kailash_monitor.engine.journal import Page
from kailash_monitor.engine.records import Pen
from kailash_monitor.engine.restored import read_store
from kailash_monitor.engine.rings import ring_changes, rings_in
from kailash_monitor.engine.wakeup import Bell, call_on
from kailash_monitor.errors import StoreError
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.metrics.checkpoint import Ring
from kailash_monitor.storage import Change, Kind, Store

__all__ = ["Archivist"]

T = TypeVar("T")

KEPT: Final = (Kind.ALERT, Kind.LANE, Kind.SILENCE, Kind.LETTER)
"""What the core is made of."""

CHECKPOINT: Final = 60.0
"""Seconds between two checkpoints of what changes all the time: the history of series, and when alerts were last judged."""

PIECE: Final = 128
"""Changes that are copied without a pause: about a millisecond."""

RINGS: Final = 16
"""Rings that are given to the registry without a pause: a millisecond, or five where all are of busy histograms."""

BATCH: Final = 32_768
"""Changes that are written in one transaction: some 80 MB.

A transaction ends where nothing more has changed, so that it holds all of what belongs together; only past this it may not.
"""

RETRY: Final = 5.0
"""Seconds between two attempts to have a store back that failed."""

PATIENCE: Final = 5.0
"""Seconds after which a commit counts as failed: a disk that hangs must not keep an alert from people."""

BUDGET: Final = 0.003
"""Seconds of work without a pause for the host program."""

CLOSING: Final = 0.8
"""Seconds that the last writing may take: a stop is over within a second after its messages."""

THREAD: Final = "kailash-monitor store"

_logger: Final = logging.getLogger("kailash_monitor.engine")


class Archivist:
    """Writes what the journal holds, all that has come up by then in one transaction, again and again.

    An attempt waits with `kept` until its beginning is in the store. While the store fails nobody waits: alerting goes on
    from memory, the toolkit's own alert says so, and once the store is back it is given everything.

    Without a store it does nothing. `open`, `run` and `close` belong to one loop at a time. Mutable: by that loop, or by who
    ends what a loop that was dropped left behind.
    """

    def __init__(
        self,
        clock: Clock,
        core: Core,
        store: Store | None,
        *,
        checkpoint: float = CHECKPOINT,
        retry: float = RETRY,
        patience: float = PATIENCE,
        closing: float = CLOSING,
    ) -> None:
        self._clock = clock
        self._core = core
        self._journal = core.journal
        self._store = store
        self._every, self._retry, self._patience, self._closing = checkpoint, retry, patience, closing
        self._bell = Bell()
        self._pen = Pen()
        self._thread = WorkerThread(THREAD)
        self._process = os.getpid()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed: Future[None] | None = None  # where it was open before
        self._restoring: Iterator[None] | None = None  # what is left to be taken on of what was there
        self._unread: frozenset[tuple[Kind, str]] = frozenset()
        self._pages: list[Page] = []  # taken out of the journal, and not on their way to the store yet
        self._committing: asyncio.Future[None] | None = None  # the last commit, whoever waits for it
        self._written = 0
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._failing = False
        self._why = ""  # it fails
        self._retry_at = -math.inf
        self._since = -math.inf  # of the last checkpoint
        self._checkpoint_at = math.inf
        core.journal.ring = self._bell.ring

    @property
    def failing(self) -> bool:
        """Whether the store keeps nothing now; never, where there is none."""
        return self._failing

    @property
    def trouble(self) -> str | None:
        """Why the store keeps nothing now; None where it does, or where there is none."""
        return self._why if self._failing else None

    # -- beginning and end ---------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Open the store, and take on what it has, the first time. A StoreError says why that cannot be.

        Where it raises, or is cancelled, nothing stays open.
        """
        store = self._store
        if store is None:
            return
        self._loop = asyncio.get_running_loop()
        if self._process != os.getpid():  # a fork takes no threads along
            self._process, self._thread, self._closed = os.getpid(), WorkerThread(THREAD), None
        try:
            if self._closed is not None:  # what hung at the end may hang still
                await self._call(wait, [self._closed])
            await self._call(store.open)
            await self._restore(store)
            if self._failing:
                self._retry_at = -math.inf  # `run` has it back at once
            else:
                await self._mirror(store)
                self._core.registry.self_metrics.store_up.set(1.0)
        except BaseException:
            self._let_go(store)
            raise
        self._checkpoint_at = self._clock.now() + self._every

    async def _restore(self, store: Store) -> None:
        """Take on what was there before this process, once; what a start that was cancelled left is left to the next."""
        if self._restoring is None:
            now = self._clock.now()
            offset = self._clock.wall() - now
            restored = await self._call(read_store, store, offset, now)
            rings = await self._call(rings_in, store, offset, now)
            self._unread = restored.unread
            self._restoring = chain(self._core.restore(restored), _bring_back(self._core.registry, rings))
        await self._driven(self._restoring)

    async def close(self) -> None:
        """Write what there is, as far as it goes in a second, and close the store."""
        store = self._store
        if store is None:
            return
        try:
            if not _dropped():
                async with asyncio.timeout(self._closing):
                    await self._write_the_last()
                    await self._call(store.close)
        except TimeoutError:
            _logger.warning("the store was not closed in time: a restart may not know what happened last")
        finally:
            self._let_go(store)

    async def _write_the_last(self) -> None:
        try:
            if self._failing:
                await self._reconnect()
            else:
                if self._committing is not None:  # whoever waited for it was cancelled
                    await asyncio.shield(self._committing)
                await self._write()
                await self._checkpoint()
            while self._journal:
                await self._write()
        except Exception as error:  # as in `run`
            self._fail(error)

    def _let_go(self, store: Store) -> None:
        """Have the store closed once what is under way is done, and the thread end; nobody waits for that."""
        if _dropped() and self._loop is not None and not self._loop.is_closed():
            return  # another loop is at work already
        self._forget_changes()
        self._closed = self._thread.submit(store.close)
        self._thread.end()

    # -- at work -------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Write until cancelled."""
        if self._store is None:
            return
        with self._bell.hung():
            while True:
                try:
                    await self._work()
                except Exception as error:  # the top of the loop: whatever is wrong with the store, alerting goes on
                    self._fail(error)

    async def _work(self) -> None:
        """Write what there is by now, and wait for more."""
        if self._failing:
            await asyncio.sleep(self._retry_at - self._clock.now())
            await self._reconnect()
        if self._clock.now() >= self._checkpoint_at:
            await self._checkpoint()
        await self._write()
        await self._bell.wait(0.0 if self._journal else self._checkpoint_at - self._clock.now())

    async def kept(self) -> None:
        """Wait until all that has happened by now is in the store, or the store has failed."""
        with self._core.lock:
            marked, kept = self._journal.marked, self._journal.kept
        if kept and marked > self._written and not self._failing:
            future = asyncio.get_running_loop().create_future()
            self._waiting.append((marked, future))
            await future

    async def _write(self) -> None:
        """Write all that has changed by now, up to what is written in one transaction."""
        await asyncio.sleep(0)  # attempts that begin in this turn of the loop need no commit of their own
        pause = _Pause(self._clock)
        while self._journal and sum(map(len, self._pages)) < BATCH:
            self._take()
            await pause()
        with self._core.lock:
            if not self._pages:
                return
            upto, write = self._hand_over()
            committing = asyncio.get_running_loop().run_in_executor(self._thread, write)
        await self._committed(committing)
        self._release(upto)

    def _take(self) -> None:
        """Take out of the journal what is to be written next."""
        with self._core.lock:
            self._pages.append(self._journal.take(self._pen, self._clock.wall() - self._clock.now(), PIECE))

    def _hand_over(self) -> tuple[int, Callable[[], None]]:
        """Give up to what was taken out, and what writes it.

        Under the lock, in which that must be given to the store's thread as well: it is written in the order it was taken.
        """
        pages, self._pages = self._pages, []
        return pages[-1].upto if pages else self._written, self._writing(partial(_changes, pages))

    def write_meanwhile(self) -> Future[None] | None:
        """Write all that has changed by now while the loop is held up, from another thread; None where nothing is kept.

        The future is done once it is in the store; whoever waits on the loop goes on when that comes round.
        """
        with self._core.lock:
            if self._store is None or not self._journal.kept or self._failing:
                return None
            while self._journal:
                self._take()
            upto, write = self._hand_over()
            committing = self._thread.submit(write)
        committing.add_done_callback(lambda done: call_on(self._loop, self._written_meanwhile, upto, done))
        return committing

    def _written_meanwhile(self, upto: int, done: Future[None]) -> None:
        error = done.exception()
        if error is None:
            self._release(upto)
        elif isinstance(error, Exception) and not self._failing:
            self._fail(error)
            self._bell.ring()

    async def _checkpoint(self) -> None:
        """Write the history of the series that were recorded, and have the alerts written that changed but quietly."""
        await self._driven(self._noted(active_only=True))
        await self._write_rings()

    async def _write_rings(self) -> None:
        now = self._clock.now()
        self._checkpoint_at = now + self._every
        pause, changes = _Pause(self._clock), list[Change]()
        for change in ring_changes(self._core.registry, self._since):
            if change is not None:
                changes.append(change)
            if len(changes) == PIECE:
                await self._commit(partial(list, changes))
                changes.clear()
                await self._write()  # what happens meanwhile does not wait until all series are done
            await pause()
        if changes:
            await self._commit(partial(list, changes))
        self._since = now

    async def _commit(self, changes: Callable[[], Sequence[Change]]) -> None:
        """Have changes written, on the store's thread, and kept. Where this is cancelled, that goes on."""
        await self._committed(asyncio.get_running_loop().run_in_executor(self._thread, self._writing(changes)))

    def _writing(self, changes: Callable[[], Sequence[Change]]) -> Callable[[], None]:
        store = self._store
        assert store is not None
        return lambda: store.commit(changes())

    async def _committed(self, committing: asyncio.Future[None]) -> None:
        committing.add_done_callback(_heed)
        self._committing = committing
        await asyncio.wait([committing], timeout=None if self._failing else self._patience)
        if not committing.done():  # looked at anew: while the loop was held up, it may have answered in time
            seen = f"it has not answered for {self._patience:g} s"
            raise StoreError("the store", seen=seen, remedy="look after its disk")
        committing.result()

    def _release(self, upto: float) -> None:
        """Let those go on who wait for what is written by now."""
        self._written = self._journal.marked if upto == math.inf else max(self._written, int(upto))
        waiting, self._waiting = self._waiting, []
        for marked, future in waiting:
            if marked > upto:
                self._waiting.append((marked, future))
            elif not (future.done() or future.get_loop().is_closed()):
                future.set_result(None)

    # -- trouble -------------------------------------------------------------------------------------------------------

    def _fail(self, error: Exception) -> None:
        """Go on from memory. That is said once, until the store works again."""
        first, self._failing = not self._failing, True
        self._retry_at, self._since = self._clock.now() + self._retry, -math.inf
        self._forget_changes()
        if first:
            known = isinstance(error, StoreError)
            why = (
                one_line(str(error)) if known else f"{type(error).__name__}, which is a defect of this toolkit or its store"
            )
            _logger.error("the store fails, and alerting goes on from memory: %s", why, exc_info=None if known else error)
            self._core.store_failed(why)
            self._why = why

    async def _reconnect(self) -> None:
        """Have the store back, and give it everything. Raises what it met where that cannot be."""
        store = self._store
        assert store is not None
        await self._call(store.close)
        await self._call(store.open)
        await self._mirror(store)
        await self._write()  # a full disk may well be opened
        await self._write_rings()
        self._failing = False
        _logger.warning("the store works again")
        self._core.store_failed(None)

    def _forget_changes(self) -> None:
        """Keep nothing, and let everybody go on: once the store is back, it is given everything."""
        with self._core.lock:
            self._journal.kept = False
            self._journal.clear()
        self._pages, self._committing = [], None
        self._release(math.inf)

    # -- all of it -----------------------------------------------------------------------------------------------------

    async def _mirror(self, store: Store) -> None:
        """Have everything written anew, and what the store has beyond that forgotten."""
        there = await self._call(_keys, store)
        self._journal.kept = True
        await self._driven(self._anew(there))

    def _anew(self, there: Iterable[tuple[Kind, str]]) -> Iterator[None]:
        yield from self._noted()
        for piece in _pieces(there):
            with self._core.lock:
                for kind, key in piece:
                    if not (self._journal.has(kind, key) or self._is_of_others(kind, key)):
                        self._journal.forget(kind, key)
            yield

    def _noted(self, *, active_only: bool = False) -> Iterator[None]:
        """Have all of it written, or, with `active_only`, the alerts that are judged; in steps."""
        core, journal = self._core, self._journal
        for cases in _pieces(core.book):
            with core.lock:
                for case in cases:
                    is_there = core.book.find(case.key.id) is case
                    if is_there and not (active_only and case.incident.state is State.RESOLVED):
                        journal.case(case)
            yield
        if active_only:
            return
        with core.lock:
            lanes = list(core.outbox.lanes())
            for silence in core.dispatcher.policy.silences.values():
                journal.silence(silence)
            for letter in core.outbox.letters:
                journal.letter(letter)
        for some in _pieces(lanes):
            with core.lock:
                for lane in some:
                    if core.outbox.find(lane.channel, lane.key) is lane:
                        journal.lane(lane)
            yield

    def _is_of_others(self, kind: Kind, key: str) -> bool:
        """Whether it is to be left where it is: another version's, or of a channel that may be added yet."""
        waits = kind is Kind.LANE and _channel_of(key) not in self._core.dispatcher.policy.channels
        return waits or (kind, key) in self._unread

    # -- ways and means ------------------------------------------------------------------------------------------------

    async def _call(self, function: Callable[..., T], *args: object) -> T:
        """Make a call on the store's own thread. A call that is not waited for any more is made all the same."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)

    async def _driven(self, steps: Iterator[None]) -> None:
        pause = _Pause(self._clock)
        for _ in steps:
            await pause()


class _Pause:
    """Lets the host program have its turn, where the budget is used up. Mutable: when the work began."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._begun = clock.now()

    async def __call__(self) -> None:
        if self._clock.now() - self._begun > BUDGET:
            await asyncio.sleep(0)
            self._begun = self._clock.now()


def _dropped() -> bool:
    """Whether Python is ending what was left behind by a loop that was dropped: there is nothing to wait on."""
    return isinstance(sys.exception(), GeneratorExit)


def _heed(committing: asyncio.Future[None]) -> None:
    """Keep asyncio from complaining where a commit fails for which nobody waits any more."""
    if not committing.cancelled():
        committing.exception()


def _changes(pages: list[Page]) -> list[Change]:
    return [change for page in pages for change in page.changes()]


def _keys(store: Store) -> list[tuple[Kind, str]]:
    return [(kind, key) for kind in KEPT for key, _ in store.load(kind)]


def _channel_of(key: str) -> object:
    """Give the channel of a lane, by its key; None where it is nothing of ours."""
    try:
        return json.loads(key)[0]
    except (ValueError, TypeError, LookupError):
        return None


def _bring_back(registry: MetricsRegistry, rings: Iterable[Ring]) -> Iterator[None]:
    for piece in _pieces(rings, RINGS):
        registry.restore(piece)
        yield


def _pieces(things: Iterable[T], size: int = PIECE) -> Iterator[list[T]]:
    there = iter(things)
    while piece := list(islice(there, size)):
        yield piece
