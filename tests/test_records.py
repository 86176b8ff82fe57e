"""Records: what is written of alerts, lanes, silences and dead letters reads as it was, and damage stays where it is."""

import dataclasses
import json
import math
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kailash_monitor.alerting.flapping import Flaps
from kailash_monitor.alerting.grouping import Group, Pace
from kailash_monitor.alerting.incident import AlertKey, Incident, State
from kailash_monitor.alerting.ledger import Heard, LedgerEntry, Missed
from kailash_monitor.alerting.silence import Acknowledgement, Silence
from kailash_monitor.alerting.standing import GroupKey
from kailash_monitor.delivery.message import Message
from kailash_monitor.delivery.outcome import Retry
from kailash_monitor.engine.book import Case
from kailash_monitor.engine.lane import Lane, Part
from kailash_monitor.engine.letter import Letter
from kailash_monitor.engine.records import Pen, Reading
from kailash_monitor.engine.restored import Restored, read_store
from kailash_monitor.engine.rings import ring_changes, rings_in
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.model.alert import Alert, AlertStatus
from kailash_monitor.model.labels import Labels
from kailash_monitor.model.matcher import Matchers
from kailash_monitor.model.notice import Item, Notice, NoticeKind
from kailash_monitor.model.reason import Reason
from kailash_monitor.model.severity import AlertSeverity
from kailash_monitor.rules import AlertRule, Flapping, burn_rate_rules
from kailash_monitor.rules.document import document_of
from kailash_monitor.storage import Change, Kind, MemoryStore
from kailash_monitor.testing import ManualClock, RecordingChannel, Simulator
from kailash_monitor.testing.clocks import EPOCH

from effort import examples  # isort: skip

TICK = 1e-6
"""Seconds: a time that goes to Unix seconds and back loses a fraction of one of these."""

# What there is to write


def number() -> int:
    return 7


RULES = (
    AlertRule("busy", "Too much waits", "warning", "queue", "> 5"),
    AlertRule("fast", "d", metric_name="m", condition="rate >", levels={"warning": 80, "critical": 95}, group_by=("a", "b")),
    AlertRule("odd", "ü\n", "info", "m", "!= 0", labels={"a": "\ud83d"}, annotations={"summary": "{x}"}, flapping=(4, "1h")),
    AlertRule("held", "d", "error", "m", "< 1", clear=2, hold="5m", keep_firing=60, no_data="alert"),
    AlertRule("many", "d", "error", "m", "> 1", group_by=("a",), max_alerts=3, match={"b": "x"}, collector="app"),
    AlertRule("read", "d", "warning", condition="> 5", reading=number, timeout=2, evaluation_interval=0.5),
    *burn_rate_rules("budget", good="ok", total="all", objective=0.999),
)

times = st.floats(-1e6, 1e8, allow_nan=False)
offsets = st.floats(-4e9, 4e9, allow_nan=False)
texts = st.text(max_size=12) | st.sampled_from(["", "\ud83d", "\x00", "a\nb", '"\\'])
numbers = st.none() | st.floats()
counts = st.integers(0, 10**6)
labels = st.dictionaries(st.sampled_from(["a", "b", "region"]), texts, max_size=3).map(Labels)
severities = st.sampled_from(AlertSeverity)
keys = st.builds(AlertKey, st.sampled_from([rule.name for rule in RULES]), texts, labels)
group_keys = st.builds(GroupKey, st.sampled_from(["", "0", "0.1"]), st.none() | labels, st.none() | keys)
moments = st.none() | st.integers(0, 2**32).map(lambda at: datetime.fromtimestamp(at + 0.25, UTC))


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


incidents = st.builds(
    Incident,
    keys, st.sampled_from(RULES), counts, st.sampled_from(State), severities, labels, times, times, times,
    maybe(times), maybe(times), maybe(st.sampled_from(Reason)), numbers, numbers,
)  # fmt: skip


