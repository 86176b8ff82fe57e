"""The sqlite store alone: its file, older and foreign and broken ones, a disk that fails, and kill -9."""

import base64
import errno
import os
import random
import resource
import sqlite3
import stat
import subprocess
import sys
import tempfile
import textwrap
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from kailash_monitor.errors import (
    MonitoringError,
    StoreDamaged,
    StoreError,
    StoreForeign,
    StoreFull,
    StoreGone,
    StoreLocked,
    StoreNotWritable,
    StoreTooNew,
)
from kailash_monitor.storage import Change, Kind, SqliteStore
from kailash_monitor.storage.schema import APPLICATION_ID, TABLES, VERSION

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
"""Without what a coverage run adds to every process."""

DOCUMENT = [Change(Kind.ALERT, "a", "1")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(path, busy_timeout=0.05)
    store.open()
    yield store
    store.close()


@contextmanager
def opened(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(path, busy_timeout=0.05)
    store.open()
    try:
        yield store
    finally:
        store.close()


def alerts(store: SqliteStore) -> dict[str, str | bytes]:
    return dict(store.load(Kind.ALERT))


def beside(path: Path, end: str) -> Path:
    return path.with_name(path.name + end)


def sql(path: Path, *statements: str) -> list[tuple[object, ...]]:
    """What the last statement says, at the file itself."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements[:-1]:
            connection.execute(statement)
        return connection.execute(statements[-1]).fetchall()


@contextmanager
def program(script: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A Python program, killed at the end if it still runs."""
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True, env=CLEAN) as running:
        try:
            yield running
        finally:
            running.kill()


def line(running: subprocess.Popen[str]) -> str:
    assert running.stdout is not None
    return running.stdout.readline().strip()


# What a file is


def test_importing_the_stores_does_not_import_sqlite3() -> None:
    script = "import sys, kailash_monitor.storage as s; s.MemoryStore(); print('sqlite3' in sys.modules); s.SqliteStore; print('sqlite3' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=CLEAN)
    assert ended.stdout.split() == ["False", "True"]


def test_a_store_has_no_other_names() -> None:
    import kailash_monitor.storage as face

    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        face.nothing  # noqa: B018


def test_a_new_file_is_for_its_owner_alone(path: Path, store: SqliteStore) -> None:
    store.commit(DOCUMENT)
    files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert files == dict.fromkeys(["store.db", "store.db-lock", "store.db-shm", "store.db-wal"], 0o600)


def test_the_mode_of_a_file_that_was_there_is_left_alone(path: Path) -> None:
    path.touch()
    path.chmod(0o640)
    with opened(path) as store:
        store.commit(DOCUMENT)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_file_says_what_it_is(path: Path, store: SqliteStore) -> None:
    assert sql(path, "PRAGMA application_id") == [(APPLICATION_ID,)]
    assert sql(path, "PRAGMA user_version") == [(VERSION,)] == [(2,)]
    assert sql(path, "PRAGMA journal_mode") == [("wal",)]
    assert {name for (name,) in sql(path, "SELECT name FROM sqlite_master WHERE type = 'table'")} == set(TABLES.values())
    assert set(TABLES) == set(Kind)


def test_a_repr_says_which_file_and_whether_it_is_open(path: Path) -> None:
    with opened(path) as store:
        assert repr(store) == f"SqliteStore({str(path)!r}, open)"
    assert repr(store) == f"SqliteStore({str(path)!r}, closed)"


def test_any_name_is_a_file_name(tmp_path: Path) -> None:
    for name in ("a b?mode=ro#x%20.db", "🔥.db", ":memory:", "-wal"):
        with opened(tmp_path / name) as store:
            store.commit(DOCUMENT)
        with opened(tmp_path / name) as store:
            assert alerts(store) == {"a": "1"}
        assert (tmp_path / name).stat().st_size > 0


def test_a_relative_path_stays_where_it_was_first_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    store = SqliteStore("store.db")
    store.open()
    store.commit(DOCUMENT)
    store.close()
    monkeypatch.chdir(tmp_path / "other")
    store.open()
    assert alerts(store) == {"a": "1"}
    store.close()


# What is left of the log


def test_closing_leaves_one_file_and_the_name_of_the_lock(path: Path) -> None:
    with opened(path) as store:
        store.commit(DOCUMENT)
    assert {file.name for file in path.parent.iterdir()} == {"store.db", "store.db-lock"}
    assert sql(path, "SELECT key, document FROM alerts") == [("a", "1")]


def test_closing_empties_the_log_while_somebody_looks_on(path: Path, store: SqliteStore) -> None:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as looking_on:
        store.commit(DOCUMENT)
        assert looking_on.execute("SELECT key, document FROM alerts").fetchall() == [("a", "1")]
        assert beside(path, "-wal").stat().st_size > 0
        store.close()
        assert beside(path, "-wal").stat().st_size == 0


def test_the_log_does_not_grow_with_the_number_of_commits(path: Path, store: SqliteStore) -> None:
    store.commit([Change(Kind.RING, str(number), bytes(10_000)) for number in range(2_000)])
    store.commit(DOCUMENT)
    store.commit(DOCUMENT)
    assert beside(path, "-wal").stat().st_size <= 8 * 1024 * 1024
    for number in range(300):
        store.commit([Change(Kind.RING, str(number % 10), os.urandom(100_000))])
    assert beside(path, "-wal").stat().st_size <= 9 * 1024 * 1024


def test_another_program_may_read_what_was_just_committed(path: Path, store: SqliteStore) -> None:
    store.commit(DOCUMENT)
    look = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('SELECT key, document FROM alerts').fetchall())"
    ended = subprocess.run([sys.executable, "-c", look, path], capture_output=True, text=True, check=True, env=CLEAN)
    assert ended.stdout.strip() == "[('a', '1')]"
    store.commit(DOCUMENT)


