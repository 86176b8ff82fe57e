"""The label index: right whatever comes and goes, and it visits no more series than it must."""

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from kailash_monitor.metrics import MetricsCollector
from kailash_monitor.metrics.label_index import REMEMBERED, LabelIndex
from kailash_monitor.model.labels import Labels
from kailash_monitor.testing import ManualClock

from effort import examples  # isort: skip


class Visited:
    """Has labels, and counts who looks at them."""

    def __init__(self, labels: Mapping[str, object]) -> None:
        self._labels = Labels(labels)
        self.visits = 0

    @property
    def labels(self) -> Labels:
        """The labels, looked at."""
        self.visits += 1
        return self._labels

    def __repr__(self) -> str:
        return f"<Visited {self._labels!r}>"


@pytest.fixture
def crowd() -> list[Visited]:
    """Ten thousand series of twenty groups."""
    return [Visited({"user": n, "group": n % 20}) for n in range(10_000)]


@pytest.fixture
def index(crowd: list[Visited]) -> LabelIndex[Visited]:
    """An index that has been asked for both names before."""
    index = LabelIndex(lambda: crowd)
    index.find({"group": "0", "user": "0"})
    index.groups({"group": "7"}, ("user",))
    for series in crowd:
        series.visits = 0
    return index


def visited(crowd: list[Visited]) -> list[Visited]:
    return [series for series in crowd if series.visits]


# -- what is visited


def test_a_selector_of_500_of_10000_series_does_not_visit_the_others(
    index: LabelIndex[Visited], crowd: list[Visited]
) -> None:
    found = [*index.find({"group": "7"})]
    assert found == crowd[7::20]
    assert len(found) == 500
    assert visited(crowd) == []


def test_two_labels_are_looked_up_by_the_one_that_fewer_series_have(
    index: LabelIndex[Visited], crowd: list[Visited]
) -> None:
    assert [*index.find({"group": "7", "user": "27"})] == [crowd[27]]
    assert [*index.find({"group": "8", "user": "27"})] == []
    assert visited(crowd) == []


def test_groups_of_500_of_10000_series_visit_no_other_and_those_only_once(
    index: LabelIndex[Visited], crowd: list[Visited]
) -> None:
    groups = index.groups({"group": "3"}, ("group",))
    assert groups == {Labels({"group": "3"}): crowd[3::20]}
    assert visited(crowd) == crowd[3::20]
    for series in crowd:
        series.visits = 0
    assert index.groups({"group": "3"}, ("group",)) == groups
    assert visited(crowd) == []


def test_a_series_that_comes_or_goes_is_the_only_one_that_is_visited(
    index: LabelIndex[Visited], crowd: list[Visited]
) -> None:
    newcomer = Visited({"user": "new", "group": "7"})
    crowd.append(newcomer)
    index.add(newcomer)
    assert index.groups({"group": "7"}, ("user",))[Labels({"user": "new"})] == [newcomer]
    gone = crowd.pop(27)
    index.discard(gone)
    assert Labels({"user": "27"}) not in index.groups({"group": "7"}, ("user",))
    assert [*index.find({"group": "7"})] == [one for one in crowd if one._labels["group"] == "7"]
    assert set(visited([*crowd, gone])) == {newcomer, gone}


def test_a_metric_finds_500_of_10000_series() -> None:
    hits = MetricsCollector(10_000, clock=ManualClock()).counter("hits", labels=("user", "group"))
    for user in range(10_000):
        hits.inc(user, user % 20)
    assert [series.labels["user"] for series in hits.metric.select({"group": "7"})] == [str(n) for n in range(7, 10_000, 20)]
    assert hits.metric.groups({"group": "7"}, ("group",)) == {Labels({"group": "7"}): hits.metric.select({"group": "7"})}


# -- what grows


def test_only_so_many_questions_are_remembered(crowd: list[Visited]) -> None:
    """A page that anybody may ask must not fill the memory with what was asked."""
    few = crowd[:10]
    index = LabelIndex(lambda: few)
    for n in range(3 * REMEMBERED):
        index.find({f"name_{n}": "x"})
        index.groups({"user": str(n)}, (f"name_{n}",))
        assert len(index._by_name) <= REMEMBERED
        assert len(index._groupings) <= REMEMBERED
    assert [*index.find({"user": "3"})] == [few[3]]


def test_values_that_nobody_has_any_more_are_forgotten() -> None:
    index: LabelIndex[Visited] = LabelIndex(list)
    index.find({"user": "x"})
    index.groups({}, ("user",))
    for n in range(100):
        series = Visited({"user": n})
        index.add(series)
        index.discard(series)
    assert index._by_name == {"user": {}}
    assert index.groups({}, ("user",)) == {}


def test_what_was_given_out_is_the_askers_own() -> None:
    """Whoever reads the groups does so while other threads make series."""
    series = [Visited({"user": "a"})]
    index = LabelIndex(lambda: series)
    groups = index.groups({}, ("user",))
    index.discard(series[0])
    assert groups == {Labels({"user": "a"}): series}