def entries(about: st.SearchStrategy[Incident], depth: int = 1) -> st.SearchStrategy[LedgerEntry]:
    """What a channel heard, with what came after it, and what it is if it was heard."""
    deeper = maybe(entries(about, depth - 1)) if depth else st.none()
    return st.builds(
        LedgerEntry,
        about, st.sampled_from(Heard), maybe(severities), maybe(times), st.booleans(), st.booleans(), st.booleans(),
        maybe(st.builds(Missed, counts, times, times)), maybe(st.sampled_from(NoticeKind)), deeper, deeper,
    )  # fmt: skip


@st.composite
def cases(draw: st.DrawFn) -> Case:
    known = draw(st.lists(incidents, min_size=1, max_size=3))
    any_of = st.sampled_from(known)
    case = Case(known[0], before=draw(maybe(any_of)), known_at=-math.inf)
    limit = st.builds(Flapping, st.integers(2, 9), st.floats(1, 1e6))
    case.flaps = draw(maybe(st.builds(Flaps, limit, st.lists(times, max_size=3).map(tuple), maybe(times))))
    case.acknowledgement = draw(maybe(st.builds(Acknowledgement, counts, texts, times)))
    case.called_at = draw(maybe(times))
    case.ledger = draw(st.dictionaries(texts, entries(any_of), max_size=3))
    case.lanes = draw(st.dictionaries(texts, group_keys, max_size=2))
    case.reasons = draw(st.dictionaries(texts, st.sampled_from(Reason), max_size=2))
    return case


alerts = st.builds(
    Alert,
    texts, texts, severities, texts, texts,
    labels=labels.map(dict), annotations=st.dictionaries(texts, texts, max_size=2), status=st.sampled_from(AlertStatus),
    incident=counts, created_at=moments, fired_at=moments, resolved_at=moments, value=numbers, peak=numbers, threshold=numbers,
)  # fmt: skip
extras = st.dictionaries(texts, numbers | texts | counts | st.lists(numbers | texts, max_size=3), max_size=3)
items = st.builds(Item, st.sampled_from(NoticeKind), alerts, extra=extras)


@st.composite
def notices(draw: st.DrawFn, digested: list[Item] | None = None) -> Notice:
    items_of_it = draw(st.lists(items, max_size=3)) if digested is None else digested
    kind = draw(st.sampled_from(NoticeKind))
    return Notice(
        draw(texts), kind, draw(alerts), sent_at=draw(times), items=tuple(items_of_it), extra=draw(extras)
    )  # fmt: skip


letters = st.builds(Letter, notices(), texts, times, st.lists(texts, max_size=3).map(tuple), texts, counts)


@st.composite
def lanes(draw: st.DrawFn) -> Lane:
    """A lane, perhaps with a message about one alert, or with a digest of several."""
    lane = Lane(draw(texts), draw(group_keys), Pace(draw(st.floats(0, 1e6)), draw(st.floats(0, 1e6))), draw(st.booleans()))
    lane.group = Group(draw(maybe(times)), draw(maybe(times)), draw(maybe(severities)), draw(st.booleans()))
    lane.not_before = draw(st.just(-math.inf) | times)
    told = draw(st.lists(cases(), max_size=3, unique_by=lambda case: case.key.id))
    if not told:
        return lane
    notice = draw(
        notices([]) if len(told) == 1 else st.lists(items, min_size=len(told), max_size=len(told)).flatmap(notices)
    )
    said = notice.items or (Item(notice.kind, notice.alert),)
    lane.parts = tuple(
        Part(case, draw(st.sampled_from([case.incident, case.before or case.incident])), draw(st.sampled_from(Reason)), item)
        for case, item in zip(told, said, strict=True)
    )
    lane.message = Message(notice, draw(times), draw(counts), draw(st.booleans()))
    lane.busy = draw(st.booleans())
    return lane


@st.composite
def silences(draw: st.DrawFn) -> Silence:
    by_id = draw(st.booleans())
    starts = draw(times)
    return Silence(
        draw(texts),
        starts_at=starts,
        ends_at=starts + draw(st.floats(1e-3, 1e6)),
        alert_id=draw(st.text(min_size=1, max_size=9)) if by_id else None,
        matchers=Matchers() if by_id else Matchers.of(draw(st.sampled_from(MATCHERS))),
        until_resolved=by_id and draw(st.booleans()),
        author=draw(texts),
        reason=draw(texts),
        created_at=draw(times),
        ended_at=draw(maybe(times)),
    )


