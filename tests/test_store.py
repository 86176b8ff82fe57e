"""What every store promises, each law once for all of them."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from kailash_monitor.errors import StoreGone
from kailash_monitor.storage import Change, Document, Kind, MemoryStore, SqliteStore, Store

from effort import examples  # isort: skip

Restart = Callable[[], Store]
"""Ends the program, if one runs, and starts it again: an open store with all that was committed."""

NO_TEXT = "half a pair: \ud83d"


def _memory() -> Restart:
    store = MemoryStore()

    def restart() -> Store:
        store.close()
        store.open()
        return store

    return restart


def _sqlite(folder: Path) -> Restart:
    running: list[SqliteStore] = []

    def restart() -> Store:
        if running:
            running.pop().close()
        store = SqliteStore(folder / "store.db")
        store.open()
        running.append(store)
        return store

    return restart


@pytest.fixture(params=["memory", "sqlite"])
def restart(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Restart]:
    restart = _memory() if request.param == "memory" else _sqlite(tmp_path)
    yield restart
    restart().close()


@pytest.fixture
def store(restart: Restart) -> Store:
    return restart()


def contents(store: Store) -> dict[tuple[Kind, str], Document]:
    return {(kind, key): document for kind in Kind for key, document in store.load(kind)}


@pytest.mark.parametrize("kind", Kind)
def test_a_document_comes_back_by_kind_and_key(store: Store, kind: Kind) -> None:
    store.commit([Change(kind, "a", '{"x": 1}')])
    assert contents(store) == {(kind, "a"): '{"x": 1}'}


def test_the_last_of_several_changes_of_one_document_counts(store: Store) -> None:
    store.commit([Change(Kind.ALERT, "a", "1"), Change(Kind.ALERT, "b", "1"), Change(Kind.ALERT, "a", "2")])
    store.commit([Change(Kind.ALERT, "b", None), Change(Kind.ALERT, "b", "3")])
    store.commit([Change(Kind.ALERT, "c", "1"), Change(Kind.ALERT, "c", None)])
    assert dict(store.load(Kind.ALERT)) == {"a": "2", "b": "3"}


def test_deleting_what_is_not_there_is_no_error(store: Store) -> None:
    store.commit([Change(Kind.LANE, "a", None), Change(Kind.LANE, "b", "1")])
    assert dict(store.load(Kind.LANE)) == {"b": "1"}


def test_a_commit_of_nothing_is_no_error(store: Store) -> None:
    store.commit([])


@pytest.mark.parametrize(
    "bad", [Change(Kind.LANE, "bad", NO_TEXT), Change(Kind.LANE, NO_TEXT, "1"), Change(Kind.LANE, NO_TEXT, None)]
)
def test_a_commit_that_fails_in_the_middle_keeps_nothing_of_it(restart: Restart, bad: Change) -> None:
    store = restart()
    store.commit([Change(Kind.ALERT, "kept", "1"), Change(Kind.LANE, "kept", "1")])
    before = contents(store)
    with pytest.raises(UnicodeEncodeError):
        store.commit([Change(Kind.ALERT, "kept", "2"), Change(Kind.LANE, "kept", None), bad, Change(Kind.RING, "r", b"3")])
    assert contents(store) == before
    store.commit([Change(Kind.ALERT, "kept", "4")])
    assert contents(restart()) == before | {(Kind.ALERT, "kept"): "4"}


@pytest.mark.parametrize(
    "document",
    [
        "",
        "\0",
        "a\0b",
        "\r\n\t",
        "déjà vu 🔥 \U0010ffff \ufeff\ufffe",
        "'; DROP TABLE alerts; --",
        "1",
        "1e400",
        "x" * 1_000_000,
        b"",
        b"\0",
        b"text",
        bytes(range(256)),
        b"\xff" * 1_000_000,
    ],
    ids=repr,
)
def test_texts_come_back_as_texts_and_bytes_as_bytes(restart: Restart, document: Document) -> None:
    restart().commit([Change(Kind.STATE, "it", document)])
    ((_, found),) = restart().load(Kind.STATE)
    assert type(found) is type(document)
    assert found == document


@pytest.mark.parametrize("key", ["", "\0", "a\0b", "🔥", "a/b c?d#e%20", "1", "x" * 10_000, "{'labels': \"q\"}"])
def test_any_text_is_a_key(restart: Restart, key: str) -> None:
    restart().commit([Change(Kind.ALERT, key, "1"), Change(Kind.ALERT, key + "'", "2")])
    store = restart()
    assert dict(store.load(Kind.ALERT)) == {key: "1", key + "'": "2"}
    store.commit([Change(Kind.ALERT, key, None)])
    assert dict(store.load(Kind.ALERT)) == {key + "'": "2"}


def test_a_restart_keeps_all(restart: Restart) -> None:
    everything = {(kind, f"key {number}"): f"{kind} {number}" for kind in Kind for number in range(3)}
    restart().commit([Change(kind, key, document) for (kind, key), document in everything.items()])
    for _ in range(3):
        assert contents(restart()) == everything


KEYS = ["b", "a", "\U0001f525", "\uffff", "", "B", "é", "ab", "a\0"]
IN_ORDER = ["", "B", "a", "a\0", "ab", "b", "é", "\uffff", "\U0001f525"]


def test_history_comes_in_order_of_code_points(store: Store) -> None:
    store.commit([Change(Kind.HISTORY, key, "1") for key in KEYS])
    assert [key for key, _ in store.load(Kind.HISTORY)] == IN_ORDER


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("limit", [0, 1, 3, 100])
def test_the_newest_are_the_last_by_key_the_last_one_first(store: Store, kind: Kind, limit: int) -> None:
    store.commit([Change(kind, key, f"it is {key}") for key in KEYS])
    assert store.newest(kind, limit) == [(key, f"it is {key}") for key in reversed(IN_ORDER)][:limit]


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize(("keep", "gone"), [(0, 9), (1, 8), (8, 1), (9, 0), (100, 0)])
def test_trimming_forgets_all_but_the_last_by_key(restart: Restart, kind: Kind, keep: int, gone: int) -> None:
    store = restart()
    store.commit([Change(other, key, "1") for key in KEYS for other in (kind, Kind.STATE)])
    assert store.trim(kind, keep) == gone
    assert store.trim(kind, keep) == 0
    store = restart()
    assert sorted(key for key, _ in store.load(kind)) == IN_ORDER[gone:]
    assert kind is Kind.STATE or len(list(store.load(Kind.STATE))) == len(KEYS)


def test_ten_thousand_documents_come_back(restart: Restart) -> None:
    documents = {f"{number:05}": f'{{"number": {number}}}' for number in range(10_000)}
    restart().commit([Change(Kind.HISTORY, key, document) for key, document in documents.items()])
    store = restart()
    assert list(store.load(Kind.HISTORY)) == list(documents.items())
    assert store.newest(Kind.HISTORY, 2) == [("09999", '{"number": 9999}'), ("09998", '{"number": 9998}')]


@pytest.mark.parametrize(
    "call",
    [
        lambda store: list(store.load(Kind.ALERT)),
        lambda store: store.newest(Kind.ALERT, 1),
        lambda store: store.commit([Change(Kind.ALERT, "a", "1")]),
        lambda store: store.trim(Kind.ALERT, 1),
    ],
    ids=["load", "newest", "commit", "trim"],
)
@pytest.mark.parametrize("opened", [True, False], ids=["closed", "never opened"])
@pytest.mark.parametrize("kind_of_store", ["memory", "sqlite"])
def test_what_is_not_open_refuses(tmp_path: Path, kind_of_store: str, opened: bool, call: Callable[[Store], object]) -> None:
    store: Store = MemoryStore() if kind_of_store == "memory" else SqliteStore(tmp_path / "store.db")
    if opened:
        store.open()
        store.close()
    with pytest.raises(StoreGone, match="it is not open; open it first"):
        call(store)


def test_opening_and_closing_twice_is_no_error(store: Store) -> None:
    store.commit([Change(Kind.ALERT, "a", "1")])
    store.open()
    assert dict(store.load(Kind.ALERT)) == {"a": "1"}
    store.close()
    store.close()
    store.open()
    assert dict(store.load(Kind.ALERT)) == {"a": "1"}


def test_a_load_that_is_given_up_does_not_stand_in_the_way(restart: Restart) -> None:
    store = restart()
    store.commit([Change(Kind.ALERT, str(number), "1") for number in range(1_000)])
    documents = store.load(Kind.ALERT)
    next(documents)
    del documents
    store.commit([Change(Kind.ALERT, "0", "2")])
    assert dict(restart().load(Kind.ALERT))["0"] == "2"


def test_the_memory_says_how_much_it_holds() -> None:
    store = MemoryStore()
    assert repr(store) == "MemoryStore(0 documents, closed)"
    store.open()
    store.commit([Change(Kind.ALERT, "a", "1"), Change(Kind.RING, "a", b"1")])
    assert repr(store) == "MemoryStore(2 documents, open)"


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
DOCUMENTS = st.none() | TEXTS | st.binary(max_size=5)
CHANGES = st.lists(st.builds(Change, st.sampled_from(Kind), TEXTS, DOCUMENTS), max_size=5)


class Shelf(RuleBasedStateMachine):
    """A store beside a dictionary: whatever was done, they hold the same."""

    def __init__(self, restart: Restart) -> None:
        super().__init__()
        self.restart = restart
        self.store = restart()
        self.model: dict[tuple[Kind, str], Document] = {}

    @rule(changes=CHANGES)
    def commit(self, changes: list[Change]) -> None:
        self.store.commit(changes)
        for change in changes:
            if change.document is None:
                self.model.pop((change.kind, change.key), None)
            else:
                self.model[change.kind, change.key] = change.document

    @rule(changes=CHANGES, rest=CHANGES)
    def commit_with_a_mistake(self, changes: list[Change], rest: list[Change]) -> None:
        with pytest.raises(UnicodeEncodeError):
            self.store.commit([*changes, Change(Kind.ALERT, NO_TEXT, "1"), *rest])

    @rule(kind=st.sampled_from(Kind), keep=st.integers(0, 5))
    def trim(self, kind: Kind, keep: int) -> None:
        keys = sorted(key for it, key in self.model if it is kind)
        old = keys[: max(0, len(keys) - keep)]
        assert self.store.trim(kind, keep) == len(old)
        for key in old:
            del self.model[kind, key]

    @rule(kind=st.sampled_from(Kind), limit=st.integers(0, 5))
    def newest(self, kind: Kind, limit: int) -> None:
        keys = sorted((key for it, key in self.model if it is kind), reverse=True)[:limit]
        assert self.store.newest(kind, limit) == [(key, self.model[kind, key]) for key in keys]

    @rule()
    def start_again(self) -> None:
        self.store = self.restart()

    @invariant()
    def holds_the_same(self) -> None:
        assert contents(self.store) == self.model
        keys = [key for key, _ in self.store.load(Kind.HISTORY)]
        assert keys == sorted(keys)

    def teardown(self) -> None:
        self.store.close()


class MemoryShelf(Shelf):
    def __init__(self) -> None:
        super().__init__(_memory())


class SqliteShelf(Shelf):
    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        super().__init__(_sqlite(Path(self.folder.name)))

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


TestMemoryShelf = MemoryShelf.TestCase
TestMemoryShelf.settings = settings(max_examples=examples(30), stateful_step_count=20)
TestSqliteShelf = SqliteShelf.TestCase
TestSqliteShelf.settings = settings(max_examples=examples(20), stateful_step_count=15)