def test_a_series_that_was_never_there_can_be_discarded() -> None:
    index: LabelIndex[Visited] = LabelIndex(list)
    index.find({"user": "a"})
    index.groups({}, ("user",))
    index.discard(Visited({"user": "a"}))
    assert [*index.find({"user": "a"})] == []


def test_a_cleared_index_asks_anew(index: LabelIndex[Visited], crowd: list[Visited]) -> None:
    del crowd[100:]
    index.clear()
    assert [*index.find({"group": "7"})] == crowd[7::20]
    assert index.groups({"group": "7"}, ()) == {Labels(): crowd[7::20]}


# -- against looking at each


NAMES = ("a", "b", "c")
values = st.sampled_from(["", "x", "y", "z"])
labels = st.dictionaries(st.sampled_from(NAMES), values)
groupings = st.lists(st.sampled_from(NAMES), unique=True).map(tuple)


@pytest.mark.parametrize("goes", [False, True])
def test_an_answer_is_ready_some_time_however_many_series_come_and_go_meanwhile(crowd: list[Visited], goes: bool) -> None:
    index = LabelIndex(lambda: crowd)
    pieces = 1
    while index.prepare({}, ("user",), 500):
        pieces += 1
        assert pieces <= 50
        new = Visited({"user": f"new {pieces}", "group": "new"})
        crowd.append(new)
        index.add(new)
        if goes:
            index.discard(crowd.pop(pieces))
    assert index.groups({}, ("user",)) == {Labels({"user": one.labels["user"]}): [one] for one in crowd}


class IndexMachine(RuleBasedStateMachine):
    """Series come and go, and questions are asked in between."""

    def __init__(self) -> None:
        super().__init__()
        self.series: list[Visited] = []
        self.index: LabelIndex[Visited] = LabelIndex(lambda: list(self.series))
        self.asked: list[tuple[dict[str, str], tuple[str, ...]]] = []

    @rule(labels=labels)
    def come(self, labels: dict[str, str]) -> None:
        series = Visited(labels)
        self.series.append(series)
        self.index.add(series)

    @rule(data=st.data())
    def go(self, data: st.DataObject) -> None:
        if self.series:
            series = data.draw(st.sampled_from(self.series))
            self.series.remove(series)
            self.index.discard(series)

    @rule(data=st.data())
    def come_back(self, data: st.DataObject) -> None:
        """The same object, at the end of the queue."""
        if self.series:
            series = data.draw(st.sampled_from(self.series))
            self.series.remove(series)
            self.index.discard(series)
            self.series.append(series)
            self.index.add(series)

    @rule()
    def clear(self) -> None:
        self.series.clear()
        self.index.clear()

    @rule(match=labels, by=groupings)
    def ask(self, match: dict[str, str], by: tuple[str, ...]) -> None:
        self.asked.append((match, by))

    @rule(match=labels, by=groupings, number=st.integers(1, 5))
    def begin_to_ask(self, match: dict[str, str], by: tuple[str, ...], number: int) -> None:
        self.index.prepare(match, by, number)

    @rule(match=labels, by=groupings)
    def prepare_to_the_end(self, match: dict[str, str], by: tuple[str, ...]) -> None:
        pieces = 0
        while self.index.prepare(match, by, 1):
            pieces += 1
        assert pieces <= 2 * len(self.series)

    @invariant()
    def every_question_is_answered_right(self) -> None:
        for match, by in self.asked:
            right = [s for s in self.series if all(s.labels.get(n, "") == v for n, v in match.items())]
            assert [*self.index.find(match)] == right
            groups: dict[Labels, list[Visited]] = {}
            for series in right:
                groups.setdefault(Labels({name: series.labels.get(name, "") for name in by}), []).append(series)
            assert self.index.groups(match, by) == groups


TestIndex = IndexMachine.TestCase
TestIndex.settings = settings(max_examples=examples(60), stateful_step_count=40, deadline=None)


@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("xy"), st.booleans()), max_size=60), st.integers(0, 6)
)
def test_a_metric_answers_right_while_series_come_go_and_overflow(happened: list[tuple[str, str, bool]], limit: int) -> None:
    hits = MetricsCollector(limit, clock=ManualClock()).counter("hits", labels=("user", "kind"), keep=("kind",))
    for user, kind, add in happened:
        if add:
            hits.inc(user, kind)
        else:
            hits.remove(user, kind)
        for match in ({"user": user}, {"kind": kind}, {"user": user, "kind": kind}, {"overflow": "true"}):
            right = [series for series in hits.metric.series if series.labels.matches(match)]
            assert set(hits.metric.select(match)) == set(right)
            groups = hits.metric.groups(match, ("kind",))
            assert {series for members in groups.values() for series in members} == set(right)
            for group, members in groups.items():
                assert all(series.labels.get("kind", "") == group["kind"] for series in members)
