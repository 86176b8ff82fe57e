"""Threads: how ours begin, and what a fork, which takes none of them along, would leave behind of them.

A lock that another thread holds at the moment of a fork is held in the child for ever, and what it guards may be half-way
from one state to the next. So a fork waits, for a moment, until nobody holds a lock that is `guarded`; in the child all of
them are free, also one for which it waited in vain.
"""

import os
import threading
import weakref
from collections.abc import Callable
from itertools import count
from typing import Final, Protocol, TypeVar

__all__ = ["Inherited", "begin", "guarded", "inherited"]

PATIENCE: Final = 0.25
"""Seconds that a fork waits for a lock: what is done under one takes milliseconds, or a sync of the disk."""


class _Lockable(Protocol):
    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool: ...

    def release(self) -> None: ...


class Inherited(Protocol):
    """What a forked child has a copy of, and cannot use as it is."""

    def _after_fork(self) -> None:
        """Be as new. Called in the child, in its only thread, when all guarded locks are free."""
        ...


L = TypeVar("L", bound=_Lockable)

_locks: Final = weakref.WeakValueDictionary[int, _Lockable]()
_things: Final = weakref.WeakValueDictionary[int, Inherited]()
_numbers: Final = count()
_fork: Final = threading.local()
"""`held`: the locks that the thread which is about to fork has taken. Two threads may fork at the same time."""


def begin(work: Callable[[], object], name: str) -> None:
    """Do `work` in a daemon thread; here and now, where Python is ending and lets no thread begin."""
    try:
        threading.Thread(target=work, name=name, daemon=True).start()
    except RuntimeError as error:  # Python 3.12.0 and its like say so from the end of the main thread on, `atexit` included
        if "shutdown" not in str(error):
            raise
        work()


def guarded(lock: L) -> L:
    """Give `lock`, which nobody holds in a forked child. A fork takes the newer first, within which the older are taken."""
    _locks[next(_numbers)] = lock
    return lock


def inherited(thing: Inherited) -> None:
    """Have `thing` be made anew in forked children for as long as it lives."""
    _things[next(_numbers)] = thing


def _before_fork() -> None:
    _fork.held, patience = [], PATIENCE
    for reference in reversed(_locks.valuerefs()):
        lock = reference()
        if lock is not None and lock.acquire(timeout=patience):
            _fork.held.append(lock)
        elif lock is not None:
            patience = 0.0


def _in_parent() -> None:
    for lock in reversed(_fork.held):
        lock.release()
    _fork.held = []


def _in_child() -> None:
    taken = {id(lock) for lock in _fork.held}
    for lock in list(_locks.values()):
        if id(lock) not in taken:
            lock._at_fork_reinit()  # type: ignore[attr-defined]  # private; threading and logging use it for the same
    _in_parent()
    for thing in list(_things.values()):
        thing._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_in_parent, after_in_child=_in_child)