# Older files

WRITTEN_BY_SCHEMA_1 = (
    "eNrt3HdUW1UcwPH3EkgIENIa62tE9DV1FCnVGFfR2kIbLQKlpUEKojGEBwTIaPJiWxGVWkfde++tde+96sa9Z13UWrdWsXVUX16ilqP1D/Qfcr"
    "6fc0fezTn3/s575/1x783N3DnVQVWR2yKxkF+V3cIowWAQpsmyIAgGLecJfzFpOWuDazGdhaqaSFj4ZwZhUkC02tYKufkDgq3T1l+wvmCpdbCg"
    "yRqy9ucPWCsEAAAAAPgfNVvMkiSJfZLqb+lW4qpfTRW50+s85V6P7C2vqPbIepM8oUtZJHs987zyrFot11dXy7PrKmvK6xrlKk/jRLk1EkiElL"
    "D659fFxbkmaYokCsFwq7IwPr9bm075/Ak1ol/79F59Lr3KazZvGEgsGG6P60XOkED0puEEkvNvgei9+lx6ZWnJNkuFhWJfoR5It6KqSiyerkxD"
    "gkk3DiOcUpNJKi/cWDjpfn2u9AdzPMssFRWJfZNTDynYrYQDSvyPOnvoo0q3DiMquaHSO7O23ivX1TZUzug0ph6IO3Uf/GElrhdZQ+9Bsuk/j+"
    "UTzZLDIfY59LH82vNX46nSMGS0VNswhisxmKSpjo3d8FS3PleqNmqvRU7y3bAmJ/G2lYKWAAAAAADASOYQjXZ3IJrocerrUM4y2dkWTK4EOXtz"
    "9fn/OkFLAAAAAAAg05iMdksgmkjN/1cIWgIAAAAAACPSOON49wKlpSMS6ZL1/f8OxR9r/fv+/ypBSwAAAAAAYGQba7S74qWuHqc/oXZEYskVgK"
    "bI8mXO3tT5/9WClgAAAAAAwEg3RjTaS0L6EoCqKqGoGneWyW7O/wMAAAAAkMmS5/9DpS59/79gUNASAAAAAAAZZrFZzLIvyQ9EE4JoMGZlm8w5"
    "lty8fGuBbdToTeybjtlMGuvYvHCLoi23ksc5x2+9zbbbTSjevmRi6aQddnTt5N55l113231y2R57Ttlr6rTyiukzPHvvM7Ny36rqmlm1s+fUzf"
    "XW79cwr7Fp/+YDDvQd5G8JtCpt7R3Bzq7uUDgSnR+Lq4mDFyxcdEjPob2HHX5E3+Ijlxx19DHHLj3u+BNOPOnkU0497fQzzjzr7HPOPe/8Cy68"
    "6OJLLr3s8iuuvOrqa669btn1N9x408233Hrb7Xfcedfd99x73/0PPPjQw488uvyxx5948qmnn+l/9rnnX3jxpZdfefW11994862333n3vRXvf/"
    "DhRx8PrPxk1aerP/v8iy+/+vqbb79b8/0Pgz+uXffTz7/8uv439v8BAAAAAMhg6f//T53/XyNoCQAAAAAAZI480egY3R6LJKLxnvT5/0HBxu//"
    "AQAAAADIMBajw5JaAfgdKAbIow=="
)
"""A file that was closed in the ordinary way when schema 1 was the newest, deflated. One document in each table."""


