"""The archivist: a store that cannot be opened, fails, hangs or comes back, and what a restart finds in it."""

import asyncio
import json
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from kailash_monitor.alerts import AlertManager, AlertRule
from kailash_monitor.delivery.outcome import Outcome, Rejected, Retry
from kailash_monitor.engine.archivist import BATCH, PIECE, Archivist
from kailash_monitor.errors import (
    LifecycleError,
    StoreDamaged,
    StoreError,
    StoreForeign,
    StoreFull,
    StoreNotWritable,
    StoreTooNew,
)
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.model.notice import Notice
from kailash_monitor.storage import Change, Document, Kind, MemoryStore, SqliteStore, Store
from kailash_monitor.testing import RecordingChannel, VirtualClock

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
"""Without what a coverage run adds to every process."""

STORE = "store_failing_monitor"
"""The toolkit's own alert."""


def busy(**changes: object) -> AlertRule:
    given = {"evaluation_interval": 1, "notification_interval": 0, **changes}
    return AlertRule("busy", "d", "warning", "queue", "> 5", **given)  # type: ignore[arg-type]


def manager_of(
    registry: MetricsRegistry, store: Store | Path | None, channel: RecordingChannel | None = None, **options: object
) -> AlertManager:
    manager = AlertManager(registry, store=store, **options)  # type: ignore[arg-type]
    manager.add_notification_channel(channel or RecordingChannel("ops"))
    manager.add_rule(busy())
    return manager


def queue(registry: MetricsRegistry, length: float) -> None:
    registry.collector("app").set_gauge("queue", length)


def up(registry: MetricsRegistry) -> float | None:
    gauge = registry.self_metrics.get_metric("alert_store_up")
    return None if gauge is None else gauge.get_latest_value()


def kept(path: Path, table: str = "alerts") -> dict[str, str]:
    """What is in the file, as any other program sees it."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as looking_on:
        return dict(looking_on.execute(f"SELECT key, document FROM {table}"))


def states(store: Store | Path) -> dict[str, str]:
    """Alerts in a store, and how they stand."""
    found = kept(store) if isinstance(store, Path) else dict(held(store, Kind.ALERT))
    documents = {key: json.loads(record) for key, record in found.items()}
    return {key: record["incidents"][record["incident"]]["state"] for key, record in documents.items()}


def held(store: Store, kind: Kind) -> dict[str, Document]:
    """What a store in memory holds, open or not, at this very moment."""
    assert isinstance(store, MemoryStore)
    return dict(store._documents[kind])


def threads() -> set[threading.Thread]:
    return {one for one in threading.enumerate() if one.name == "kailash-monitor store"}


def worker() -> threading.Thread:
    (one,) = threads()
    return one


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """The store's thread ends with the manager."""
    before = threads()
    yield
    for left in threads() - before:
        left.join(5)
        assert not left.is_alive()