MATCHERS = ('a="x"', 'a=~"x|y",b!="z"', 'region="e\\"u\\\\",a!~"q"', 'a="\ud83d"')

# What must be the same


def same(one: Any, other: Any) -> bool:  # Any: whatever a record is made of
    """Whether two things say the same; times, which are numbers like others, may differ by less than a microsecond."""
    if isinstance(one, float) and isinstance(other, float):
        return one == other or abs(one - other) < TICK or (math.isnan(one) and math.isnan(other))
    if isinstance(one, AlertRule):
        return document_of(one) == document_of(other)
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(same, one, other))
    if dataclasses.is_dataclass(one):
        names = [field.name for field in dataclasses.fields(one)]
        return type(one) is type(other) and all(same(getattr(one, name), getattr(other, name)) for name in names)
    return bool(one == other)


KEPT = ("incident", "flaps", "before", "acknowledgement", "called_at", "ledger", "lanes", "reasons")
"""What is known of an alert after a restart; the rest is of the process, or is decided anew."""


def written(write: Callable[[], str], offset: float) -> Reading:
    return Reading.of(write(), offset)


@given(cases(), offsets)
def test_an_alert_reads_as_it_was_written(case: Case, offset: float) -> None:
    again = written(Pen().case(case, offset), offset).case()
    for name in KEPT:
        assert same(getattr(case, name), getattr(again, name)), name
    assert again.known_at == -math.inf


@given(cases())
def test_what_was_one_incident_is_one_again(case: Case) -> None:
    """Whether a part of a message is about the present incident is asked by identity."""
    again = written(Pen().case(case, 0.0), 0.0).case()

    def abouts(of: Case) -> Iterator[Incident]:
        todo = [entry for _, entry in sorted(of.ledger.items())]
        while todo:
            entry = todo.pop()
            yield entry.about
            todo += [other for other in (entry.behind, entry.if_heard) if other is not None]

    pairs = zip([case.incident, case.before, *abouts(case)], [again.incident, again.before, *abouts(again)], strict=True)
    known: dict[int, Incident | None] = {}
    for before, after in pairs:
        assert known.setdefault(id(before), after) is after


@given(lanes(), offsets)
def test_a_lane_reads_as_it_was_written_and_what_was_under_way_is_in_doubt(lane: Lane, offset: float) -> None:
    there = {part.case.key.id: part.case for part in lane.parts}
    again = written(Pen().lane(lane, offset), offset).lane(there.get)
    assert (again.channel, again.key, again.pace, again.gathers) == (lane.channel, lane.key, lane.pace, lane.gathers)
    assert same(again.group, lane.group)
    assert same(again.not_before, lane.not_before)
    assert again.key_text == lane.key_text
    assert not again.busy
    message = lane.message
    if message is None or not (lane.busy or message.attempts):
        assert (again.message, again.parts) == (None, ())
        return
    assert again.message is not None
    assert same(again.message.notice, message.notice)
    assert same(again.message.born_at, message.born_at)
    assert again.message.attempts == message.attempts + lane.busy
    assert again.message.in_doubt is (message.in_doubt or lane.busy)
    assert [part.case for part in again.parts] == [part.case for part in lane.parts]
    for one, other in zip(again.parts, lane.parts, strict=True):
        assert same((one.incident, one.reason, one.item), (other.incident, other.reason, other.item))


@given(lanes(), st.randoms(use_true_random=False))
def test_of_alerts_that_are_gone_the_message_says_the_same_and_the_rest_keep_their_parts(lane: Lane, luck: Random) -> None:
    there = {part.case.key.id: part.case for part in lane.parts if luck.random() < 0.5}
    again = written(Pen().lane(lane, 0.0), 0.0).lane(there.get)
    assert (again.message is not None) is (lane.message is not None and bool(lane.busy or lane.message.attempts))
    if again.message is not None and lane.message is not None:
        assert same(again.message.notice, lane.message.notice)
        left = [part for part in lane.parts if part.case.key.id in there]
        assert [part.case for part in again.parts] == [part.case for part in left]
        assert same([part.item for part in again.parts], [part.item for part in left])