def older(path: Path) -> Path:
    path.write_bytes(zlib.decompress(base64.b64decode(WRITTEN_BY_SCHEMA_1)))
    return path


def test_a_file_of_schema_1_is_brought_to_this_version_with_all_it_holds(path: Path) -> None:
    assert sql(older(path), "PRAGMA user_version") == [(1,)]
    with opened(path) as store:
        kept = {kind: list(store.load(kind)) for kind in Kind}
        store.commit([Change(Kind.HISTORY, "2026", "over")])
    assert kept == {
        Kind.ALERT: [("cpu", '{"state": "firing"}')],
        Kind.LANE: [("webhook cpu", '{"heard": "firing"}')],
        Kind.SILENCE: [("s-1", '{"author": "Zoë"}')],
        Kind.LETTER: [("m-1", '{"attempts": 3}')],
        Kind.RING: [("cpu", bytes(range(256)))],
        Kind.STATE: [("groups", "{}")],
        Kind.HISTORY: [],
    }
    assert sql(path, "PRAGMA user_version") == [(2,)]
    assert sql(path, "SELECT key, document FROM history") == [("2026", "over")]


def test_a_migration_that_fails_leaves_the_version_before_it(path: Path) -> None:
    sql(older(path), "CREATE TABLE history (key)")
    before = sql(path, "SELECT * FROM alerts")
    with pytest.raises(StoreError, match="table history already exists"):
        SqliteStore(path).open()
    assert sql(path, "PRAGMA user_version") == [(1,)]
    assert sql(path, "SELECT * FROM alerts") == before


def test_an_empty_file_is_a_new_one(path: Path) -> None:
    path.touch()
    with opened(path) as store:
        store.commit(DOCUMENT)
        assert alerts(store) == {"a": "1"}


def test_a_program_killed_between_the_first_two_steps_does_not_leave_a_foreign_file(path: Path) -> None:
    sql(path, "PRAGMA journal_mode = WAL")
    assert path.stat().st_size > 0
    with opened(path) as store:
        store.commit(DOCUMENT)


# Files that are refused


def _filled(path: Path) -> None:
    with opened(path) as store:
        store.commit([Change(Kind.HISTORY, f"{number:05}", f"document {number} " * 10) for number in range(1_000)])


def _newer(path: Path) -> None:
    _filled(path)
    sql(path, f"PRAGMA user_version = {VERSION + 3}")


def _left_by_a_killed_program(path: Path, change: str) -> None:
    """As a program leaves it that made `change` and was killed: the change stands in the log only."""
    _filled(path)
    other = path.with_name("copy")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(change)
        other.write_bytes(path.read_bytes())
        log = beside(path, "-wal").read_bytes()
    assert log
    other.replace(path)
    beside(path, "-wal").write_bytes(log)


def _newer_and_killed(path: Path) -> None:
    _left_by_a_killed_program(path, f"PRAGMA user_version = {VERSION + 3}")


def _foreign(path: Path) -> None:
    sql(path, "PRAGMA application_id = 1196444487", "CREATE TABLE features (x)")


