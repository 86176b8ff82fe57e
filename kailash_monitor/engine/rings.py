"""Rings in a store: the history of series, under keys that name them."""

import json
from collections.abc import Iterator
from typing import Final

from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.metrics.checkpoint import Ring, decode
from kailash_monitor.model.labels import Labels
from kailash_monitor.storage import Change, Document, Kind, Store

__all__ = ["ring_changes", "rings_in"]

KEPT: Final = 4 * 86_400.0
"""Seconds: longer than the longest window there usually is, that of an error budget over three days."""

_DAMAGE: Final = (AttributeError, LookupError, TypeError, ValueError, RecursionError)


def ring_changes(registry: MetricsRegistry, since: float) -> Iterator[Change | None]:
    """Give what there is to write of the series that were recorded since then; None is but a pause."""
    for ring in registry.checkpoint(since):
        yield None if ring is None else Change(Kind.RING, _key(ring), ring.data or None)


def rings_in(store: Store, offset: float, now: float) -> list[Ring]:
    """Read all of them, and forget those that are damaged or too old to be of use; it blocks."""
    rings: list[Ring] = []
    useless: list[Change] = []
    for key, document in tuple(store.load(Kind.RING)):
        ring = _ring(key, document)
        past = None if ring is None else decode(ring, offset=offset, now=now)
        if ring is None or past is None or past.until < now - KEPT:
            useless.append(Change(Kind.RING, key, None))
        else:
            rings.append(ring)
    if useless:
        store.commit(useless)
    return rings


def _ring(key: str, document: Document) -> Ring | None:
    try:
        collector, metric, kind, labels = json.loads(key)
        ring = Ring(collector, metric, kind, Labels(labels), document if isinstance(document, bytes) else b"")
    except _DAMAGE:
        return None
    return ring if ring.data and all(isinstance(name, str) for name in (collector, metric, kind, *ring.labels)) else None


def _key(ring: Ring) -> str:
    return json.dumps([ring.collector, ring.metric, ring.kind, dict(ring.labels)])
