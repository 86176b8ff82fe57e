"""A store in one sqlite file, with its `-wal` and `-shm` while it is open, and its `-lock`.

Why it is as it is:

- *WAL with `synchronous=FULL`*: a commit is one append and one sync, and outlives the loss of power; readers are not
  kept waiting.
- *A lock file of its own, not `locking_mode=EXCLUSIVE`*: that would keep out those who want to look as well. So
  `sqlite3 -readonly alerts.db` works while the program runs, and a second program is told who has the file. What such a
  reader must not do is stay within one transaction for hours: the write-ahead log cannot be begun anew until it ends.
- *The lock is not on the file itself*: sqlite's own locks live there, and are lost when the process closes any other
  handle of that file. For the same reason the file is looked at through sqlite only.
- *A file that is refused is left as it is*: what a killed program left beside it (`-wal`, `-journal`) would be merged
  when a writer closes it, so it is looked at read-only first.
"""

import contextlib
import errno
import os
import sqlite3
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from kailash_monitor.errors import (
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreGone,
    StoreLocked,
    StoreNotWritable,
)
from kailash_monitor.storage.lock import Lock, Taken
from kailash_monitor.storage.schema import MIGRATIONS, TABLES, VERSION, refusal
from kailash_monitor.storage.store import Change, Document, Kind
from kailash_monitor.threads import guarded, inherited

__all__ = ["SqliteStore"]

BUSY_TIMEOUT: Final = 1.0
"""Seconds to wait while somebody at the sqlite3 shell writes: nobody else is there, and stopping must be quick."""

LOG_PAGES: Final = 1_000
"""Pages of 4 kB in the write-ahead log before they are copied to the file: sqlite's own default, said here to be sure."""

LOG_BYTES: Final = 8 * 1024 * 1024
"""What is left of the log on the disk once a great commit has been copied: twice the ordinary."""

FETCHED: Final = 64
"""Documents that are read in one go."""

_EFFECTIVE_IDS: Final = os.access in os.supports_effective_ids
"""Whether the system can say what the user may do whom the program acts for."""

_PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA fullfsync = ON",  # macOS: without it a sync reaches the drive's cache only
    f"PRAGMA wal_autocheckpoint = {LOG_PAGES}",
    f"PRAGMA journal_size_limit = {LOG_BYTES}",
)


