"""Listings: which rows of a list somebody asks for."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from kailash_monitor.errors import ConfigurationError
from kailash_monitor.web.body import LONGEST_TEXT, seen
from kailash_monitor.web.label_filter import LabelFilter

__all__ = ["Listing", "Query", "asked_filter", "asked_text", "asked_whole", "asked_words", "check_names", "listing_of"]

MOST_ROWS: Final = 500
"""Rows that a page may have: more than anybody reads, and little enough to be sent every few seconds."""

LONGEST_WHOLE: Final = 9
"""Digits of a whole number: a list with more rows is none of ours."""

_OWN: Final = ("limit", "offset", "since")

Query = Mapping[str, Sequence[str]]
"""What stands behind the `?`: every value of each name, in order."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of a list, by its place among all rows, and the cursor of an earlier answer. `limit` None asks for all rows."""

    limit: int | None = None
    offset: int = 0
    since: str | None = None

    def page(self, rows: Sequence[T]) -> Sequence[T]:
        """Give the rows of the page."""
        return rows[self.offset :] if self.limit is None else rows[self.offset : self.offset + self.limit]


def listing_of(query: Query, filters: Collection[str] = ()) -> Listing:
    """Give which page is asked for; a ConfigurationError for nonsense, also for what is neither that nor one of `filters`.

    What the filters say is for their readers; a filter that is not known must not be passed over, for it would show more
    than was asked for.
    """
    check_names(query, (*_OWN, *filters))
    return Listing(
        limit=asked_whole(query, "limit", None, least=1, most=MOST_ROWS),
        offset=asked_whole(query, "offset", None, least=0) or 0,
        since=asked_text(query, "since") or None,
    )


def check_names(query: Query, known: Collection[str]) -> None:
    """Raise a ConfigurationError where anything else is asked than is known."""
    for name in query:
        if name not in known:
            raise _wrong(f"the unknown parameter {seen(name)}", f"there are: {', '.join(known) or 'none'}", name)


def asked_text(query: Query, name: str) -> str:
    """Give the one text that is asked with; empty where there is none. A ConfigurationError where there are several."""
    values = query.get(name, ())
    if len(values) > 1:
        raise _wrong(f"{len(values)} times {name}", "give it once", name)
    text = values[0] if values else ""
    if len(text) > LONGEST_TEXT:
        raise _wrong(f"{name} = {seen(text)}", f"a text of {LONGEST_TEXT:,} characters at most", name)
    return text


def asked_whole(query: Query, name: str, default: int | None, *, least: int, most: int | None = None) -> int | None:
    """Give the whole number that is asked with, within its limits."""
    if name not in query:
        return default
    text = asked_text(query, name)
    number = int(text) if text.isascii() and text.isdecimal() and len(text) <= LONGEST_WHOLE else -1
    if number < least or (most is not None and number > most):
        limits = f"from {least} to {most}" if most is not None else f"not below {least}"
        raise _wrong(f"{name} = {seen(text)}", f"a whole number {limits}", name)
    return number


def asked_words(query: Query, name: str, known: Collection[str]) -> frozenset[str]:
    """Give the words that are asked with, each one of the `known`; none where nothing is asked for, which means all."""
    words = frozenset(query.get(name, ()))
    for word in sorted(words):
        if word not in known:
            raise _wrong(f"{name} = {seen(word)}", f"there are: {', '.join(known)}", name)
    return words


def asked_filter(query: Query, name: str = "match") -> LabelFilter:
    """Give the label filter that is asked with; without one, everything."""
    return LabelFilter.of(asked_text(query, name), where="the request", field=name)


def _wrong(what: str, expected: str, field: str) -> ConfigurationError:
    return ConfigurationError("the request", seen=what, expected=expected, field=field)
