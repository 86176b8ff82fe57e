"""What survives a restart: one port, and the stores behind it. sqlite3 is imported with `SqliteStore`, at first use."""

from typing import TYPE_CHECKING

from kailash_monitor.storage.memory import MemoryStore
from kailash_monitor.storage.store import Change, Document, Kind, Store

if TYPE_CHECKING:
    from kailash_monitor.storage.sqlite import SqliteStore

__all__ = ["Change", "Document", "Kind", "MemoryStore", "SqliteStore", "Store"]


def __getattr__(name: str) -> object:
    if name != "SqliteStore":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from kailash_monitor.storage.sqlite import SqliteStore

    return SqliteStore