class SqliteStore:
    """Documents in the sqlite file at `path`, which is made where it is not there, for its owner alone to read.

    A relative path is taken from the folder where it is first opened. `busy_timeout` is in seconds.

    Mutable: the connection, the lock, and the files they go with; only the one thread that calls it touches them, and the
    only one of a forked child. A fork waits for a call that is under way: sqlite would be left locked in the child.
    """

    def __init__(self, path: str | os.PathLike[str], *, busy_timeout: float = BUSY_TIMEOUT) -> None:
        self._path = os.fspath(path)
        self._busy_timeout = busy_timeout
        self._connection: sqlite3.Connection | None = None
        self._lock: Lock | None = None
        self._files: dict[str, tuple[int, int]] = {}
        self._calling = guarded(threading.RLock())
        inherited(self)

    def _after_fork(self) -> None:
        """Leave the connection to the parent."""
        if self._connection is not None:
            _ABANDONED.append(self._connection)

    def open(self) -> None:
        """Be ready, or say why not and leave the file as it was."""
        if self._connection is not None and not self._inherited():
            return
        self.close()
        self._path = os.path.realpath(self._path)
        try:
            with self._calling, self._in_words():
                self._lock = Lock(f"{self._path}-lock")
                self._connection = self._opened()
                self._files = dict(self._present())
        except BaseException:
            self.close()
            raise

    def load(self, kind: Kind) -> Iterator[tuple[str, Document]]:
        """Key and document of all of a kind, in order of key."""
        with self._in_words(), closing(self._ready().cursor()) as cursor:
            with self._calling:
                cursor.execute(f"SELECT key, document FROM {TABLES[kind]} ORDER BY key")  # noqa: S608 - a constant
            while rows := self._fetch(cursor):
                yield from rows

    def newest(self, kind: Kind, limit: int) -> list[tuple[str, Document]]:
        """The last `limit` by key, the last one first."""
        query = f"SELECT key, document FROM {TABLES[kind]} ORDER BY key DESC LIMIT ?"  # noqa: S608 - a constant
        with self._calling, self._in_words():
            return self._ready().execute(query, (limit,)).fetchall()

    def commit(self, changes: Sequence[Change]) -> None:
        """Keep all of the changes or, with the error, none."""
        if not changes:
            return
        with self._calling, self._in_words(), _transaction(self._ready()) as connection:
            for change in changes:
                if change.document is None:
                    connection.execute(_DELETE[change.kind], (change.key,))
                else:
                    connection.execute(_SET[change.kind], (change.key, change.document))

    def trim(self, kind: Kind, keep: int) -> int:
        """Forget all of a kind but the last `keep` by key; how many went."""
        with self._calling, self._in_words(), _transaction(self._ready()) as connection:
            return connection.execute(_TRIM[kind], (keep,)).rowcount

    def close(self) -> None:
        """Copy the log into the file and let go of it. Never raises."""
        connection, self._connection = self._connection, None
        if connection is not None and not self._inherited():
            with self._calling, contextlib.suppress(sqlite3.Error):
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # somebody who reads would keep the log there
            with self._calling, contextlib.suppress(sqlite3.Error):
                connection.close()
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()
        self._files = {}

    def _opened(self) -> sqlite3.Connection:
        _make(self._path)
        if self._has_remains():
            self._look()
        connection = self._connect("rw")
        try:
            self._check(connection)
            for pragma in _PRAGMAS:
                connection.execute(pragma)
            _migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect(self, mode: str) -> sqlite3.Connection:
        return sqlite3.connect(
            f"{Path(self._path).as_uri()}?mode={mode}",
            uri=True,
            timeout=self._busy_timeout,
            isolation_level=None,  # transactions begin and end where this file says
            check_same_thread=False,  # the one thread may be another after a restart
        )

    def _has_remains(self) -> bool:
        """Tell whether a program that was killed left work behind that sqlite would finish."""
        if os.path.getsize(self._path) == 0:
            return False
        return any(os.path.isfile(beside) and os.path.getsize(beside) for beside in self._beside("-wal", "-journal"))

    def _look(self) -> None:
        """Check the file through a connection that cannot finish that work."""
        try:
            with closing(self._connect("ro")) as connection:
                self._check(connection)
        except sqlite3.OperationalError as error:
            if _primary(error) != sqlite3.SQLITE_READONLY:
                raise
            # A transaction was broken off half-way: nothing can be read before it is rolled back.

    def _check(self, connection: sqlite3.Connection) -> None:
        """Read only. The error where the file is not for us, or broken."""
        pages = _number(connection, "PRAGMA page_count")  # asked first, since sqlite rolls back now what was broken off
        if not pages and os.path.getsize(self._path):
            raise _damaged(self._path, "file is not a database")  # so short that sqlite would write over it
        refused = refusal(
            self._path,
            application_id=_number(connection, "PRAGMA application_id"),
            version=_number(connection, "PRAGMA user_version"),
            blank=_number(connection, "SELECT count(*) FROM sqlite_master") == 0,
        )
        if refused is not None:
            raise refused
        (finding,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if finding != "ok":
            raise _damaged(self._path, str(finding).strip())

    def _beside(self, *ends: str) -> list[str]:
        return [self._path + end for end in ends]

    def _present(self) -> Iterator[tuple[str, tuple[int, int]]]:
        for path in self._beside("", "-wal", "-shm", "-lock"):
            identity = _identity(path)
            if identity is not None:
                yield path, identity

    def _fetch(self, cursor: sqlite3.Cursor) -> list[tuple[str, Document]]:
        with self._calling:
            return cursor.fetchmany(FETCHED)

    def _inherited(self) -> bool:
        return self._lock is not None and self._lock.pid != os.getpid()

    def _ready(self) -> sqlite3.Connection:
        """Give the connection, if what it wrote would be found again."""
        if self._connection is None:
            raise StoreGone(self._path, seen="it is not open", remedy="open it first")
        if self._inherited():
            raise StoreGone(self._path, seen="it was opened before this process was forked", remedy="open it again")
        for path, identity in self._files.items():  # a few microseconds of the hundreds that a commit takes
            if _identity(path) != identity:
                raise StoreGone(path, seen="it was removed or replaced while in use", remedy="open the store again")
        return self._connection

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        """Say it as a StoreError when sqlite or the system refuses."""
        try:
            yield
        except Taken as taken:
            raise _taken(self._path, taken) from None
        except sqlite3.Error as error:
            raise _of_sqlite(self._path, error) from error
        except OSError as error:
            raise _of_system(self._path, error) from error

    def __repr__(self) -> str:
        return f"SqliteStore({self._path!r}, {'closed' if self._connection is None else 'open'})"


_ABANDONED: Final[list[sqlite3.Connection]] = []
"""What a forked child got from its parent: closing it there could undo what the parent is about to commit."""

_SET: Final = {
    kind: f"INSERT INTO {table} (key, document) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET document = excluded.document"  # noqa: S608 - constants
    for kind, table in TABLES.items()
}
_DELETE: Final = {kind: f"DELETE FROM {table} WHERE key = ?" for kind, table in TABLES.items()}  # noqa: S608 - constants
_TRIM: Final = {
    kind: f"DELETE FROM {table} WHERE key <= (SELECT key FROM {table} ORDER BY key DESC LIMIT 1 OFFSET ?)"  # noqa: S608 - constants
    for kind, table in TABLES.items()
}


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # sqlite has rolled back by itself where the disk failed
            connection.execute("ROLLBACK")
        raise


def _migrate(connection: sqlite3.Connection) -> None:
    """Bring the file to this version, each step in a transaction. Without a step, find out that it can be written."""
    with _transaction(connection):  # on a file that is read-only, sqlite begins even this one
        version = _number(connection, "PRAGMA user_version")
        connection.execute(f"PRAGMA user_version = {version}")
    for step in range(version, VERSION):
        with _transaction(connection):
            for statement in MIGRATIONS[step]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {step + 1}")


def _number(connection: sqlite3.Connection, query: str) -> int:
    (number,) = connection.execute(query).fetchone()
    return int(number)


def _make(path: str) -> None:
    """Make an empty file for its owner alone where there is none: sqlite's own would be open to all."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise StoreNotWritable(path, seen="it is no file", remedy="name a file") from None
    if not os.access(path, os.R_OK | os.W_OK, effective_ids=_EFFECTIVE_IDS):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _taken(path: str, taken: Taken) -> StoreError:
    who = "another program"
    if taken.pid == os.getpid():
        who = "another store of this program"
    elif taken.pid is not None:
        who = f"another program, process {taken.pid},"
    return StoreLocked(path, seen=f"{who} uses it", remedy="stop that, or give each a file of its own")


def _damaged(path: str, finding: str) -> StoreError:
    return StoreDamaged(
        path,
        seen=f"it is damaged, or no database ({finding})",
        remedy="nothing was changed; move it away to begin anew, or restore it from a copy",
    )


def _full(path: str) -> StoreError:
    return StoreFull(path, seen="there is no room left", remedy="free some on that disk")


def _not_writable(path: str, seen: str) -> StoreError:
    return StoreNotWritable(
        path, seen=seen, remedy="the file and its folder must be there for this user to write, or name another file"
    )


def _of_system(path: str, error: OSError) -> StoreError:
    seen = (error.strerror or str(error)).lower()
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _full(path)
    if error.errno == errno.ENOENT:
        seen = f"the folder {os.path.dirname(path)} is not there"
    return _not_writable(path, seen)


def _of_sqlite(path: str, error: sqlite3.Error) -> StoreError:
    if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_IOERR_SHMSIZE:  # a full disk, where not even it finds room
        return _full(path)
    match _primary(error):
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreLocked(path, seen="another program is writing to it", remedy="have that finish")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return _damaged(path, str(error))
        case sqlite3.SQLITE_FULL:
            return _full(path)
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return _not_writable(path, str(error))
        case _:
            name = getattr(error, "sqlite_errorname", type(error).__name__)
            return StoreError(path, seen=f"{error} ({name})", remedy="look after that disk")


def _primary(error: sqlite3.Error) -> int:
    """Give sqlite's result without its details; 0 where the error is the module's own."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