@given(silences(), offsets)
def test_a_silence_reads_as_it_was_written(silence: Silence, offset: float) -> None:
    again = written(Pen().silence(silence, offset), offset).silence()
    assert same(again, silence)
    assert str(again.matchers) == str(silence.matchers)


@given(letters, offsets)
def test_a_dead_letter_reads_as_it_was_written(letter: Letter, offset: float) -> None:
    again = written(Pen().letter(letter, offset), offset).letter()
    assert same(again, letter)
    assert again.id == letter.id


# Damage

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=4,
)

RECORDS = {
    Kind.ALERT: cases().map(lambda case: Pen().case(case, 0.0)()),
    Kind.LANE: lanes().map(lambda lane: Pen().lane(lane, 0.0)()),
    Kind.SILENCE: silences().map(lambda silence: Pen().silence(silence, 0.0)()),
    Kind.LETTER: letters.map(lambda letter: Pen().letter(letter, 0.0)()),
}


def places(document: Any) -> Iterator[tuple[Any, Any]]:  # Any: as in JSON
    """Each list or object in a document, with each of its indices or keys."""
    inner = document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    for key, value in inner:
        yield document, key
        yield from places(value)


@st.composite
def damaged(draw: st.DrawFn, text: str) -> str:
    """A record of which one value was replaced, or one is gone."""
    document = json.loads(text)
    container, key = draw(st.sampled_from(list(places(document))))
    if draw(st.booleans()):
        del container[key]
    else:
        container[key] = draw(ANY_JSON)
    return json.dumps(document)


def store_of(records: Mapping[tuple[Kind, str], str | bytes]) -> MemoryStore:
    store = MemoryStore()
    store.open()
    store.commit([Change(kind, key, record) for (kind, key), record in records.items()])
    return store


def counted(restored: Restored) -> dict[Kind, int]:
    return {
        Kind.ALERT: len(restored.cases),
        Kind.LANE: len(restored.lanes),
        Kind.SILENCE: len(restored.silences),
        Kind.LETTER: len(restored.letters),
    }


def one_of_each() -> dict[tuple[Kind, str], str]:
    """One sound record of each kind, of a rule that the program has."""
    sim = Simulator(RULES[0], channels=[RecordingChannel("ops", lambda _: Retry("down"))], with_store=True)
    sim.manager.silence(alertname="else", duration="1h")
    sim.set("queue", 9)
    sim.advance("1m")
    stored = [(kind, key, str(record)) for kind in RECORDS for key, record in kept(sim).load(kind)]
    letter = Pen().letter(Letter(sim_notice(stored), "ops", 0.0, ("busy_app",), "refused", 1), 0.0)()
    return {**{(kind, key): record for kind, key, record in stored}, (Kind.LETTER, "m-1"): letter}


def kept(sim: Simulator) -> MemoryStore:
    sim._keep()
    return sim._store


def sim_notice(stored: list[tuple[Kind, str, str]]) -> Notice:
    (lane,) = [Reading.of(record, 0.0).lane(lambda _: None) for kind, _, record in stored if kind is Kind.LANE]
    assert lane.message is not None
    return lane.message.notice


SOUND = one_of_each()

DEEP = "[" * 100_000


@pytest.mark.parametrize("kind", RECORDS)
@settings(max_examples=examples(60))
@given(data=st.data())
def test_damage_costs_no_other_record(kind: Kind, data: st.DataObject) -> None:
    record = data.draw(RECORDS[kind].flatmap(damaged))
    restored = read_store(store_of({**SOUND, (kind, "damaged"): record}), 0.0)
    assert restored.unread <= {(kind, "damaged")}
    assert counted(restored) == {one: 1 + (one is kind and not restored.unread) for one in RECORDS}


