"""A store without a disk: what it was given, for as long as the object lives."""

import heapq
from collections.abc import Iterator, Sequence

from kailash_monitor.errors import StoreGone
from kailash_monitor.storage.store import Change, Document, Kind

__all__ = ["MemoryStore"]


class MemoryStore:
    """Documents in dictionaries. They outlive `close`, so that a test can stop a program and start it again.

    Mutable: the documents, and whether it is open; only the one thread that calls it touches them.
    """

    def __init__(self) -> None:
        self._documents: dict[Kind, dict[str, Document]] = {kind: {} for kind in Kind}
        self._open = False

    def open(self) -> None:
        """Be ready."""
        self._open = True

    def load(self, kind: Kind) -> Iterator[tuple[str, Document]]:
        """Key and document of all of a kind, in order of key."""
        yield from sorted(self._of(kind).items())

    def newest(self, kind: Kind, limit: int) -> list[tuple[str, Document]]:
        """The last `limit` by key, the last one first."""
        return heapq.nlargest(limit, self._of(kind).items())

    def commit(self, changes: Sequence[Change]) -> None:
        """Keep all of the changes, or none."""
        for change in changes:
            _check(change)
        for change in changes:
            documents = self._of(change.kind)
            if change.document is None:
                documents.pop(change.key, None)
            else:
                documents[change.key] = change.document

    def trim(self, kind: Kind, keep: int) -> int:
        """Forget all of a kind but the last `keep` by key; how many went."""
        documents = self._of(kind)
        old = sorted(documents)[: max(0, len(documents) - keep)]
        for key in old:
            del documents[key]
        return len(old)

    def close(self) -> None:
        """Refuse until opened again."""
        self._open = False

    def _of(self, kind: Kind) -> dict[str, Document]:
        if not self._open:
            raise StoreGone("the store in memory", seen="it is not open", remedy="open it first")
        return self._documents[kind]

    def __repr__(self) -> str:
        return f"MemoryStore({sum(map(len, self._documents.values()))} documents, {'open' if self._open else 'closed'})"


def _check(change: Change) -> None:
    """Refuse what a file could not hold: one store must not be more patient than another."""
    change.key.encode()
    if isinstance(change.document, str):
        change.document.encode()
