"""The archivist: keeps the store in step with the core, and finds in it what was there before a restart."""

import asyncio
import logging
import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final, TypeVar

from kailash_monitor.channels.text import one_line
from kailash_monitor.clock import Clock
from kailash_monitor.engine.core import Core
from kailash_monitor.engine.daemon import WorkerThread
from kailash_monitor.engine.journal import Page
from kailash_monitor.engine.records import Pen
from kailash_monitor.engine.restored import read_store
from kailash_monitor.engine.rings import ring_changes, rings_in
from kailash_monitor.engine.wakeup import Bell
from kailash_monitor.errors import StoreError
from kailash_monitor.storage import Change, Kind, Store

__all__ = ["Archivist"]

T = TypeVar("T")

KEPT: Final = (Kind.ALERT, Kind.LANE, Kind.SILENCE, Kind.LETTER)
"""What the core is made of."""

CHECKPOINT: Final = 60.0
"""Seconds between two checkpoints of what changes all the time: the history of series, and when alerts were last judged."""

PIECE: Final = 128
"""Changes that are copied without a pause: about a millisecond."""

BATCH: Final = 8_192
"""Changes that are written in one transaction: a bound for its memory."""

RETRY: Final = 5.0
"""Seconds between two attempts to have a store back that failed."""

BUDGET: Final = 0.003
"""Seconds of work without a pause for the host program."""

CLOSING: Final = 0.8
"""Seconds that the last writing may take: a stop is over within a second after its messages."""

_logger: Final = logging.getLogger("kailash_monitor.engine")


