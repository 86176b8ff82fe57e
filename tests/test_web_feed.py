"""The feed: who asks again is told what has changed since, and never keeps what is no longer so."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kailash_monitor.web.feed import Feed

from effort import examples  # isort: skip


def feed(most: int = 100) -> Feed:
    numbers = count()
    return Feed(new_epoch=lambda: f"epoch{next(numbers)}", most=most)


def read(known: Feed, resource: str, *rows: tuple[str, str]) -> tuple[list[int], str]:
    reading = known.reading(resource)
    return reading.add([(key, text.encode()) for key, text in rows]), reading.cursor


# -- what is remembered


def test_a_row_keeps_its_number_until_it_reads_otherwise() -> None:
    known = feed()
    assert read(known, "alerts", ("a", "1"), ("b", "1")) == ([1, 1], "epoch0-1")
    assert read(known, "alerts", ("a", "1"), ("b", "1")) == ([1, 1], "epoch0-1")
    assert read(known, "alerts", ("a", "1"), ("b", "2")) == ([1, 2], "epoch0-2")
    assert read(known, "alerts", ("b", "1"), ("c", "1")) == ([3, 3], "epoch0-3")


def test_the_rows_of_one_resource_are_not_those_of_another() -> None:
    known = feed()
    read(known, "alerts", ("a", "1"))
    assert read(known, "rules", ("a", "1"))[0] == [2]


def test_a_page_without_rows_has_a_cursor_too() -> None:
    known = feed()
    assert read(known, "alerts") == ([], "epoch0-0")
    assert known.reading("alerts").cursor == "epoch0-0"
    assert known.number_of("epoch0-0") == 0


@pytest.mark.parametrize(
    "cursor",
    [None, "", "1", "epoch0", "epoch0-", "epoch0-2", "epoch0--1", "epoch0-1.0", "epoch0-x", "epoch0-²", "epoch1-1", "-1",
     "epoch0-" + "1" * 5_000],
)  # fmt: skip
def test_a_cursor_of_another_process_or_of_nobody_is_not_known(cursor: str | None) -> None:
    known = feed()
    read(known, "alerts", ("a", "1"))
    assert known.number_of("epoch0-1") == 1
    assert known.number_of(cursor) is None


def test_what_was_read_longest_ago_is_forgotten_and_counts_as_changed() -> None:
    known = feed(most=2)
    read(known, "alerts", ("a", "1"), ("b", "1"))
    read(known, "alerts", ("a", "1"))
    read(known, "alerts", ("c", "1"))
    assert len(known) == 2
    assert read(known, "alerts", ("a", "1"), ("b", "1"))[0] == [1, 3]


def test_it_is_shown_by_how_much_it_knows() -> None:
    known = feed()
    read(known, "alerts", ("a", "1"), ("b", "1"))
    assert repr(known) == "<Feed epoch0, 1 changes, 2 rows>"


def test_epochs_are_not_guessed_alike() -> None:
    assert Feed().reading("x").cursor != Feed().reading("x").cursor


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_worker_does_not_know_the_cursors_of_its_parent() -> None:
    script = """
        import os
        from kailash_monitor.web.feed import Feed

        feed = Feed()
        reading = feed.reading("alerts")
        reading.add([("a", b"1")])
        if (child := os.fork()) == 0:
            print(feed.number_of(reading.cursor), len(feed), flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        print(feed.number_of(reading.cursor), len(feed))
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True)
    assert ended.stdout == "None 0\n1 1\n"


# -- readings that come in between one another


def test_what_somebody_else_saw_later_is_told_again_to_who_saw_it_first() -> None:
    known = feed()
    slow = known.reading("alerts")
    slow.add([("a", b"old")])
    _, quick = read(known, "alerts", ("a", "new"), ("b", "new"))
    slow.add([("b", b"new")])
    assert (slow.cursor, quick) == ("epoch0-0", "epoch0-2")
    assert read(known, "alerts", ("a", "new"))[0] == [2]


# -- the law


@dataclass
class Reader:
    """Somebody who follows the protocol, as the dashboard does: holds the rows of the last answer, and those only."""

    held: dict[str, str] = field(default_factory=dict[str, str])
    cursor: str | None = None

    def poll(self, known: Feed, page: Callable[[], Sequence[tuple[str, str]]]) -> Iterator[None]:
        """Ask, and be answered row by row; others may come in between. Ask for all where a key is not known."""
        for cursor in (self.cursor, None):
            since = known.number_of(cursor)
            rows = page()
            yield
            reading, told = known.reading("rows"), dict[str, str]()
            for key, text in rows:
                (number,) = reading.add([(key, text.encode())])
                told.update({key: text} if since is None or number > since else {})
                yield
            self.held = {key: told.get(key) or self.held.get(key, "") for key, _ in rows}
            self.cursor = reading.cursor
            if all(self.held.values()):
                return


KEYS = "abcdef"
CHANGES = st.tuples(st.sampled_from(KEYS), st.sampled_from("123"))
STEPS = st.one_of(CHANGES, st.integers(0, 2))
PAGES = st.tuples(st.integers(0, 3), st.integers(1, 6))


@settings(max_examples=examples(300))
@given(st.lists(STEPS, max_size=60), st.lists(PAGES, min_size=3, max_size=3), st.integers(1, 8))
def test_whoever_follows_the_protocol_ends_with_what_is_so(
    steps: list[tuple[str, str] | int], pages: list[tuple[int, int]], most: int
) -> None:
    """Rows change, and three readers poll their pages, one step at a time and in any order, with little memory or more."""
    known, rows = feed(most), dict.fromkeys(KEYS, "1")
    readers = [Reader() for _ in pages]

    def page(number: int) -> list[tuple[str, str]]:
        offset, limit = pages[number]
        return list(rows.items())[offset : offset + limit]

    polls = [readers[number].poll(known, lambda number=number: page(number)) for number in range(3)]  # type: ignore[misc]
    for step in steps:
        if isinstance(step, tuple):
            rows[step[0]] = step[1]
        elif next(polls[step], "done") == "done":
            polls[step] = readers[step].poll(known, lambda number=step: page(number))  # type: ignore[misc]
    for number, reader in enumerate(readers):
        for _ in polls[number]:
            pass
        for _ in reader.poll(known, lambda number=number: page(number)):  # type: ignore[misc]
            pass
        assert reader.held == dict(page(number))
    assert len(known) <= most
