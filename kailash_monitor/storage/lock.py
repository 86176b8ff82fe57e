"""A lock on a file's name, held by one owner in one process, and given up when that process dies in whatever way.

It is the lock of `fcntl.lockf`, since that belongs to the process alone: a child that was forked does not hold it, so an
orphan does not keep a restarted program out, as it would with `flock`. Such a lock knows nothing of two owners within one
process, and is lost when any handle of the file is closed: so the owners of this process are listed here, and the file
is opened only by who is not on the list.
"""

import contextlib
import os
import sys
from typing import Final

__all__ = ["Lock", "Taken"]

if sys.platform == "win32":
    import msvcrt

    def _take(fd: int) -> None:
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _take(fd: int) -> None:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


_OWNERS: Final[dict[tuple[int, str], object]] = {}
"""A token for each lock of this process, by process and path: a forked child has a copy, which says nothing of itself."""


class Taken(Exception):
    """Somebody else has the lock: the process with the number `pid`, as far as that is known."""

    def __init__(self, pid: int | None) -> None:
        self.pid = pid
        super().__init__(pid)


class Lock:
    """Held from here on until `release`, or until dropped. Taken where somebody has it; OSError where that cannot be told.

    The file stays when the lock is released: removing it would let two others lock two files of one name.
    """

    def __init__(self, path: str) -> None:
        self.pid = os.getpid()
        self._owner = (self.pid, os.path.realpath(path))
        self._token = object()
        self._fd: int | None = None
        if _OWNERS.setdefault(self._owner, self._token) is not self._token:
            raise Taken(self.pid)
        try:
            self._fd = _locked(path)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Give it up. A no-op the second time."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)
        if _OWNERS.get(self._owner) is self._token:
            del _OWNERS[self._owner]

    __del__ = release


def _locked(path: str) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _take(fd)
    except BaseException as error:
        pid = _read_pid(fd)
        os.close(fd)
        if isinstance(error, BlockingIOError | PermissionError):
            raise Taken(pid) from None
        raise
    with contextlib.suppress(OSError):  # a courtesy for who is refused; a full disk must not matter
        os.ftruncate(fd, 0)
        os.write(fd, b"%d\n" % os.getpid())
    return fd


def _read_pid(fd: int) -> int | None:
    try:
        return int(os.read(fd, 20))
    except (OSError, ValueError):
        return None
