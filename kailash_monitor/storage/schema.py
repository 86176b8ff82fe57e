"""The tables of the sqlite store, and how a file of an older version becomes one of this."""

from collections.abc import Mapping
from typing import Final

from kailash_monitor.errors import StoreError, StoreForeign, StoreTooNew
from kailash_monitor.storage.store import Kind

__all__ = ["APPLICATION_ID", "MIGRATIONS", "TABLES", "VERSION", "refusal"]

APPLICATION_ID: Final = int.from_bytes(b"KMon")
"""What tells a file of ours from any other of sqlite's (`PRAGMA application_id`, and `file` shows it)."""

TABLES: Final[Mapping[Kind, str]] = {
    Kind.ALERT: "alerts",
    Kind.LANE: "lanes",
    Kind.SILENCE: "silences",
    Kind.LETTER: "letters",
    Kind.RING: "rings",
    Kind.STATE: "state",
    Kind.HISTORY: "history",
}


def _table(name: str, *, small: bool = False) -> str:
    """Write the table of one kind. A document has no declared type: text stays text, bytes stay bytes.

    Where documents are `small`, they stand in the tree of keys itself: one page written instead of two. Larger ones
    would make that tree deep (sqlite advises it below a twentieth of a page).
    """
    columns = "key TEXT NOT NULL PRIMARY KEY, document NOT NULL"
    return f"CREATE TABLE {name} ({columns}){' WITHOUT ROWID' if small else ''}"


MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        f"PRAGMA application_id = {APPLICATION_ID}",
        _table("alerts"),
        _table("lanes", small=True),
        _table("silences", small=True),
        _table("letters"),
        _table("rings"),
        _table("state"),
    ),
    (_table("history"),),  # the key's own index gives its order
)
"""Statements that lead from version *n* to *n* + 1. Never change one that was released: files out there have run it."""

VERSION: Final = len(MIGRATIONS)


def refusal(where: str, *, application_id: int, version: int, blank: bool) -> StoreError | None:
    """Say why a sound sqlite file is not for us: None where it is ours, or holds nothing yet."""
    if application_id == 0 and version == 0 and blank:
        return None
    if application_id != APPLICATION_ID:
        return StoreForeign(where, seen="it is a database of another program", remedy="name a file of its own")
    if version > VERSION:
        return StoreTooNew(
            where,
            seen=f"a newer version of kailash-monitor wrote it (schema {version}, this one knows {VERSION})",
            remedy="install that version, or name another file",
        )
    return None