@pytest.mark.parametrize("kind", RECORDS)
@settings(max_examples=examples(60))
@given(data=st.data())
def test_what_reads_in_spite_of_damage_can_be_taken_on_judged_shown_and_written(kind: Kind, data: st.DataObject) -> None:
    """One such record kept the manager from starting, or each later commit from being made."""
    (key,) = [key for of, key in SOUND if of is kind]
    record = data.draw(damaged(SOUND[kind, key]))
    sim = Simulator(RULES[0], with_store=True)
    core = sim.manager.core
    for _ in core.restore(read_store(store_of({**SOUND, (kind, key): record}), 0.0)):
        pass
    core.keep_all()
    kept(sim)
    core.begin()
    sim.set("queue", 9)
    assert len(sim.manager.dead_letters()) <= 1
    assert len(sim.manager.outbox()) <= 1
    core.keep_all()
    kept(sim)


@pytest.mark.parametrize(
    "record",
    ["", "null", "[]", "5", "{}", "{", b"\x00", DEEP, '{"rules": [{}]}', '{"rules": [], "incidents": [[]]}'],
    ids=lambda record: repr(record)[:12],
)
@pytest.mark.parametrize("kind", RECORDS)
def test_a_record_that_is_none_is_said_in_one_line(
    kind: Kind, record: str | bytes, caplog: pytest.LogCaptureFixture
) -> None:
    restored = read_store(store_of({**SOUND, (kind, "b\nd"): record}), 0.0)
    assert restored.unread == {(kind, "b\nd")}
    assert counted(restored) == dict.fromkeys(RECORDS, 1)
    (line,) = caplog.messages
    assert line.startswith(f"the {kind.value} 'b\\nd' in the store cannot be read: ")
    assert "\n" not in line


@pytest.mark.parametrize("kind", RECORDS)
def test_what_a_later_version_may_add_is_passed_over(kind: Kind) -> None:
    (key,) = [key for of, key in SOUND if of is kind]
    record = json.dumps({**json.loads(SOUND[kind, key]), "added": [1]})
    assert counted(read_store(store_of({**SOUND, (kind, key): record}), 0.0)) == dict.fromkeys(RECORDS, 1)


# Rings


def rings_of(registry: MetricsRegistry) -> dict[tuple[Kind, str], bytes | str]:
    changes = [change for change in ring_changes(registry, -math.inf) if change is not None]
    return {(change.kind, change.key): change.document for change in changes if change.document is not None}


def a_registry() -> MetricsRegistry:
    registry = MetricsRegistry(clock=ManualClock())
    registry.collector("app").set_gauge("queue", 9, {"a": "\ud83d"})
    return registry


@given(
    st.text() | ANY_JSON.map(json.dumps) | st.sampled_from(list(rings_of(a_registry()))).flatmap(lambda at: damaged(at[1]))
)
def test_a_ring_of_a_damaged_name_is_forgotten_and_costs_no_other(key: str) -> None:
    registry = a_registry()
    sound = rings_of(registry)
    (document,) = sound.values()
    store = store_of({(Kind.RING, key.encode("utf-8", "replace").decode()): document, **sound})
    rings = rings_in(store, EPOCH, 0.0)
    assert 1 <= len(rings) <= 2
    again = MetricsRegistry(clock=ManualClock())
    again.restore(rings)
    assert len(list(store.load(Kind.RING))) == len(rings)


@pytest.mark.parametrize("document", [b"", b"\x01", "text", bytes(range(200))], ids=repr)
def test_a_damaged_ring_is_forgotten(document: bytes | str) -> None:
    ((_, key),) = rings_of(a_registry())
    store = store_of({(Kind.RING, key): document})
    assert rings_in(store, EPOCH, 0.0) == []
    assert list(store.load(Kind.RING)) == []


def test_a_ring_comes_back_under_its_name() -> None:
    registry = a_registry()
    (ring,) = rings_in(store_of(rings_of(registry)), EPOCH, 0.0)
    assert (ring.collector, ring.metric, ring.kind, dict(ring.labels)) == ("app", "queue", "gauge", {"a": "?"})


def test_a_ring_too_old_to_be_of_use_is_forgotten() -> None:
    store = store_of(rings_of(a_registry()))
    assert rings_in(store, EPOCH, 3 * 86_400.0)
    assert rings_in(store, EPOCH, 5 * 86_400.0) == []
    assert list(store.load(Kind.RING)) == []
