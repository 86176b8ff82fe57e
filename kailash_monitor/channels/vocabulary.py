"""The vocabulary of templates: the names they have, and what these say of a notice."""

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from kailash_monitor.channels.printable import one_line
from kailash_monitor.channels.sparkline import sparkline
from kailash_monitor.channels.text import colour, count, facts, headline, lines, listed, runbook, title
from kailash_monitor.model.alert import Alert
from kailash_monitor.model.notice import Notice

__all__ = ["NAMES", "variables"]


def variables(notice: Notice, names: Collection[str]) -> dict[str, object]:
    """Give what those of `NAMES` that are among `names` stand for.

    It is plain data, and each text is on one line, but for the description and the annotations, which the owner wrote.
    """
    return {name: _MEANINGS[name](notice) for name in _MEANINGS if name in names}


class _Words(dict[str, str]):
    """Labels or annotations: as text they are a line, and what is not among them is empty."""

    def __missing__(self, name: str) -> str:
        return ""

    def __str__(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.items())


def _document(alert: Alert) -> dict[str, object]:
    document = alert.document()
    return {
        **{name: one_line(value) if isinstance(value, str) else value for name, value in document.items()},
        "description": alert.description,
        "labels": _labels(alert),
        "annotations": _Words(alert.annotations),
    }


def _labels(alert: Alert) -> _Words:
    return _Words({one_line(str(name)): one_line(str(value)) for name, value in alert.labels.items()})


def _context(notice: Notice) -> dict[str, object]:
    """Give the context without its items, which `items` has, and with none for what is known of other kinds."""
    given = {**notice.extra, "kind": notice.kind.value, "message_id": notice.id, "sent_at": _iso(notice.sent_at)}
    return dict.fromkeys(_CONTEXT) | {str(name): _safe(value) for name, value in given.items()}


_CONTEXT: Final = (
    *("channel", "reason", "reasons", "condition", "unit", "recent"),
    *("missed", "first_fired_at", "last_resolved_at"),
    *("firing", "resolved", "counts"),
)


def _safe(value: object) -> object:
    """Give plain data, and each text of it on one line."""
    match value:
        case None | bool() | int() | float():
            return value
        case Mapping():
            return {str(name): _safe(item) for name, item in value.items()}
        case list() | tuple():
            return [_safe(item) for item in value]
        case _:
            return one_line(str(value))


def _items(notice: Notice) -> Iterator[dict[str, object]]:
    for item in listed(notice):
        one = Notice(notice.id, item.kind, item.alert, sent_at=notice.sent_at, extra=item.extra)
        yield {
            "kind": item.kind.value,
            "alert": _document(item.alert),
            "title": title(one),
            "headline": headline(one),
        }


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


_MEANINGS: Final[Mapping[str, Callable[[Notice], object]]] = {
    "kind": lambda notice: notice.kind.value,
    "alert": lambda notice: _document(notice.alert),
    "context": _context,
    "title": title,
    "headline": headline,
    "facts": facts,
    "labels": lambda notice: _labels(notice.alert),
    "runbook": lambda notice: runbook(notice.alert),
    "colour": colour,
    "items": lambda notice: list(_items(notice)),
    "lines": lines,
    "more": lambda notice: count(notice) - len(listed(notice)) if notice.items else 0,
    "sparkline": lambda _: sparkline,
}

NAMES: Final = frozenset(_MEANINGS)