@contextmanager
def other_program(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another program that uses the store."""
    script = "import sys; from kailash_monitor.storage import SqliteStore as S; s = S(sys.argv[1]); s.open(); print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=CLEAN
    ) as running:
        assert running.stdout is not None
        running.stdout.readline()
        try:
            yield running
        finally:
            running.kill()


# Stores that keep the port's contract


class Counting(MemoryStore):
    """Counts commits, and remembers of which kinds they were."""

    def __init__(self) -> None:
        super().__init__()
        self.commits: list[list[Change]] = []

    def commit(self, changes: Sequence[Change]) -> None:
        super().commit(changes)
        self.commits.append(list(changes))

    def kinds(self) -> list[set[Kind]]:
        return [{change.kind for change in changes} for changes in self.commits]


class Failing(Counting):
    """Raises `error` where it is set, at each commit and, where `closed`, already when it is opened."""

    def __init__(self, error: Exception | None = None, *, closed: bool = False) -> None:
        super().__init__()
        self.error = error
        self.closed = closed
        self.opened = 0

    def open(self) -> None:
        self.opened += 1
        if self.error is not None and self.closed:
            raise self.error
        super().open()

    def commit(self, changes: Sequence[Change]) -> None:
        if self.error is not None:
            raise self.error
        super().commit(changes)


class Hanging(Counting):
    """Hangs in a call, once `hangs` names it, until `go` is set; `waiting` is set meanwhile."""

    def __init__(self, hangs: str = "") -> None:
        super().__init__()
        self.hangs = hangs
        self.go, self.waiting = threading.Event(), threading.Event()
        self.error: Exception | None = None

    def _hang(self, call: str) -> None:
        if self.hangs == call:
            self.waiting.set()
            assert self.go.wait(20)
            if self.error is not None:
                raise self.error

    def open(self) -> None:
        self._hang("open")
        super().open()

    def commit(self, changes: Sequence[Change]) -> None:
        rings = bool(changes) and changes[0].kind is Kind.RING
        self._hang("rings" if rings else "commit")
        super().commit(changes)

    @property
    def is_open(self) -> bool:
        return self._open


FULL = StoreFull("/store.db", seen="there is no room left", remedy="free some on that disk")


# A store that cannot be opened


def newer(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        store.open()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE cookies (x)")


def damaged(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0" + bytes(range(256)) * 40)


def a_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "error", "text"),
    [
        (newer, StoreTooNew, "a newer version of kailash-monitor wrote it"),
        (foreign, StoreForeign, "it is a database of another program"),
        (damaged, StoreDamaged, "it is damaged, or no database"),
        (a_folder, StoreNotWritable, "it is no file"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_a_store_that_cannot_be_opened_is_said_at_the_start_and_can_be_once_the_cause_is_gone(
    registry: MetricsRegistry, tmp_path: Path, spoil: Callable[[Path], None], error: type[StoreError], text: str
) -> None:
    path = tmp_path / "store.db"
    await asyncio.to_thread(spoil, path)
    manager = manager_of(registry, path)
    queue(registry, 9)
    for _ in range(2):
        with pytest.raises(LifecycleError, match=f"could not start: {error.__name__}: {path}: {text}") as refused:
            await manager.start()
        assert type(refused.value.__cause__) is error
        assert manager.failure is refused.value.__cause__
        assert not manager.running
        await manager.stop()
        assert {task.get_name() for task in asyncio.all_tasks()} == {asyncio.current_task().get_name()}  # type: ignore[union-attr]
    shutil.move(path, tmp_path / "aside")
    async with AlertManager(MetricsRegistry(clock=registry.clock), store=path):
        pass  # nobody has the lock
    async with manager:
        await asyncio.sleep(1)
    assert manager.failure is None
    assert states(path) == {"busy_app": "firing"}


@pytest.fixture
def forbidden() -> Iterator[Path]:
    """A folder in which the user, in whose name the test goes on, may not write."""
    with tempfile.TemporaryDirectory() as name:
        folder, user = Path(name).resolve(), os.geteuid()
        folder.chmod(0o555)
        if user == 0:
            os.seteuid(65_534)
        try:
            yield folder
        finally:
            os.seteuid(user)
            folder.chmod(0o700)


async def test_a_store_without_permission_is_said_at_the_start(registry: MetricsRegistry, forbidden: Path) -> None:
    with pytest.raises(LifecycleError, match="StoreNotWritable: .*: permission denied; .* or name another file"):
        await manager_of(registry, forbidden / "store.db").start()


@pytest.mark.real_time
async def test_a_second_program_is_refused_at_the_start_until_the_first_ends(tmp_path: Path) -> None:
    registry, path = MetricsRegistry(), tmp_path / "store.db"
    manager = manager_of(registry, path)
    with other_program(path) as other:
        with pytest.raises(LifecycleError, match=f"StoreLocked: .* process {other.pid}, uses it; stop that"):
            await manager.start()
        other.kill()
        other.wait()
        await manager.start()
        await manager.stop()


async def test_a_second_manager_on_the_same_file_is_refused_and_costs_the_first_nothing(
    registry: MetricsRegistry, tmp_path: Path
) -> None:
    path = tmp_path / "store.db"
    first, second = manager_of(registry, path), manager_of(registry, path)
    async with first:
        with pytest.raises(LifecycleError, match="StoreLocked: .*: another store of this program uses it"):
            await second.start()
        queue(registry, 9)
        await asyncio.sleep(2)
        assert states(path) == {"busy_app": "firing"}
    async with second:
        assert [alert.id for alert in second.get_active_alerts()] == ["busy_app"]


@pytest.mark.real_time
async def test_a_start_that_is_cancelled_while_the_store_opens_leaves_nothing_open() -> None:
    store = Hanging("open")
    watch = asyncio.create_task(manager_of(MetricsRegistry(), store).run())
    await asyncio.to_thread(store.waiting.wait, 5)
    watch.cancel()
    begun = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await watch
    assert time.monotonic() - begun < 0.5
    left = worker()
    store.go.set()
    await asyncio.to_thread(left.join, 5)
    assert not store.is_open


class Ticking(VirtualClock):
    """Time passes whenever it is looked at, so that each pause for the program is taken."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0

    def now(self) -> float:
        self.looks += 1
        return super().now() + self.looks * 0.01


async def filled(store: Store, number: int) -> None:
    """Let a program fire `number` alerts, and end."""
    registry = MetricsRegistry(clock=VirtualClock())
    manager = AlertManager(registry, store=store)
    manager.add_notification_channel(RecordingChannel("ops"), rate=(1e6, 1_000_000))
    manager.add_rule(busy(group_by=("n",)))
    for n in range(number):
        registry.collector("app").set_gauge("queue", 9, {"n": f"{n:03}"})
    async with manager:
        await asyncio.sleep(2)


async def test_a_start_that_is_cancelled_while_it_takes_on_what_was_there_is_gone_on_with_by_the_next() -> None:
    store = MemoryStore()
    await filled(store, 200)
    before = held(store, Kind.ALERT)
    registry = MetricsRegistry(clock=Ticking())
    channel = RecordingChannel("ops")
    manager = AlertManager(registry, store=store)
    manager.add_notification_channel(channel)
    manager.add_rule(busy(group_by=("n",)))
    watch = asyncio.create_task(manager.run())
    while len(manager.core.book) < 50:
        await asyncio.sleep(0)
    watch.cancel()
    await asyncio.wait([watch])
    assert 50 <= len(manager.core.book) < 200
    assert held(store, Kind.ALERT) == before
    async with manager:
        assert len(manager.get_active_alerts()) == 200
        await asyncio.sleep(1)
    assert held(store, Kind.ALERT).keys() == before.keys()
    assert channel.told() == []


# A store that fails while the program runs


class Tight(SqliteStore):
    """On a disk that holds `pages`."""

    pages = 1_000_000

    def open(self) -> None:
        super().open()
        self.squeeze()

    def squeeze(self) -> None:
        assert self._connection is not None
        self._connection.execute(f"PRAGMA max_page_count = {self.pages}")


async def test_while_the_disk_is_full_alerting_goes_on_and_says_so_once_and_then_everything_is_kept(
    registry: MetricsRegistry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "store.db"
    store, channel = Tight(path), RecordingChannel("ops")
    manager = manager_of(registry, store, channel)
    manager.add_rule(AlertRule("large", "x" * 50_000, "info", "queue", "> 8", evaluation_interval=1))
    async with manager:
        await asyncio.sleep(1)
        assert up(registry) == 1.0
        store.pages = 20
        await asyncio.to_thread(store.squeeze)
        queue(registry, 9)
        await asyncio.sleep(120)
        assert sorted(channel.told()) == [("firing", "busy_app"), ("firing", "large_app"), ("firing", STORE)]
        own = next(notice.alert for notice in channel.notices if notice.alert.id == STORE)
        assert own.description == (
            "Alerting goes on from memory, and a restart would forget what happens meanwhile: "
            f"{path}: there is no room left; free some on that disk"
        )
        assert up(registry) == 0.0
        assert states(path) == {}
        queue(registry, 7)
        await asyncio.sleep(2)
        assert channel.told()[3:] == [("resolved", "large_app")]
        store.pages = 1_000_000
        await asyncio.sleep(6)
        assert channel.told()[4:] == [("resolved", STORE)]
        assert up(registry) == 1.0
        assert states(path) == {"busy_app": "firing", "large_app": "resolved", STORE: "resolved"}
        assert len(kept(path, "rings")) == 1
    said = [record.getMessage() for record in caplog.records if "store" in record.getMessage()]
    assert said == [
        f"the store fails, and alerting goes on from memory: {path}: there is no room left; free some on that disk",
        "the store works again",
    ]


def removed(path: Path, aside: Path) -> None:
    path.unlink()


def renamed(path: Path, aside: Path) -> None:
    for file in list(path.parent.glob("store.db*")):
        file.rename(aside / file.name)


def replaced_by_an_older_one(path: Path, aside: Path) -> None:
    with closing(SqliteStore(aside / "old.db")) as store:
        store.open()
        store.commit([Change(Kind.ALERT, "long gone", "{}"), Change(Kind.SILENCE, "s", "{}"), Change(Kind.STATE, "x", "1")])
    renamed(path, aside)
    (aside / "old.db").rename(path)


@pytest.mark.parametrize("spoil", [removed, renamed, replaced_by_an_older_one])
async def test_a_file_that_is_taken_away_is_made_anew_with_everything(
    registry: MetricsRegistry, tmp_path: Path, spoil: Callable[[Path, Path], None]
) -> None:
    path, aside = tmp_path / "store.db", tmp_path / "aside"
    aside.mkdir()
    channel = RecordingChannel("ops")
    async with manager_of(registry, path, channel) as manager:
        queue(registry, 9)
        await asyncio.sleep(2)
        await manager.silence(alertname="other")
        assert states(path) == {"busy_app": "firing"}
        await asyncio.to_thread(spoil, path, aside)
        await manager.silence(alertname="another")
        await asyncio.sleep(1)
        assert up(registry) == 0.0
        await asyncio.sleep(5)
        assert up(registry) == 1.0
        assert states(path) == {"busy_app": "firing", STORE: "resolved"}
        assert len(kept(path, "silences")) == 2
        assert len(kept(path, "rings")) == 1
    assert channel.told() == [("firing", "busy_app"), ("firing", STORE), ("resolved", STORE)]


async def test_a_file_that_was_replaced_by_garbage_is_left_alone_until_somebody_moves_it(
    registry: MetricsRegistry, tmp_path: Path
) -> None:
    path = tmp_path / "store.db"
    channel = RecordingChannel("ops")
    async with manager_of(registry, path, channel):
        await asyncio.sleep(1)
        path.unlink()
        damaged(path)
        garbage = path.read_bytes()
        queue(registry, 9)
        await asyncio.sleep(600)
        assert sorted(channel.told()) == [("firing", "busy_app"), ("firing", STORE)]
        assert path.read_bytes() == garbage
        path.rename(tmp_path / "garbage")
        await asyncio.sleep(6)
        assert channel.told()[2:] == [("resolved", STORE)]
        assert states(path) == {"busy_app": "firing", STORE: "resolved"}


async def test_somebody_who_writes_at_the_shell_costs_nothing_once_they_are_done(
    registry: MetricsRegistry, tmp_path: Path
) -> None:
    path = tmp_path / "store.db"
    channel = RecordingChannel("ops")
    async with manager_of(registry, SqliteStore(path, busy_timeout=0.05), channel):
        await asyncio.sleep(1)
        with closing(sqlite3.connect(path, isolation_level=None)) as writing:
            writing.execute("BEGIN IMMEDIATE")
            queue(registry, 9)
            await asyncio.sleep(20)
            assert sorted(channel.told()) == [("firing", "busy_app"), ("firing", STORE)]
            writing.execute("ROLLBACK")
        await asyncio.sleep(6)
        assert states(path) == {"busy_app": "firing", STORE: "resolved"}


async def test_a_store_that_opens_and_cannot_be_written_does_not_work_again(registry: MetricsRegistry) -> None:
    """A full disk opens: every five seconds the store worked again and failed, and people were told so each time."""
    store, channel = Failing(), RecordingChannel("ops")
    async with manager_of(registry, store, channel):
        store.error = FULL
        queue(registry, 9)
        await asyncio.sleep(600)
        assert 100 <= store.opened <= 130
        assert sorted(channel.told()) == [("firing", "busy_app"), ("firing", STORE)]
        store.error = None
        await asyncio.sleep(5.1)
        assert channel.told()[2:] == [("resolved", STORE)]


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("a secret"), "\ud83d".encode, MemoryError()], ids=["bug", "text", "memory"]
)
async def test_what_is_no_error_of_a_store_does_not_end_alerting_either(
    registry: MetricsRegistry, caplog: pytest.LogCaptureFixture, error: Exception | Callable[[], bytes]
) -> None:
    if not isinstance(error, Exception):
        with pytest.raises(UnicodeEncodeError) as raised:
            error()
        error = raised.value
    store, channel = Failing(), RecordingChannel("ops")
    async with manager_of(registry, store, channel) as manager:
        store.error = error
        queue(registry, 9)
        await asyncio.sleep(60)
        store.error = None
        await asyncio.sleep(6)
        assert manager.running
    assert channel.told()[:3] in (
        [("firing", "busy_app"), ("firing", STORE), ("resolved", STORE)],
        [("firing", STORE), ("firing", "busy_app"), ("resolved", STORE)],
    )
    own = next(notice.alert for notice in channel.notices if notice.alert.id == STORE)
    assert own.description.endswith(f"{type(error).__name__}, which is a defect of this toolkit or its store")
    (failed,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert failed.exc_info is not None
    assert states(store) == {"busy_app": "firing", STORE: "resolved"}


async def test_a_text_that_is_no_text_is_kept(registry: MetricsRegistry, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    manager = AlertManager(registry, store=path)
    manager.add_rule(AlertRule("odd", "half a pair: \ud83d", "info", "queue", "> 5", labels={"a": "\ud83d"}))
    registry.collector("app").set_gauge("queue", 9, {"b": "\ud83d"})
    await manager.start()
    await manager.silence(alertname="\ud83d", author="\ud83d")
    await asyncio.sleep(1)
    assert up(registry) == 1.0
    await manager.stop()
    assert len(kept(path)) == len(kept(path, "silences")) == len(kept(path, "rings")) == 1
    again = AlertManager(registry, store=path)
    async with again:
        assert [alert.rule_name for alert in again.get_active_alerts()] == ["odd"]


async def test_while_the_store_fails_nothing_piles_up_and_nobody_waits(registry: MetricsRegistry) -> None:
    store, channel = Failing(), RecordingChannel("ops")
    manager = manager_of(registry, store, channel)
    manager.add_rule(AlertRule("many", "d", "info", "jobs", "> 5", group_by=("n",), evaluation_interval=1))
    async with manager:
        store.error = FULL
        for n in range(300):
            registry.collector("app").set_gauge("jobs", 9, {"n": str(n)})
        await asyncio.sleep(3)
        assert len(manager.core.journal) == 0
        begun = registry.clock.now()
        await manager.silence(alertname="other")
        assert registry.clock.now() == begun
        assert len(channel.notices) >= 4


async def test_what_was_forgotten_while_the_store_failed_is_deleted_and_what_another_version_wrote_is_not(
    registry: MetricsRegistry,
) -> None:
    store = Failing()
    store.open()
    foreign = [Change(Kind.ALERT, "strange", '{"version": 99}'), Change(Kind.SILENCE, "strange", "{}")]
    store.commit(foreign)
    store.commit([Change(Kind.LANE, '["pager", "", null, null]', "{}"), Change(Kind.LANE, '["ops", "old"]', "{}")])
    refuse = [True]

    def answer(_: Notice) -> Outcome | None:
        return Rejected("no") if refuse.pop() else None

    manager = manager_of(registry, store, RecordingChannel("ops", lambda notice: answer(notice) if refuse else None))
    queue(registry, 9)
    async with manager:
        await asyncio.sleep(1)
        (letter,) = manager.dead_letters()
        await manager.silence(alertname="other")
        assert (len(held(store, Kind.ALERT)), len(held(store, Kind.LETTER))) == (2, 1)
        store.error = FULL
        queue(registry, 0)
        await asyncio.sleep(1)
        manager.discard(letter.id)
        await asyncio.sleep(1_200)
        assert "busy_app" not in manager.alerts
        assert "busy_app" in held(store, Kind.ALERT)
        store.error = None
        await asyncio.sleep(6)
        assert held(store, Kind.ALERT).keys() == {"strange", STORE}
        assert held(store, Kind.LETTER) == {}
        assert len(held(store, Kind.SILENCE)) == 2
        assert held(store, Kind.LANE).keys() == {'["pager", "", null, null]', '["ops", "old"]'}


async def test_a_program_that_stops_while_the_store_fails_has_it_back_first_where_that_can_be(
    registry: MetricsRegistry,
) -> None:
    store = Failing()
    manager = manager_of(registry, store)
    await manager.start()
    store.error = FULL
    queue(registry, 9)
    await asyncio.sleep(3)
    store.error = None
    await manager.stop()
    assert states(store) == {"busy_app": "firing", STORE: "resolved"}


async def test_a_manager_that_stopped_while_the_store_failed_starts_again_and_keeps_everything(
    registry: MetricsRegistry,
) -> None:
    store, channel = Failing(), RecordingChannel("ops")
    manager = manager_of(registry, store, channel)
    await manager.start()
    store.error = FULL
    queue(registry, 9)
    await asyncio.sleep(3)
    await manager.stop()
    assert states(store) == {}
    await manager.start()  # it opens, and cannot be written
    await asyncio.sleep(20)
    assert up(registry) == 0.0
    assert channel.told().count(("firing", STORE)) == 1
    await manager.stop()
    store.error = None
    await manager.start()
    await asyncio.sleep(1)
    assert up(registry) == 1.0
    assert states(store) == {"busy_app": "firing", STORE: "resolved"}
    assert channel.told()[2:] == [("resolved", STORE)]
    await manager.stop()


# A store that hangs


def archivist_of(store: Store, **seconds: float) -> tuple[AlertManager, Archivist]:
    """An archivist beside a manager that does not run, whose silences are there to be kept."""
    manager = AlertManager(MetricsRegistry())
    return manager, Archivist(manager.metrics_registry.clock, manager.core, store, **seconds)


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


def silences(manager: AlertManager, number: int) -> set[str]:
    return {manager.silence(alertname=f"rule {n}").id for n in range(number)}


@pytest.mark.real_time
async def test_a_disk_that_hangs_keeps_nobody_for_longer_than_the_patience_and_is_given_everything_later() -> None:
    store = Hanging()
    manager, archivist = archivist_of(store, patience=0.1, retry=0.02)
    await archivist.open()
    running = asyncio.create_task(archivist.run())
    store.hangs = "commit"
    known = silences(manager, 3)
    begun = time.monotonic()
    await archivist.kept()
    assert 0.09 < time.monotonic() - begun < 5
    assert up(manager.metrics_registry) == 0.0
    (alert,) = manager.get_active_alerts()
    assert alert.id == STORE
    assert alert.description.endswith("the store: it has not answered for 0.1 s; look after its disk")
    known |= silences(manager, 3)
    await archivist.kept()
    store.hangs = ""
    store.go.set()
    while up(manager.metrics_registry) != 1.0:
        await asyncio.sleep(0.01)
    assert held(store, Kind.SILENCE).keys() == known
    assert manager.get_active_alerts() == []
    await ended(running)
    await archivist.close()


@pytest.mark.real_time
async def test_a_stop_while_the_disk_hangs_is_over_a_second_after_its_messages(caplog: pytest.LogCaptureFixture) -> None:
    store, registry = Hanging(), MetricsRegistry()
    channel = RecordingChannel("ops")
    manager = manager_of(registry, store, channel)
    await manager.start()
    store.hangs = "commit"
    queue(registry, 9)
    await asyncio.to_thread(store.waiting.wait, 5)
    begun = time.monotonic()
    await manager.stop(drain=0.1)
    assert 0.8 < time.monotonic() - begun < 1.1 + 0.5
    assert "the store was not closed in time" in caplog.text
    assert channel.told() == []
    left = worker()
    store.hangs = ""
    store.go.set()
    await asyncio.to_thread(left.join, 5)
    assert not store.is_open
    async with manager:
        while not channel.told():
            await asyncio.sleep(0.01)
    assert channel.told() == [("firing", "busy_app")]


@pytest.mark.real_time
async def test_a_start_waits_for_what_hung_when_the_store_was_closed() -> None:
    """Two threads would have used one store."""
    store = Hanging()
    manager, archivist = archivist_of(store, closing=0.05)
    await archivist.open()
    running = asyncio.create_task(archivist.run())
    store.hangs = "commit"
    known = silences(manager, 1)
    await asyncio.to_thread(store.waiting.wait, 5)
    await ended(running)
    await archivist.close()
    opening = asyncio.create_task(archivist.open())
    await asyncio.sleep(0.05)
    assert not opening.done()
    store.hangs = ""
    store.go.set()
    await opening
    running = asyncio.create_task(archivist.run())
    await archivist.kept()
    assert held(store, Kind.SILENCE).keys() == known
    await ended(running)
    await archivist.close()


# What is cancelled


@pytest.mark.real_time
async def test_a_commit_under_way_when_the_program_is_cancelled_is_made_before_what_came_after_it() -> None:
    store = Hanging()
    manager, archivist = archivist_of(store)
    await archivist.open()
    running = asyncio.create_task(archivist.run())
    store.hangs = "commit"
    known = silences(manager, 1)
    await asyncio.to_thread(store.waiting.wait, 5)
    await ended(running)
    later = silences(manager, 1)
    store.hangs = ""
    asyncio.get_running_loop().call_later(0.05, store.go.set)
    await archivist.close()
    assert [{change.key for change in changes} for changes in store.commits] == [known, later]


@pytest.mark.real_time
async def test_a_commit_under_way_that_fails_after_a_cancellation_is_said_and_nothing_is_put_on_top_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = Hanging()
    manager, archivist = archivist_of(store)
    await archivist.open()
    running = asyncio.create_task(archivist.run())
    store.hangs, store.error = "commit", FULL
    known = silences(manager, 1)
    await asyncio.to_thread(store.waiting.wait, 5)
    await ended(running)
    store.hangs = ""
    known |= silences(manager, 1)
    asyncio.get_running_loop().call_later(0.05, store.go.set)
    await archivist.close()
    assert held(store, Kind.SILENCE) == {}
    assert caplog.messages == [f"the store fails, and alerting goes on from memory: {FULL}"]
    await archivist.open()
    running = asyncio.create_task(archivist.run())
    while up(manager.metrics_registry) != 1.0:
        await asyncio.sleep(0.01)
    assert held(store, Kind.SILENCE).keys() == known
    await ended(running)
    await archivist.close()


async def test_a_cancellation_while_changes_are_copied_loses_none() -> None:
    """Those that were taken out of the journal, and not written yet, were lost."""
    store = Counting()
    registry = MetricsRegistry(clock=Ticking())
    manager = AlertManager(registry)
    archivist = Archivist(registry.clock, manager.core, store)
    await archivist.open()
    running = asyncio.create_task(archivist.run())
    await asyncio.sleep(1)
    known = silences(manager, 300)
    while len(manager.core.journal) == 300:
        await asyncio.sleep(0)
    assert 0 < len(manager.core.journal) < 300
    await ended(running)
    await archivist.close()
    assert held(store, Kind.SILENCE).keys() == known


@pytest.mark.real_time
async def test_a_close_that_is_cancelled_closes_the_store_all_the_same() -> None:
    store = Hanging()
    manager, archivist = archivist_of(store)
    await archivist.open()
    store.hangs = "commit"
    silences(manager, 1)
    closing_it = asyncio.create_task(archivist.close())
    await asyncio.to_thread(store.waiting.wait, 5)
    await ended(closing_it)
    left = worker()
    store.go.set()
    await asyncio.to_thread(left.join, 5)
    assert not store.is_open


async def test_who_waits_until_something_is_kept_may_be_cancelled(registry: MetricsRegistry) -> None:
    manager = AlertManager(registry)
    archivist = Archivist(registry.clock, manager.core, MemoryStore())
    await archivist.open()
    silences(manager, 1)
    waiting = [asyncio.create_task(archivist.kept()) for _ in range(3)]
    await asyncio.sleep(0)
    await ended(waiting[0])
    running = asyncio.create_task(archivist.run())
    await asyncio.wait(waiting)
    await ended(running)
    await archivist.close()


async def test_who_waits_when_the_store_is_closed_goes_on(registry: MetricsRegistry) -> None:
    manager = AlertManager(registry)
    archivist = Archivist(registry.clock, manager.core, MemoryStore())
    await archivist.kept()
    await archivist.open()
    silences(manager, 1)
    waiting = asyncio.create_task(archivist.kept())
    await asyncio.sleep(0)
    await archivist.close()
    await waiting
    silences(manager, 1)
    await archivist.kept()


async def test_without_a_store_there_is_nothing_to_do(registry: MetricsRegistry) -> None:
    manager = AlertManager(registry)
    archivist = Archivist(registry.clock, manager.core, None)
    await archivist.open()
    silences(manager, 1)
    await archivist.kept()
    await archivist.run()
    await archivist.close()
    assert up(registry) is None
    assert not threads()


# Stop and start


async def test_a_manager_that_starts_again_keeps_what_came_between_and_takes_nothing_on_twice(
    registry: MetricsRegistry, tmp_path: Path
) -> None:
    path = tmp_path / "store.db"
    channel = RecordingChannel("ops")
    manager = manager_of(registry, path, channel)
    queue(registry, 9)
    for number in range(3):
        async with manager:
            await asyncio.sleep(2)
            assert [alert.incident for alert in manager.get_active_alerts()] == [1]
            assert len(kept(path, "silences")) == number
        manager.silence(alertname="other")
    manager.remove_rule("busy")
    async with manager:
        await asyncio.sleep(1)
        assert states(path) == {"busy_app": "resolved"}
    assert channel.told() == [("firing", "busy_app"), ("resolved", "busy_app")]


async def test_a_store_is_not_read_again_by_the_program_that_wrote_it(registry: MetricsRegistry) -> None:
    store = MemoryStore()
    manager = manager_of(registry, store)
    async with manager:
        await manager.silence(alertname="other")
    store.open()
    (key,) = held(store, Kind.SILENCE)
    store.commit([Change(Kind.SILENCE, key, None), Change(Kind.ALERT, "of another program", "{}")])
    store.close()
    async with manager:
        await asyncio.sleep(1)
        assert held(store, Kind.SILENCE).keys() == {key}
        assert held(store, Kind.ALERT) == {}


def _python(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a program in development mode, in which asyncio also tells of slow steps: how slow the machine is says nothing."""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(script), *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=60, env=CLEAN,
    )  # fmt: skip
    told = [line for line in done.stderr.splitlines(keepends=True) if not line.startswith("Executing <")]
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout, "".join(told))


PROGRAM = """
    import asyncio, gc, os, sys
    from kailash_monitor.alerts import AlertManager, AlertRule
    from kailash_monitor.errors import LifecycleError
    from kailash_monitor.metrics import MetricsRegistry
    from kailash_monitor.storage import Change, Kind, SqliteStore
    from kailash_monitor.testing import RecordingChannel
    registry = MetricsRegistry()
    channel = RecordingChannel("ops")
    manager = AlertManager(registry, store=sys.argv[1])
    manager.add_notification_channel(channel)
    manager.add_rule(AlertRule("busy", "d", "warning", "queue", "> 5", evaluation_interval=0.05))
    registry.collector("app").set_gauge("queue", 9)
    async def work(told):
        await manager.start()
        while channel.told() != told:
            await asyncio.sleep(0.01)
"""


def test_a_loop_that_is_dropped_without_a_stop_lets_go_of_the_store_and_the_next_goes_on(tmp_path: Path) -> None:
    done = _python(
        PROGRAM
        + """
    loop = asyncio.new_event_loop()
    loop.run_until_complete(work([("firing", "busy_app")]))
    loop.close()
    assert not manager.running
    registry.collector("app").set_gauge("queue", 0)
    async def again():
        async with manager:
            await work([("firing", "busy_app"), ("resolved", "busy_app")])
            gc.collect()
            await manager.silence(alertname="other")
    asyncio.run(again())
    store = SqliteStore(sys.argv[1])
    store.open()
    print(len(list(store.load(Kind.ALERT))), len(list(store.load(Kind.SILENCE))))
    store.close()
    """,
        tmp_path / "store.db",
    )
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["1", "1"], "")


def test_a_manager_whose_loop_was_dropped_and_that_nobody_has_any_more_lets_another_have_the_store(tmp_path: Path) -> None:
    done = _python(
        PROGRAM
        + """
    loop = asyncio.new_event_loop()
    loop.run_until_complete(work([("firing", "busy_app")]))
    loop.close()
    from kailash_monitor.engine.run import _at_work
    _at_work.clear()  # as the next start does
    del manager, registry, loop, work
    gc.collect()
    second = AlertManager(MetricsRegistry(), store=sys.argv[1])
    async def other():
        for _ in range(1000):  # the store's thread has to close it first
            try:
                await second.start()
                break
            except LifecycleError:
                await asyncio.sleep(0.02)
        print([alert.id for alert in second.get_active_alerts()])
        await second.stop()
    import logging; logging.disable(logging.CRITICAL)
    asyncio.run(other())
    """,
        tmp_path / "store.db",
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "['busy_app']", "")


def test_a_program_that_ends_without_a_stop_makes_no_noise_and_has_kept_what_it_told(tmp_path: Path) -> None:
    for ending in (
        "asyncio.run(work(told))",
        "loop = asyncio.new_event_loop(); loop.run_until_complete(work(told)); loop.close()",
    ):
        path = tmp_path / str(len(ending))
        done = _python(PROGRAM + f"\n    told = [('firing', 'busy_app')]\n    {ending}\n", path)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        with closing(SqliteStore(path)) as store:
            store.open()
            assert [key for key, _ in store.load(Kind.ALERT)] == ["busy_app"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_is_refused_the_store_of_its_parent_which_goes_on(tmp_path: Path) -> None:
    """The child had no thread to make its calls, and waited for ever."""
    done = _python(
        PROGRAM
        + """
    async def parent():
        await work([("firing", "busy_app")])
        if (child := os.fork()) == 0:
            asyncio._set_running_loop(None)
            async def start():
                try:
                    await asyncio.wait_for(manager.start(), 10)
                except LifecycleError as error:
                    print(error, flush=True)
            loop = asyncio.new_event_loop()
            loop.run_until_complete(start())
            os._exit(0)
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        registry.collector("app").set_gauge("queue", 0)
        await work([("firing", "busy_app"), ("resolved", "busy_app")])
        await manager.stop()
        print(os.getpid(), status)
    import logging; logging.disable(logging.CRITICAL)
    asyncio.run(parent())
    """,
        tmp_path / "store.db",
    )
    said, ended_well = done.stdout.splitlines()
    pid, status = ended_well.split()
    assert said.startswith("the alert manager could not start: StoreLocked: ")
    assert f"another program, process {pid}, uses it; stop that" in said
    assert (status, done.returncode) == ("0", 0)


# What is kept, and when


async def test_attempts_that_begin_together_are_committed_together(registry: MetricsRegistry) -> None:
    store = Counting()
    manager = AlertManager(registry, store=store)
    channels = [RecordingChannel(f"channel {n}") for n in range(100)]
    for channel in channels:
        manager.add_notification_channel(channel)
    manager.add_rule(busy())
    async with manager:
        await asyncio.sleep(1)
        before = len(store.commits)
        queue(registry, 9)
        await asyncio.sleep(1)
        assert all(channel.told() == [("firing", "busy_app")] for channel in channels)
        assert len(store.commits) - before <= 10


async def test_an_attempt_is_made_after_its_beginning_was_committed(registry: MetricsRegistry, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    seen: list[tuple[str, bool, str]] = []

    class Curious(RecordingChannel):
        async def deliver(self, notice: Notice) -> Outcome:
            (lane,) = [json.loads(record) for record in (await asyncio.to_thread(kept, path, "lanes")).values()]
            ledger = json.loads((await asyncio.to_thread(kept, path))["busy_app"])["ledger"]["ops"]
            assert lane["message"]["notice"]["id"] == notice.id
            seen.append((lane["message"]["notice"]["kind"], lane["busy"], ledger["heard"]))
            return Retry("again", in_doubt=True) if len(seen) == 1 else await super().deliver(notice)

    channel = Curious("ops")
    async with manager_of(registry, path, channel):
        queue(registry, 9)
        await asyncio.sleep(10)
        queue(registry, 0)
        await asyncio.sleep(10)
    assert channel.told() == [("firing", "busy_app"), ("resolved", "busy_app")]
    assert seen == [("firing", True, "in_doubt"), ("firing", True, "in_doubt"), ("resolved", True, "told")]


async def test_what_happens_during_a_checkpoint_does_not_wait_until_all_series_are_written(
    registry: MetricsRegistry,
) -> None:
    loop, begun = asyncio.get_running_loop(), asyncio.Event()

    class Telling(Counting):
        def commit(self, changes: Sequence[Change]) -> None:
            super().commit(changes)
            if changes[0].kind is Kind.RING:
                loop.call_soon_threadsafe(begun.set)

    store = Telling()
    manager = AlertManager(registry)
    archivist = Archivist(registry.clock, manager.core, store)
    for n in range(1_000):
        registry.collector("app").set_gauge("queue", 9, {"n": str(n)})
    await archivist.open()
    running = asyncio.create_task(archivist.run())
    await begun.wait()
    silences(manager, 1)
    await archivist.kept()
    assert len(store.commits) <= 4
    await asyncio.sleep(1)
    assert store.kinds().count({Kind.RING}) == 8
    await ended(running)
    await archivist.close()


async def test_a_transaction_has_a_most_and_what_is_left_is_written_at_once(registry: MetricsRegistry) -> None:
    store = Counting()
    manager = AlertManager(registry)
    archivist = Archivist(registry.clock, manager.core, store)
    await archivist.open()
    running = asyncio.create_task(archivist.run())
    await asyncio.sleep(1)
    for n in range(BATCH + 1_000):
        manager.core.journal.forget(Kind.STATE, str(n))
    await archivist.kept()
    assert registry.clock.now() == 1.0
    first, second = map(len, store.commits)
    assert BATCH <= first < BATCH + PIECE
    assert first + second == BATCH + 1_000
    await ended(running)
    await archivist.close()


@pytest.mark.real_time
async def test_at_a_stop_what_happened_is_written_before_the_history_of_series(caplog: pytest.LogCaptureFixture) -> None:
    store = Hanging("rings")
    manager, archivist = archivist_of(store, closing=0.1)
    manager.metrics_registry.collector("app").set_gauge("queue", 9)
    await archivist.open()
    known = silences(manager, 3)
    await archivist.close()
    assert held(store, Kind.SILENCE).keys() == known
    assert "the store was not closed in time" in caplog.text
    store.go.set()


async def test_history_is_kept_each_minute(registry: MetricsRegistry, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    async with manager_of(registry, path):
        await asyncio.sleep(1)
        queue(registry, 1)
        await asyncio.sleep(50)
        assert kept(path, "rings") == {}
        await asyncio.sleep(10)
        (first,) = kept(path, "rings").values()
        await asyncio.sleep(120)
        assert list(kept(path, "rings").values()) == [first]
        queue(registry, 2)
        await asyncio.sleep(60)
        assert list(kept(path, "rings").values()) != [first]


async def test_a_window_goes_on_over_a_restart_with_what_was_counted_before(clock: VirtualClock, tmp_path: Path) -> None:
    def program() -> tuple[MetricsRegistry, AlertManager]:
        registry = MetricsRegistry(clock=clock)
        manager = AlertManager(registry, store=tmp_path / "store.db")
        manager.add_rule(AlertRule("much", "d", "warning", "jobs", "increase > 5", time_window="5m", evaluation_interval=1))
        return registry, manager

    registry, manager = program()
    async with manager:
        registry.collector("app").increment("jobs", 4)
        await asyncio.sleep(30)
        assert manager.get_active_alerts() == []
    await asyncio.sleep(60)
    registry, manager = program()
    async with manager:
        registry.collector("app").increment("jobs", 3)
        await asyncio.sleep(2)
        assert [alert.value for alert in manager.get_active_alerts()] == [7.0]
        await asyncio.sleep(230)  # the four are out of the window; what was between is not known
        assert len(manager.get_active_alerts()) == 1
        await asyncio.sleep(80)
        assert manager.get_active_alerts() == []


async def test_a_damaged_record_costs_no_other_and_is_told_in_one_line(
    registry: MetricsRegistry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "store.db"
    await filled(SqliteStore(path), 5)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "UPDATE alerts SET document = replace(document, '\"number\": 1', '\"number\": \"1\"') WHERE key LIKE '%003%'"
        )
    before = kept(path)
    caplog.clear()
    channel = RecordingChannel("ops")
    manager = AlertManager(registry, store=path)
    manager.add_notification_channel(channel)
    manager.add_rule(busy(group_by=("n",)))
    async with manager:
        assert [alert.labels["n"] for alert in manager.get_active_alerts()] == ["000", "001", "002", "004"]
        await asyncio.sleep(1)
        assert kept(path)['busy_app{n="003"}'] == before['busy_app{n="003"}']
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == [
        "the alert 'busy_app{n=\"003\"}' in the store cannot be read: TypeError: a value of another type than is written there"
    ]


async def test_a_gauge_says_that_the_store_is_up_where_there_is_one(registry: MetricsRegistry) -> None:
    async with manager_of(registry, None):
        assert up(registry) is None
    async with manager_of(registry, MemoryStore()):
        assert up(registry) == 1.0
