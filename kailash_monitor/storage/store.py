"""What a program must find again after a restart, and the port through which it is kept.

A store keeps documents by kind and key, and knows nothing of what is in them: the engine decides what to keep, encodes
it and reads it back. So a new store is six methods, and no change of the engine's reaches it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

__all__ = ["Change", "Document", "Kind", "Store"]

Document = str | bytes


class Kind(Enum):
    """What a document tells of; one kind's keys mean nothing to another."""

    ALERT = "alert"
    LANE = "lane"  # what one channel last heard of one alert
    SILENCE = "silence"
    LETTER = "letter"  # a message that is on its way, or dead
    RING = "ring"  # the recent past of one series; bytes
    STATE = "state"  # one document each for groups and the like
    HISTORY = "history"  # what is over; its keys sort by time

    __hash__ = object.__hash__  # Enum's own is in Python, and each change is looked up by its kind


@dataclass(frozen=True, slots=True)
class Change:
    """One document set, or deleted where `document` is None."""

    kind: Kind
    key: str
    document: Document | None


class Store(Protocol):
    """Documents that outlive the process.

    For whoever implements it:

    - A document is a text (the engine's are JSON objects) or bytes, and comes back as the type and the value it was
      given, whatever it holds. Keys are texts; their order is that of their code points. A text with a lone surrogate
      is a mistake of the caller's: UnicodeEncodeError.
    - All methods block, and are called from one thread at a time, not always the same one, and never an event loop's.
    - Whatever else goes wrong is a `StoreError`: its text says what was seen and what to do. Then nothing of the call
      has been kept, and nothing that was kept before is lost. The engine goes on from memory, and from time to time
      calls `close` and `open` until that succeeds: then everything must work again.
    - One program at a time: `open` refuses while another has the same store. What is not open refuses all but `open`
      and `close`, as StoreGone. A child that was forked does not have what its parent has open.
    """

    def open(self) -> None:
        """Be ready to load and commit, or say why not and leave what is there as it was. Once open, a no-op."""
        ...

    def load(self, kind: Kind) -> Iterator[tuple[str, Document]]:
        """Key and document of all of a kind: in order of key for HISTORY, in any order for the rest.

        Read to its end before the next call of any method.
        """
        ...

    def newest(self, kind: Kind, limit: int) -> list[tuple[str, Document]]:
        """The last `limit` by key, the last one first."""
        ...

    def commit(self, changes: Sequence[Change]) -> None:
        """Keep all of the changes or, with the error, none. Once it returns they survive the loss of power.

        The last of several changes of one document counts. Deleting what is not there is no error.
        """
        ...

    def trim(self, kind: Kind, keep: int) -> int:
        """Forget all of a kind but the last `keep` by key; how many went. Durable like a commit."""
        ...

    def close(self) -> None:
        """Let go of everything. Never raises; may be called at any time, and twice. `open` works again afterwards."""
        ...