class Archivist:
    """Writes what the journal holds, all that has come up by then in one transaction, again and again.

    An attempt waits with `kept` until its beginning is in the store. While the store fails nobody waits: alerting goes on
    from memory, the toolkit's own alert says so, and once the store is back it is given everything.

    Without a store it does nothing. `run` belongs to one loop at a time. Mutable: by that loop.
    """

    def __init__(self, clock: Clock, core: Core, store: Store | None) -> None:
        self._clock = clock
        self._core = core
        self._journal = core.journal
        self._store = store
        self._bell = Bell()
        self._thread = WorkerThread("kailash-monitor store")
        self._pen = Pen()
        self._written = 0
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._restored = False
        self._failure: str | None = None
        self._since = -math.inf  # of the last checkpoint
        self._checkpoint_at = math.inf
        core.journal.ring = self._bell.ring

    # -- beginning and end ---------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Open the store, and take on what it has, the first time. A StoreError says why that cannot be."""
        store = self._store
        if store is None:
            return
        await self._call(store.open)
        if not self._restored:
            offset = self._clock.wall() - self._clock.now()
            restored = await self._call(lambda: read_store(store, offset))
            await self._driven(self._core.restore(restored))
            rings = await self._call(lambda: rings_in(store, offset, self._clock.now()))
            for begin in range(0, len(rings), PIECE):
                self._core.registry.restore(rings[begin : begin + PIECE])
                await asyncio.sleep(0)
            self._restored = True
        with self._core.lock:
            self._journal.kept = True
            self._core.keep_all()
        self._core.registry.self_metrics.store_up.set(1.0)
        self._checkpoint_at = self._clock.now() + CHECKPOINT

    async def close(self) -> None:
        """Write what there is, as far as it goes in a second, and close the store."""
        store = self._store
        if store is None:
            return
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSING):
                    if self._failure is None:
                        await self._checkpoint()
                        await self._write()
                    await self._call(store.close)
        finally:
            self._thread.end()
            self._release(math.inf)

    # -- at work -------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Write until cancelled."""
        if self._store is None:
            return
        with self._bell.hung():
            while True:
                if self._failure is not None:
                    await asyncio.sleep(RETRY)
                    await self._reconnect()
                    continue
                if self._clock.now() >= self._checkpoint_at:
                    await self._checkpoint()
                await self._write()
                if self._failure is None:
                    await self._bell.wait(None if self._journal else self._checkpoint_at - self._clock.now())

    async def kept(self) -> None:
        """Wait until all that has happened by now is in the store, or the store has failed."""
        if self._store is None or self._failure is not None or not self._journal.kept:
            return
        with self._core.lock:
            marked = self._journal.marked
        if marked > self._written:
            future = asyncio.get_running_loop().create_future()
            self._waiting.append((marked, future))
            await future

    async def _write(self) -> None:
        """Write all that has changed."""
        store = self._store
        assert store is not None
        while self._journal and self._failure is None:
            pages, size = list[Page](), 0
            begun = self._clock.now()
            while self._journal and size < BATCH:
                with self._core.lock:
                    page = self._journal.take(self._pen, self._clock.wall() - self._clock.now(), PIECE)
                pages.append(page)
                size += len(page)
                if self._clock.now() - begun > BUDGET:
                    await asyncio.sleep(0)
                    begun = self._clock.now()
            try:
                await self._call(_commit, store, pages)
            except StoreError as error:
                self._fail(error)
                return
            self._release(pages[-1].upto)

    async def _checkpoint(self) -> None:
        """Write the history of the series that were recorded, and have the alerts written that changed but quietly."""
        store, now = self._store, self._clock.now()
        assert store is not None
        self._checkpoint_at = now + CHECKPOINT
        with self._core.lock:
            self._core.keep_all(active_only=True)
        try:
            changes: list[Change] = []
            begun = self._clock.now()
            for change in ring_changes(self._core.registry, self._since):
                if change is not None:
                    changes.append(change)
                if len(changes) >= PIECE:
                    await self._call(store.commit, changes)
                    changes = []
                if self._clock.now() - begun > BUDGET:
                    await asyncio.sleep(0)
                    begun = self._clock.now()
            if changes:
                await self._call(store.commit, changes)
        except StoreError as error:
            self._fail(error)
        else:
            self._since = now

    def _release(self, upto: float) -> None:
        """Let those go on who wait for what is written by now."""
        self._written = self._journal.marked if upto == math.inf else int(upto)
        waiting, self._waiting = self._waiting, []
        for marked, future in waiting:
            if marked > upto:
                self._waiting.append((marked, future))
            elif not future.done():
                future.set_result(None)

    # -- trouble -------------------------------------------------------------------------------------------------------

    def _fail(self, error: StoreError) -> None:
        self._failure = str(error)
        _logger.error("the store fails, and alerting goes on from memory: %s", one_line(str(error)))
        with self._core.lock:
            self._journal.kept = False
            self._journal.clear()
        self._release(math.inf)
        self._core.store_failed(str(error))

    async def _reconnect(self) -> None:
        """Try to have the store back, and give it everything."""
        store = self._store
        assert store is not None
        try:
            await self._call(store.close)
            await self._call(store.open)
            there = await self._call(lambda: [(kind, key) for kind in KEPT for key, _ in store.load(kind)])
        except StoreError:
            return  # said once, and the alert stands
        self._failure = None
        _logger.warning("the store works again")
        with self._core.lock:
            self._journal.kept = True
            self._core.keep_all()
            for kind, key in there:
                if not self._journal.has(kind, key):  # it was forgotten meanwhile
                    self._journal.forget(kind, key)
        self._since = -math.inf
        self._core.store_failed(None)

    async def _call(self, function: Callable[..., T], *args: object) -> T:
        """Make a call on the store's own thread. A call that is not waited for any more is made all the same."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)

    async def _driven(self, steps: Iterator[None]) -> None:
        begun = self._clock.now()
        for _ in steps:
            if self._clock.now() - begun > BUDGET:
                await asyncio.sleep(0)
                begun = self._clock.now()


def _commit(store: Store, pages: list[Page]) -> None:
    store.commit([change for page in pages for change in page.changes()])
