"""The database of a run: where what must survive a restart is kept."""

import logging
from pathlib import Path
from typing import Final

from kailash_monitor.cli.state import make_private, state_folder
from kailash_monitor.config import StoreAt
from kailash_monitor.errors import StoreFull, StoreLocked, StoreNotWritable
from kailash_monitor.storage import SqliteStore, Store

__all__ = ["NAME", "open_database"]

NAME: Final = "kailash-monitor.db"

_logger = logging.getLogger("kailash_monitor.cli")


def open_database(stated: Path | None) -> StoreAt:
    """Open the database that was `stated`, else the one that the file states, else one in the user's state folder.

    Whoever states one wants it: a StoreError where it cannot be had. The one in the state folder can be another program's
    already, or the folder read-only; a run goes on without it then, and says so.
    """

    def store_at(in_file: str | None) -> Store | None:
        path = in_file if stated is None else stated
        return _own() if path is None else _opened(path)

    return store_at


def _own() -> Store | None:
    try:
        folder = state_folder()
        make_private(folder)
        return _opened(folder / NAME)
    except (StoreLocked, StoreNotWritable, StoreFull) as error:
        why = str(error)
    except OSError as error:
        why = f"{error.strerror}" if error.filename is None else f"{error.filename}: {error.strerror}"
    _logger.warning("what happens now is forgotten at the end: %s", why)
    return None


def _opened(path: Path | str) -> Store:
    store = SqliteStore(path)
    store.open()
    return store