def _foreign_without_a_name(path: Path) -> None:
    sql(path, "CREATE TABLE cookies (x)")


def _foreign_with_a_log(path: Path) -> None:
    sql(path, "PRAGMA journal_mode = WAL", "CREATE TABLE cookies (x)")


def _foreign_and_killed(path: Path) -> None:
    _left_by_a_killed_program(path, "PRAGMA application_id = 5")


def _text(path: Path) -> None:
    path.write_text("webhook: https://example.org/\n" * 100)


def _short_text(path: Path) -> None:
    path.write_text("x")


def _medium_text(path: Path) -> None:
    path.write_text("x" * 511)


def _long_text(path: Path) -> None:
    path.write_text("x" * 512)


def _cut(path: Path) -> None:
    _filled(path)
    os.truncate(path, path.stat().st_size // 2)


def _overwritten(path: Path) -> None:
    _filled(path)
    with path.open("r+b") as file:
        file.seek(4096 * 20)
        file.write(b"\xa5" * 4096)


def _overwritten_and_killed(path: Path) -> None:
    _left_by_a_killed_program(path, "DELETE FROM history WHERE key = '00007'")
    with path.open("r+b") as file:
        file.seek(4096 * 20)
        file.write(b"\xa5" * 4096)


REFUSED: list[tuple[Callable[[Path], None], type[StoreError], str]] = [
    (_newer, StoreTooNew, "a newer version of kailash-monitor wrote it (schema 5, this one knows 2); install that version, or name another file"),
    (_newer_and_killed, StoreTooNew, "a newer version of kailash-monitor wrote it (schema 5, this one knows 2); install that version, or name another file"),
    (_foreign, StoreForeign, "it is a database of another program; name a file of its own"),
    (_foreign_without_a_name, StoreForeign, "it is a database of another program; name a file of its own"),
    (_foreign_with_a_log, StoreForeign, "it is a database of another program; name a file of its own"),
    (_foreign_and_killed, StoreForeign, "it is a database of another program; name a file of its own"),
    (_text, StoreDamaged, "it is damaged, or no database (file is not a database); nothing was changed; move it away to begin anew, or restore it from a copy"),
    (_short_text, StoreDamaged, "it is damaged, or no database (file is not a database)"),
    (_medium_text, StoreDamaged, "it is damaged, or no database (file is not a database)"),
    (_long_text, StoreDamaged, "it is damaged, or no database (file is not a database)"),
    (_cut, StoreDamaged, "it is damaged, or no database ("),
    (_overwritten, StoreDamaged, "it is damaged, or no database ("),
    (_overwritten_and_killed, StoreDamaged, "it is damaged, or no database ("),
]  # fmt: skip


@pytest.mark.parametrize(("make", "error", "text"), REFUSED, ids=lambda value: getattr(value, "__name__", ""))
def test_a_file_that_is_not_for_us_is_refused_and_left_as_it_is(
    path: Path, make: Callable[[Path], None], error: type[StoreError], text: str
) -> None:
    make(path)
    beside(path, "-lock").unlink(missing_ok=True)

    def everything() -> dict[str, bytes]:
        scratch = {"store.db-lock", "store.db-shm"}  # neither holds anything of anybody's
        return {file.name: file.read_bytes() for file in path.parent.iterdir() if file.name not in scratch}

    before = everything()
    modified = path.stat().st_mtime_ns
    for _ in range(2):
        with pytest.raises(error) as refused:
            SqliteStore(path).open()
        assert str(refused.value).startswith(f"{path}: {text}")
        assert everything() == before
        assert path.stat().st_mtime_ns == modified
    assert "store.db-wal" in before or not beside(path, "-shm").exists()


def test_after_a_refusal_the_same_store_opens_once_the_cause_is_gone(path: Path) -> None:
    _text(path)
    store = SqliteStore(path)
    with pytest.raises(StoreDamaged):
        store.open()
    with pytest.raises(StoreGone):
        store.commit(DOCUMENT)
    path.unlink()
    store.open()
    store.commit(DOCUMENT)
    assert alerts(store) == {"a": "1"}
    store.close()


def test_what_a_killed_program_left_in_the_log_is_there(path: Path) -> None:
    _left_by_a_killed_program(path, "INSERT INTO alerts VALUES ('a', '1')")
    with opened(path) as store:
        assert alerts(store) == {"a": "1"}
        assert len(list(store.load(Kind.HISTORY))) == 1_000


def test_a_transaction_that_was_broken_off_half_way_is_rolled_back(path: Path) -> None:
    _filled(path)
    copy = path.with_name("copy.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in (
            "PRAGMA journal_mode = DELETE",
            "PRAGMA cache_size = 1",
            "BEGIN",
            "UPDATE history SET document = 'no'",
        ):
            connection.execute(statement)
        copy.write_bytes(path.read_bytes())
        beside(copy, "-journal").write_bytes(beside(path, "-journal").read_bytes())
    assert copy.read_bytes() != path.read_bytes()
    with opened(copy) as store:
        assert dict(store.load(Kind.HISTORY))["00007"] == "document 7 " * 10


# Permissions


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of a user who may not write everywhere, in whose name the test goes on."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        if os.geteuid() != 0:
            yield folder
            return
        os.chown(folder, 65_534, 65_534)
        os.seteuid(65_534)
        try:
            yield folder
        finally:
            os.seteuid(0)


def _no_folder(folder: Path) -> Path:
    return folder / "not there" / "store.db"


def _folder_without_write(folder: Path) -> Path:
    folder.chmod(0o500)
    return folder / "store.db"


def _folder_without_write_any_more(folder: Path) -> Path:
    with opened(folder / "store.db"):
        pass
    folder.chmod(0o500)
    return folder / "store.db"


def _file_without_write(folder: Path) -> Path:
    with opened(folder / "store.db"):
        pass
    (folder / "store.db").chmod(0o400)
    return folder / "store.db"


def _file_without_read(folder: Path) -> Path:
    with opened(folder / "store.db"):
        pass
    (folder / "store.db").chmod(0)
    return folder / "store.db"


def _a_folder(folder: Path) -> Path:
    (folder / "store.db").mkdir()
    return folder / "store.db"


def _a_pipe(folder: Path) -> Path:
    os.mkfifo(folder / "store.db")
    return folder / "store.db"


def _below_a_file(folder: Path) -> Path:
    (folder / "file").touch()
    return folder / "file" / "store.db"


@pytest.mark.parametrize(
    ("make", "seen"),
    [
        (_no_folder, "the folder {folder}/not there is not there"),
        (_folder_without_write, "permission denied"),
        (_folder_without_write_any_more, "attempt to write a readonly database"),
        (_file_without_write, "permission denied"),
        (_file_without_read, "permission denied"),
        (_a_folder, "it is no file"),
        (_a_pipe, "it is no file"),
        (_below_a_file, "not a directory"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_where_it_cannot_be_written_that_is_said(folder: Path, make: Callable[[Path], Path], seen: str) -> None:
    path = make(folder)
    before = path.stat() if path.exists() else None
    store = SqliteStore(path)
    with pytest.raises(StoreNotWritable) as refused:
        store.open()
    assert str(refused.value).startswith(f"{path}: {seen.format(folder=folder)}; ")
    folder.chmod(0o700)
    if before is not None:
        after = path.stat()
        assert (after.st_mtime_ns, after.st_size, after.st_mode) == (before.st_mtime_ns, before.st_size, before.st_mode)


def test_a_disk_that_is_full_at_the_start_is_said_then(path: Path, store: SqliteStore) -> None:
    store.commit(DOCUMENT)
    store.close()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))  # no page of the log can be written
    try:
        with pytest.raises(StoreError, match="disk I/O error|there is no room left"):
            store.open()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    _works_again(store)


def test_it_opens_once_permission_is_given(folder: Path) -> None:
    store = SqliteStore(_file_without_write(folder))
    with pytest.raises(StoreNotWritable):
        store.open()
    (folder / "store.db").chmod(0o600)
    store.open()
    store.commit(DOCUMENT)
    store.close()


# One program at a time

KEEP_OPEN = """
    import os, sys
    from kailash_monitor.storage import Change, Kind, SqliteStore
    store = SqliteStore(sys.argv[1])
    store.open()
    store.commit([Change(Kind.ALERT, "a", "1")])
"""


def test_a_second_store_of_the_program_is_refused(path: Path, store: SqliteStore, tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(path)
    for name in (path, tmp_path / "link.db", tmp_path / ".." / tmp_path.name / "store.db"):
        second = SqliteStore(name)
        with pytest.raises(StoreLocked) as refused:
            second.open()
        assert str(refused.value) == (
            f"{path}: another store of this program uses it; stop that, or give each a file of its own"
        )
    store.commit(DOCUMENT)
    with program(KEEP_OPEN + "\n", path) as other:  # the refusals have not cost the first its lock
        assert other.wait() == 1
    store.close()
    second.open()
    assert alerts(second) == {"a": "1"}
    second.close()


def test_a_second_program_is_refused_until_the_first_ends(path: Path) -> None:
    with program(KEEP_OPEN + "    print(1, flush=True); input()", path) as other:
        assert line(other) == "1"
        store = SqliteStore(path)
        with pytest.raises(StoreLocked) as refused:
            store.open()
        assert str(refused.value) == (
            f"{path}: another program, process {other.pid}, uses it; stop that, or give each a file of its own"
        )
        other.kill()
        other.wait()
        store.open()
        assert alerts(store) == {"a": "1"}
        store.close()


def test_a_second_program_is_refused_even_where_the_first_has_no_number(path: Path) -> None:
    with program(KEEP_OPEN + "    print(1, flush=True); input()", path) as other:
        assert line(other) == "1"
        os.truncate(beside(path, "-lock"), 0)
        with pytest.raises(StoreLocked, match="another program uses it; stop that"):
            SqliteStore(path).open()


def test_a_store_that_was_dropped_does_not_keep_the_file(path: Path) -> None:
    store = SqliteStore(path)
    store.open()
    store.commit(DOCUMENT)
    del store
    with opened(path) as store:
        assert alerts(store) == {"a": "1"}


def test_an_orphan_of_a_killed_program_does_not_keep_the_file(path: Path) -> None:
    forking = (
        KEEP_OPEN
        + """
    child = os.fork()
    if child == 0:
        sys.stdin.read()
        os._exit(0)
    print(child, flush=True)
    os.kill(os.getpid(), 9)
    """
    )
    with program(forking, path) as parent:
        child = int(line(parent))
        parent.wait()
        os.kill(child, 0)  # it is there
        with opened(path) as store:
            assert alerts(store) == {"a": "1"}


def test_a_forked_child_does_not_have_what_its_parent_has_open(path: Path) -> None:
    forking = (
        KEEP_OPEN
        + """
    from kailash_monitor.errors import StoreError
    if os.fork() == 0:
        for call in (lambda: store.commit([Change(Kind.ALERT, "a", "2")]), store.open, store.close):
            try:
                call()
            except StoreError as error:
                print(error.seen, flush=True)
        os._exit(0)
    os.wait()
    store.commit([Change(Kind.ALERT, "b", "1")])
    print(dict(store.load(Kind.ALERT)), flush=True)
    store.close()
    """
    )
    with program(forking, path) as parent:
        assert line(parent) == "it was opened before this process was forked"
        assert line(parent) == f"another program, process {parent.pid}, uses it"
        assert line(parent) == "{'a': '1', 'b': '1'}"
        assert parent.wait() == 0


def test_the_one_thread_may_be_another_one_later(path: Path, store: SqliteStore) -> None:
    for number in range(2):
        with ThreadPoolExecutor(1) as worker:
            worker.submit(store.commit, [Change(Kind.ALERT, str(number), "1")]).result()
    with ThreadPoolExecutor(1) as worker:
        worker.submit(store.close).result()
    with opened(path) as store:
        assert alerts(store) == {"0": "1", "1": "1"}


def test_somebody_who_writes_at_the_shell_is_waited_for_and_then_named(path: Path, store: SqliteStore) -> None:
    store.commit(DOCUMENT)
    with closing(sqlite3.connect(path, isolation_level=None)) as writing:
        writing.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreLocked, match="another program is writing to it; have that finish"):
            store.commit([Change(Kind.ALERT, "a", "2")])
        assert alerts(store) == {"a": "1"}
        writing.execute("ROLLBACK")
        store.commit([Change(Kind.ALERT, "a", "3")])
    assert alerts(store) == {"a": "3"}


# A disk that fails


def _works_again(store: SqliteStore) -> None:
    store.close()
    store.open()
    assert alerts(store) == {"a": "1"}
    store.commit([Change(Kind.ALERT, "b", "2")])
    assert alerts(store) == {"a": "1", "b": "2"}


LARGE = [Change(Kind.ALERT, "a", "2"), *(Change(Kind.ALERT, str(number), "x" * 10_000) for number in range(1_000))]


def test_a_full_disk_is_said_and_nothing_is_kept_half(store: SqliteStore) -> None:
    store.commit(DOCUMENT)
    assert store._connection is not None
    store._connection.execute("PRAGMA max_page_count = 30")
    for _ in range(2):
        with pytest.raises(StoreFull, match="there is no room left; free some on that disk"):
            store.commit(LARGE)
        assert alerts(store) == {"a": "1"}
    store.commit([Change(Kind.ALERT, "a", "0")])  # what finds room is kept
    store.commit(DOCUMENT)
    _works_again(store)


def test_an_error_of_the_disk_is_said_and_nothing_is_kept_half(path: Path, store: SqliteStore) -> None:
    store.commit(DOCUMENT)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))  # a longer file cannot be written
    try:
        for _ in range(2):
            with pytest.raises(StoreError, match=r"disk I/O error \(SQLITE_IOERR_WRITE\)"):
                store.commit(LARGE)
            assert alerts(store) == {"a": "1"}
        store.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    _works_again(store)
    assert sql(path, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("end", ["", "-wal", "-shm", "-lock"])
@pytest.mark.parametrize("replaced", [False, True], ids=["removed", "replaced"])
def test_a_file_that_was_removed_or_replaced_is_noticed_before_the_next_commit(
    path: Path, store: SqliteStore, end: str, replaced: bool
) -> None:
    store.commit(DOCUMENT)
    file = beside(path, end)
    copy = file.read_bytes()
    file.unlink()
    if replaced:
        file.with_name("copy").write_bytes(copy)
        file.with_name("copy").rename(file)
    with pytest.raises(StoreGone, match="it was removed or replaced while in use; open the store again") as gone:
        store.commit([Change(Kind.ALERT, "a", "2")])
    assert gone.value.where == str(file)
    with pytest.raises(StoreGone):
        store.trim(Kind.ALERT, 0)
    store.close()
    store.open()
    assert alerts(store) == ({"a": "1"} if end else {})  # the new file has what it has: the log was of the old one
    store.commit([Change(Kind.ALERT, "a", "3")])
    assert alerts(store) == {"a": "3"}


def test_closing_does_not_touch_the_file_that_took_its_place(path: Path, store: SqliteStore, tmp_path: Path) -> None:
    store.commit(DOCUMENT)
    aside = tmp_path / "aside"
    aside.mkdir()
    for file in list(tmp_path.glob("store.db*")):
        file.rename(aside / file.name)
    with program(KEEP_OPEN + "    print(1, flush=True); input(); print(dict(store.load(Kind.ALERT)))", path) as other:
        assert line(other) == "1"
        store.close()
        assert beside(path, "-wal").stat().st_size > 0
        assert other.communicate("\n")[0].strip() == "{'a': '1'}"
    assert sql(path, "PRAGMA integrity_check") == [("ok",)]


def test_closing_never_raises(path: Path, store: SqliteStore) -> None:
    store.commit(DOCUMENT)
    path.write_bytes(b"")
    beside(path, "-wal").write_bytes(b"no log")
    store.close()
    store.close()


def _sqlite_error(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("it went wrong")
    error.sqlite_errorcode, error.sqlite_errorname = code, "SQLITE_IT"
    return error


@pytest.mark.parametrize(
    ("error", "leaf", "seen"),
    [
        (_sqlite_error(sqlite3.SQLITE_IOERR_SHMSIZE), StoreFull, "there is no room left"),
        (_sqlite_error(sqlite3.SQLITE_IOERR_FSYNC), StoreError, "it went wrong (SQLITE_IT)"),
        (_sqlite_error(sqlite3.SQLITE_READONLY_DBMOVED), StoreNotWritable, "it went wrong"),
        (_sqlite_error(sqlite3.SQLITE_BUSY_SNAPSHOT), StoreLocked, "another program is writing to it"),
        (_sqlite_error(sqlite3.SQLITE_CORRUPT_VTAB), StoreDamaged, "it is damaged, or no database (it went wrong)"),
        (sqlite3.ProgrammingError("closed"), StoreError, "closed (ProgrammingError)"),
        (OSError(errno.ENOSPC, "No space left on device"), StoreFull, "there is no room left"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), StoreFull, "there is no room left"),
        (OSError(errno.EMFILE, "Too many open files"), StoreNotWritable, "too many open files"),
    ],
)
def test_what_sqlite_and_the_system_say_is_put_by_who_must_act(error: Exception, leaf: type[StoreError], seen: str) -> None:
    with pytest.raises(StoreError) as worded, SqliteStore("/x.db")._in_words():
        raise error
    assert type(worded.value) is leaf
    assert (worded.value.where, worded.value.seen) == ("/x.db", seen)
    assert worded.value.__cause__ is error


def test_every_error_is_of_the_one_tree() -> None:
    leaves = StoreError.__subclasses__()
    assert {StoreLocked, StoreDamaged, StoreTooNew, StoreForeign, StoreNotWritable, StoreFull, StoreGone} == set(leaves)
    assert issubclass(StoreError, MonitoringError)


# kill -9

COUNT = """
    import sys
    from kailash_monitor.storage import Change, Kind, SqliteStore
    store = SqliteStore(sys.argv[1])
    print("begin", flush=True)
    store.open()
    number = int(dict(store.load(Kind.STATE)).get("last", 0))
    while True:
        number += 1
        store.commit([
            Change(Kind.HISTORY, f"{number:08}", "x" * (number % 50) * 100),
            Change(Kind.ALERT, str(number % 7), str(number)),
            Change(Kind.ALERT, str((number + 1) % 7), None),
            Change(Kind.RING, "ring", str(number).encode() * 1_000),
            Change(Kind.STATE, "last", str(number)),
        ])
        print(number, flush=True)
"""


def _killed_after(path: Path, lines: int, seconds: float) -> int:
    """The last number that the counting program said before it was killed; 0 for none."""
    said = "begin"
    with program(COUNT, path) as counting:
        assert counting.stdout is not None
        assert line(counting) == "begin"
        for _ in range(lines):
            said = line(counting)
        time.sleep(seconds)
        counting.kill()
        rest = [text for text in counting.stdout.read().splitlines(keepends=True) if text.endswith("\n")]
    return int((rest or [said])[-1].replace("begin", "0"))


def _check_batches(path: Path, said: int) -> int:
    """The last batch that is there, all of it and all before it."""
    with opened(path) as store:
        last = int(dict(store.load(Kind.STATE)).get("last", 0))
        assert said <= last <= said + 1 or said == 0
        assert [key for key, _ in store.load(Kind.HISTORY)] == [f"{number:08}" for number in range(1, last + 1)]
        recent = {str(number % 7): str(number) for number in range(max(1, last - 5), last + 1)}
        assert alerts(store) == recent
        assert dict(store.load(Kind.RING)) == ({"ring": str(last).encode() * 1_000} if last else {})
    assert sql(path, "PRAGMA integrity_check") == [("ok",)]
    return last


def test_a_killed_program_has_kept_all_that_it_was_told_is_kept(path: Path) -> None:
    reached = 0
    for _ in range(12):
        said = _killed_after(path, random.randrange(1, 40), random.random() * 0.01)
        assert said > reached
        reached = _check_batches(path, said)


def test_a_program_killed_while_it_makes_its_file_leaves_one_that_opens(tmp_path: Path) -> None:
    for run in range(8):
        path = tmp_path / f"{run}.db"
        _check_batches(path, _killed_after(path, 0, random.random() * 0.03))
