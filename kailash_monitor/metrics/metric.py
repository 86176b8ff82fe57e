"""A metric: one name, its series, and what all of them say together."""

import math
import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Final, Protocol, TypeVar

from kailash_monitor.clock import Clock
from kailash_monitor.errors import MetricError, ValueRefused
from kailash_monitor.metrics.checkpoint import Past, encode
from kailash_monitor.metrics.definition import OVERFLOW, Definition, check_label_names, in_words
from kailash_monitor.metrics.label_index import LabelIndex
from kailash_monitor.metrics.reads import Reads, window_seconds
from kailash_monitor.metrics.recorder import Family, Hook, Recorder
from kailash_monitor.metrics.removals import Removals
from kailash_monitor.metrics.series import CallbackSeries, CounterSeries, DistributionSeries, GaugeSeries, Series
from kailash_monitor.model.durations import Duration
from kailash_monitor.model.labels import NO_LABELS, Labels, label_value
from kailash_monitor.model.metric import MetricType
from kailash_monitor.model.views import settled
from kailash_monitor.model.window import (
    CounterWindow,
    DistributionWindow,
    GaugeWindow,
    Window,
    merge_counters,
    merge_distributions,
    merge_gauges,
)

__all__ = ["Metric", "MetricOwner", "MetricPoint"]

KNOWN_PER_SERIES: Final = 2
"""Orders in which the labels of one series may be given and are remembered: more than a program's source has."""

SWEEPS_PER_TTL: Final = 8
"""How often in a `ttl` one looks for series that are over it: they stay an eighth longer at most."""

REMOVED_PER_SERIES: Final = 2
"""Removed label sets that are remembered for each series there may be: all those of a clear, past the limit included."""

GIVEN_UP_AT_ONCE: Final = 2
"""Adding one series to the total of the removed takes up to some milliseconds; the rest waits for the next time."""

KEPT_PER_SERIES: Final = 2
"""Label sets of before a restart that are remembered for each series there may be: those past the limit included."""

LOOKED_AT_AT_ONCE: Final = 1000
"""Series of which a fraction of a millisecond tells that nobody recorded them."""


PREPARED_AT_ONCE: Final = 512
"""Series that are put into groups in a millisecond or two."""


class MetricOwner(Protocol):
    """What a metric needs of its collector."""

    max_series: int

    @property
    def clock(self) -> Clock:
        """The timeline of all its metrics."""
        ...

    @property
    def strict(self) -> bool:
        """Whether a value that cannot be recorded is raised."""
        ...

    def report(self, text: str) -> None:
        """Tell the operator, without raising."""
        ...

    def count_refused(self, metric: str) -> None:
        """Count a value that could not be recorded."""
        ...

    def count_overflowed(self, metric: str) -> None:
        """Count a label set past the limit."""
        ...


@dataclass(frozen=True, slots=True)
class MetricPoint:
    """One value of the recent past. `timestamp` is an aware datetime in UTC."""

    timestamp: datetime
    value: float
    labels: Mapping[str, str]


T = TypeVar("T", bound=Series)

_KINDS: Final[Mapping[MetricType, type[CounterSeries | GaugeSeries | DistributionSeries]]] = {
    MetricType.COUNTER: CounterSeries,
    MetricType.GAUGE: GaugeSeries,
    MetricType.HISTOGRAM: DistributionSeries,
    MetricType.TIMER: DistributionSeries,
}


class Metric(Reads):
    """All series of one name.

    Reads without labels speak of the metric as a whole: counters and distributions add up, what removed and overflowing
    series counted included; a gauge gives the value set last. `refused` counts recordings that were dropped, `overflowed`
    label sets that were looked up past the limit, as often as they were. `hooks` watch it from the beginning.

    What its series recorded before a restart waits in the attic until each is made again. Counters among them are counted in
    windows meanwhile, and stand on no page.

    Mutable: the series, what is known of them, who watches and what was reported, under the family's lock.
    """

    def __init__(self, definition: Definition, owner: MetricOwner, hooks: tuple[Hook, ...] = ()) -> None:
        self.definition: Final = definition
        self.metadata: Final = definition.metadata
        self.bounds: Final = definition.bounds
        self.refused = 0
        self.overflowed = 0
        self.epoch = 0
        self.children: Final[dict[object, Series]] = {}
        """By label values in the order of the declared labels; by Labels where any labels are taken."""
        self._owner = owner
        self._family = Family(owner.clock.now, self._refuse, self._readmit, owner.clock.now(), self.bounds, hooks=hooks)
        self._overflow: dict[Labels, Series] = {}
        self._retired: CounterSeries | DistributionSeries | None = None
        self._removals = Removals()
        self._attic: dict[Labels, Past] = {}
        self._dormant: dict[Labels, CounterSeries] = {}  # counters of which the attic has the past
        self._index: LabelIndex[Series] = LabelIndex(self._told_apart)
        self._known: dict[tuple[tuple[str, object], ...], Series] = {}  # by labels as they are given; texts only
        self._reported: set[str] = set()
        self._sweep_at = -math.inf
        self._asked = 0.0  # the longest window of a rule
        self._forgotten = -math.inf  # when a series was last touched of those that were given up for their ttl
        self._kept_overflowed = False  # kept label values are past the limit themselves

    def __repr__(self) -> str:
        return f"<Metric {self.name} {self.metric_type.value}, {len(self.children)} series>"

    @property
    def name(self) -> str:
        """The name within its collector."""
        return self.metadata.name

    @property
    def metric_type(self) -> MetricType:
        """Counter, gauge, histogram or timer."""
        return self.metadata.type

    @property
    def label_names(self) -> tuple[str, ...] | None:
        """The declared labels; None where any labels are taken."""
        return self.definition.label_names

    @property
    def series(self) -> list[Series]:
        """Every label set that was recorded, each to be read for itself; last those that count what is past the limit."""
        self._sweep()
        return self._all()

    # -- recording -----------------------------------------------------------------------------------------------------

    def child(self, labels: Mapping[str, object] | None, kind: type[T]) -> T:
        """Give the series of `labels`, made on first use; past the limit, the overflow series.

        Label names that the metric does not have, or a `kind` that is not the metric's, are a MetricError.
        """
        items = (*labels.items(),) if labels else ()
        try:
            series = self._known[items]
        except (KeyError, TypeError):  # TypeError: what cannot be hashed is a label all the same
            series = self._remember(items, self._find(labels or {}))
        if series.__class__ is not kind:
            raise self.wrong_kind(kind)
        return series  # pyright: ignore[reportReturnType]  # of that very class

    def child_of(self, texts: tuple[str, ...], kind: type[T]) -> T:
        """Give the series of these values of the declared labels, made on first use; past the limit, the overflow series."""
        series = self.children.get(texts) or self._make(texts, self._labels(texts))
        if series.__class__ is not kind:
            raise self.wrong_kind(kind)
        return series  # pyright: ignore[reportReturnType]  # of that very class

    def answer_by(self, callback: CallbackSeries) -> CallbackSeries:
        """Have the metric's only series be `callback`, unless it has one already; give the one it has."""
        with self._family.lock:
            found = self.children.setdefault((), callback)
            assert isinstance(found, CallbackSeries)
            if found.every is None:
                self._family.hooks = ()  # see `watch`
            past = self._attic.pop(NO_LABELS, None)
            if past is not None:
                found.precede(past)
        return found

    @property
    def family(self) -> Family:
        """What its series share."""
        return self._family

    def retain(self, seconds: float) -> None:
        """Keep so many seconds of history at least, and every series that was touched in them."""
        self._asked = max(self._asked, seconds)
        self._family.retention = max(self._family.retention, seconds)

    def _find(self, labels: Mapping[str, object]) -> Series:
        key = self._key(labels)
        return self.children.get(key) or self._make(key, key if isinstance(key, Labels) else self._labels(key))

    def _labels(self, texts: tuple[str, ...]) -> Labels:
        return Labels.of(self.label_names or (), texts)

    def _key(self, labels: Mapping[str, object]) -> Labels | tuple[str, ...]:
        """Give what a series is found by; a MetricError for label names that the metric does not have."""
        names = self.label_names
        if names is None:
            found = Labels(labels)
            check_label_names(self.metadata, found.names)
            return found
        if labels.keys() != set(names):
            raise MetricError(
                f"metric {self.name!r}",
                seen=f"the labels {in_words(tuple(labels))}",
                expected=f"it has the labels {in_words(names)}",
            )
        return tuple([label_value(labels[name]) for name in names])

    def _remember(self, items: tuple[tuple[str, object], ...], series: Series) -> Series:
        """Keep the way from these very labels to their series: making Labels of them takes longer than all the rest.

        Not past the limit: there may be room the next time.
        """
        if OVERFLOW in series.labels:
            return series
        if all(type(value) is str for _, value in items):
            if len(self._known) >= KNOWN_PER_SERIES * self._owner.max_series:
                self._known.clear()
            self._known[items] = series
        return series

    def _make(self, key: object, labels: Labels) -> Series:
        self._sweep()
        with self._family.lock:
            series = self.children.get(key)
            if series is not None:
                return series
            if len(self.children) < self._owner.max_series:
                made = self._new(labels)
                if self._retired is not None:
                    made.born = self._owner.clock.now()  # it may have been there before: what is counted begins anew
                self.children[key] = made
                self._index.add(made)
                return made
            series = self._past_the_limit(labels)
        self._owner.count_overflowed(self.name)
        if "overflow" not in self._reported:  # to find the most varied label takes long
            self._report_once(
                "overflow",
                f"metric {self.name!r} has reached its limit of {self._owner.max_series} series; further label sets are "
                f"counted together in {series.labels!r}. Most varied: {self._most_varied_label()}",
            )
        return series

    def _new(self, labels: Labels) -> CounterSeries | GaugeSeries | DistributionSeries:
        """Make the series of these labels, which goes on where that of another process ended."""
        dormant, past = self._dormant.pop(labels, None), self._attic.pop(labels, None)
        made = dormant or _KINDS[self.metric_type](labels, self._family)
        if past is not None and dormant is None:
            made.precede(past)
        return made

    def _past_the_limit(self, labels: Labels) -> Series:
        self.overflowed += 1
        key = Labels({OVERFLOW: "true", **{name: labels.get(name, "") for name in self.definition.keep}})
        if key not in self._overflow and len(self._overflow) >= max(1, self._owner.max_series):
            key, self._kept_overflowed = Labels({OVERFLOW: "true"}), True
        series = self._overflow.get(key)
        if series is None:
            series = self._overflow[key] = self._new(key)
            self._index.add(series)
        return series

    def wrong_kind(self, kind: type[object]) -> MetricError:
        """Give the error for recording it as another kind than it is."""
        computed = self.callback is not None
        return MetricError(
            f"metric {self.name!r}",
            seen=f"recorded as {_NAMES[kind]}",
            expected=f"it is a {self.metric_type.value}{', and a callback gives its value' if computed else ''}",
        )

    def most_varied(self) -> tuple[str, int] | None:
        """Give the label with most values and their number; None where there are no labels."""
        values: dict[str, set[str]] = {}
        for series in self.children.copy().values():
            for name, value in series.labels.items():
                values.setdefault(name, set()).add(value)
        return max(((name, len(found)) for name, found in values.items()), key=lambda pair: pair[1], default=None)

    def _most_varied_label(self) -> str:
        most = self.most_varied()
        return "none" if most is None else f"label {most[0]!r} with {most[1]} values"

    def _refuse(self, value: object, why: str) -> None:
        if self._owner.strict:
            raise ValueRefused(f"metric {self.name!r}: {_shown(value)} is {why}")
        with self._family.lock:
            self.refused += 1
        self._owner.count_refused(self.name)
        if why not in self._reported:
            text = f"metric {self.name!r} dropped the value {_shown(value)}: {why}. Further ones are only counted"
            self._report_once(why, text)

    def _report_once(self, topic: str, text: str) -> None:
        with self._family.lock:
            if topic in self._reported:
                return
            self._reported.add(topic)
        self._owner.report(text)

    # -- watching ------------------------------------------------------------------------------------------------------

    def watch(self, hook: Hook) -> None:
        """Call `hook()` after every recording into any series, now and to come, once it can be read; and once right away.

        Whatever is recorded before `unwatch` is thus followed by a call, also what was about to be when this began. There is
        none for a value that is refused, for a removal, and for an answer that a callback gives because somebody looks: to
        look would be a reason to look again. Watched recordings take the lock, and one to two microseconds. `hook` runs in
        the thread that recorded, must be quick and must not raise. Given twice, it is called twice.
        """
        self._family.record(lambda: self._have_watched(hook))
        hook()

    def unwatch(self, hook: Hook) -> None:
        """Call `hook` no more, or once less often; nothing happens where it does not watch."""
        with self._family.lock:
            hooks = [*self._family.hooks]
            if hook in hooks:
                hooks.remove(hook)
                self._family.hooks = tuple(hooks)  # a new one: others may be calling the old ones

    def _have_watched(self, hook: Hook) -> bool:
        if self.callback is None or self.callback.every is not None:
            self._family.hooks += (hook,)
            for series in self._all():
                series.shut()
        return False  # nothing was recorded

    # -- removing ------------------------------------------------------------------------------------------------------

    def remove(self, labels: Mapping[str, object]) -> bool:
        """Forget the series of `labels`; whether there was one.

        What a counter or distribution counted stays in the metric's total; the label set begins anew when it is recorded
        again, also through a handle that somebody kept. What is known of it from before a restart is forgotten.
        """
        key = self._key(labels)
        with self._family.lock:
            series = self.children.get(key)
            if isinstance(series, CallbackSeries):
                return False
            found = (key if isinstance(key, Labels) else self._labels(key)) if series is None else series.labels
            if series is not None:
                self._give_up({key: series})
            elif not self._leave(found):
                return False
            self._note_removed([found])
            return True

    def clear(self) -> None:
        """Forget all series and what they counted, the metric's total included: it begins anew. A callback goes on."""
        with self._family.lock:
            removed = [series for series in self._all() if not isinstance(series, CallbackSeries)]
            for series in removed:
                series.remove()
            self._note_removed([*[series.labels for series in removed], *self._attic])
            callback = self.callback
            self.children.clear()
            if callback is not None:
                self.children[()] = callback
            self._overflow.clear()
            self._attic.clear()
            self._dormant.clear()
            self._known.clear()
            self._index.clear()
            self._retired = None
            self._family.born = self._owner.clock.now()

    def removed_since(self, match: Mapping[str, str], since: float) -> bool:
        """Whether a series with all labels of `match` was taken away by `remove` or `clear` at `since` or later.

        What was given up for its `ttl` does not count. Twice as many label sets as there may be series are remembered, those
        removed last; of one that is forgotten the answer is False.
        """
        with self._family.lock:
            return self._removals.since(match, since)

    def _note_removed(self, removed: Sequence[Labels]) -> None:
        now, limit = self._owner.clock.now(), REMOVED_PER_SERIES * self._owner.max_series
        for labels in removed:
            self._removals.note(labels, now, limit)

    def _give_up(self, series: Mapping[object, CounterSeries | GaugeSeries | DistributionSeries]) -> None:
        """Take the series out; what they counted becomes part of the metric's total.

        That is a new object, and the old ones are left as they are: whoever has just taken hold of them to read the metric
        as a whole reads what it was.
        """
        retired = () if self._retired is None else (self._retired,)
        counters = [one for one in (*retired, *series.values()) if isinstance(one, CounterSeries)]
        distributions = [one for one in (*retired, *series.values()) if isinstance(one, DistributionSeries)]
        for key, one in series.items():
            one.remove()
            del self.children[key]
            self._index.discard(one)
        if counters:
            self._retired = CounterSeries.joined(self._family, counters)
        elif distributions:
            self._retired = DistributionSeries.joined(self._family, distributions)
        self._known.clear()  # they are soon known again, and looking for those that are gone takes longer

    def _readmit(self, series: Recorder) -> Recorder:
        """Give the series to record into in place of a removed one: itself again, unless another has taken its place."""
        if OVERFLOW in series.labels:
            instead: Series = self._past_the_limit(series.labels)
            assert isinstance(instead, Recorder)
            return instead
        key: object = series.labels if self.label_names is None else series.labels.texts
        found = self.children.get(key)
        if found is None and len(self.children) < self._owner.max_series:
            self.epoch += 1
            series.readmit(self._owner.clock.now())
            self.children[key] = series  # type: ignore[assignment]  # it was one of them
            self._index.add(series)  # type: ignore[arg-type]  # as above
            return series
        instead = found or self._past_the_limit(series.labels)
        assert isinstance(instead, Recorder)
        return instead

    def _sweep(self) -> None:
        """Give up the series that nobody touched for `ttl`, nor in the longest window that a rule looks at."""
        ttl = self.definition.ttl
        if ttl is None:
            return
        now = self._owner.clock.now()
        if now < self._sweep_at:
            return
        with self._family.lock:
            horizon = now - max(ttl, self._asked)
            over = {
                key: series
                for key, series in self.children.items()
                if not isinstance(series, CallbackSeries) and max(series.touched_at, series.born) < horizon
            }
            some = dict(islice(over.items(), GIVEN_UP_AT_ONCE))
            self._sweep_at = now if len(over) > len(some) else now + ttl / SWEEPS_PER_TTL
            if some:
                self._forgotten = max(self._forgotten, *[series.touched_at for series in some.values()])
                self._give_up(some)

    # -- restarting ----------------------------------------------------------------------------------------------------

    def checkpoint(self, since: float, offset: float) -> Iterator[tuple[Labels, bytes] | None]:
        """Give the past of the series that were recorded at `since` or later, and pauses in between.

        Without bytes come those that were removed since then. Not among them is what waits in the attic, which is where it
        came from, and what removed series left in the metric's total. What in the attic is past the retention is forgotten.
        """
        with self._family.lock:
            horizon = self._owner.clock.now() - self._family.retention
            for labels in [labels for labels, past in self._attic.items() if past.until < horizon]:
                self._leave(labels)
            removed = self._removals.noted_since(since)
        yield None
        there = self._all()
        for start in range(0, len(there), LOOKED_AT_AT_ONCE):
            for series in there[start : start + LOOKED_AT_AT_ONCE]:
                touched_at = series.set_at if isinstance(series, CallbackSeries) else series.touched_at
                now = self._owner.clock.now()
                history = series.kept(now) if touched_at >= since else None
                if history is not None:
                    yield series.labels, encode(history, until=now, offset=offset)
            yield None
        for labels in removed:
            if self._standing(labels) is None:
                yield labels, b""

    def restore(self, pasts: Iterable[Past]) -> int:
        """Have the series go on where those of another process ended, those to come as well; how many pasts do not fit.

        Totals do not go on: they are of this process. What happened before `born` of the family is known, yet not covered.
        """
        return sum([not self._take(past) for past in pasts])

    def _take(self, past: Past) -> bool:
        labels = self._in_order(past.labels)
        if labels is None or past.kind != self.metric_type.value:
            return False
        with self._family.lock:
            found = self._standing(labels)
            if past.until < self._owner.clock.now() - self._family.retention:
                return True  # forgotten as if it had been here all the time
            if found is not None:
                found.precede(past)
            elif len(self._attic) >= KEPT_PER_SERIES * self._owner.max_series:
                return False
            elif labels not in self._attic:
                self._attic[labels] = past
                if self.metric_type is MetricType.COUNTER:
                    dormant = self._dormant[labels] = CounterSeries(labels, self._family)
                    dormant.precede(past)
                    self._index.add(dormant)
            return True

    def _in_order(self, labels: Labels) -> Labels | None:
        """Give the labels in the order of those of the metric; None where it has others."""
        names = self.label_names
        if names is None or OVERFLOW in labels:
            return labels
        return Labels.of(names, tuple([labels[name] for name in names])) if labels.keys() == set(names) else None

    def _standing(self, labels: Labels) -> Series | None:
        """Give the series of these labels, in the metric's order, if there is one."""
        if OVERFLOW in labels:
            return self._overflow.get(labels)
        return self.children.get(labels if self.label_names is None else labels.texts)

    def _leave(self, labels: Labels) -> bool:
        """Forget what the attic has of these labels; whether there was anything."""
        dormant = self._dormant.pop(labels, None)
        if dormant is not None:
            self._index.discard(dormant)
        return self._attic.pop(labels, None) is not None

    # -- reading -------------------------------------------------------------------------------------------------------

    def select(self, match: Mapping[str, str]) -> list[Series]:
        """Give the series that have all labels of `match`."""
        self._sweep()
        with self._family.lock:
            return list(self._index.find(match))

    def prepare(self, match: Mapping[str, str], by: tuple[str, ...]) -> bool:
        """Do a piece of the work that `groups` has with a question it has not heard; whether there is more of it."""
        if not match and not by:
            return False
        with self._family.lock:
            return self._index.prepare(match, by, PREPARED_AT_ONCE)

    def groups(self, match: Mapping[str, str], by: tuple[str, ...]) -> Mapping[Labels, Sequence[Series]]:
        """Give them by their values of the labels `by`; without match and by, also what removed series counted."""
        self._sweep()
        if not match and not by:
            return {NO_LABELS: self._everything()}
        with self._family.lock:
            return self._index.groups(match, by)

    def _everything(self) -> list[Series]:
        with self._family.lock:  # series and what was removed of one moment: nothing is read twice, or not at all
            retired = self._retired
            return self._told_apart() if retired is None else [*self._told_apart(), retired]

    def _told_apart(self) -> list[Series]:
        return [*self._all(), *self._dormant.values()] if self._dormant else self._all()

    def _all(self) -> list[Series]:
        if not self._overflow:
            return list(self.children.copy().values())
        return [*self.children.copy().values(), *self._overflow.copy().values()]

    def empty_window(self, seconds: float, now: float, told_apart_by: Sequence[str] = ()) -> Window:
        """Give the window of a label set that nobody has recorded.

        It is partial where such a label set may have been recorded past the limit in that time, and covers only what came
        after those that were given up.
        """
        self._sweep()
        start, covers_since, partial = now - seconds, self._family.born, False
        if told_apart_by:
            keep = () if self._kept_overflowed else self.definition.keep
            covers_since = max(covers_since, self._forgotten)
            partial = any(name not in keep for name in told_apart_by) and any(
                series.touched_at > start for series in self._overflow.copy().values()
            )
        match self.metric_type:
            case MetricType.COUNTER:
                return CounterWindow(start, now, covers_since, partial=partial)
            case MetricType.GAUGE:
                return GaugeWindow(start, now, covers_since, partial=partial)
            case MetricType.HISTOGRAM | MetricType.TIMER:
                return DistributionWindow(start, now, covers_since, partial=partial)

    def window(
        self, window: Duration | None = None, match: Mapping[str, str] | None = None, now: float | None = None
    ) -> Window:
        """Give the window of the metric as a whole, or of the series that have the labels of `match`."""
        seconds = window_seconds(window)
        at = self._owner.clock.now() if now is None else now
        return settled(lambda: self._window(seconds, match or {}, at), self)

    def _window(self, seconds: float, match: Mapping[str, str], at: float) -> Window:
        self._sweep()
        series = self.select(match) if match else self._everything()
        empty = self.empty_window(seconds, at, tuple(match))
        windows = [one.window(seconds, at) for one in series]
        match empty:
            case CounterWindow():
                return merge_counters([empty, *[w for w in windows if isinstance(w, CounterWindow)]])
            case DistributionWindow():
                return merge_distributions([empty, *[w for w in windows if isinstance(w, DistributionWindow)]])
            case GaugeWindow():
                return merge_gauges([empty, *[w for w in windows if isinstance(w, GaugeWindow)]])

    def _read(self, seconds: float) -> Window:
        return self.window(seconds)

    def latest(self) -> float | None:
        """Give a counter's total, the value a gauge was set to last, the last observation of a distribution."""
        return settled(self._latest, self)

    def _latest(self) -> float | None:
        self._sweep()
        series = self._everything()
        if self.metric_type is MetricType.COUNTER:
            return sum([one.total for one in series if isinstance(one, CounterSeries)])
        newest = max(series, key=lambda one: one.touched_at, default=None)
        match newest:
            case GaugeSeries() | CallbackSeries():
                return newest.value
            case DistributionSeries():
                return newest.latest
            case _:
                return None

    def get_latest_value(self) -> float | None:
        """Give a counter's total, the value a gauge was set to last, the last observation of a distribution.

        What a callback raises is raised here.
        """
        self.look()
        return self.latest()

    @property
    def callback(self) -> CallbackSeries | None:
        """The callback that gives the value, if there is one."""
        series = self.children.get(())
        return series if isinstance(series, CallbackSeries) else None

    def look(self) -> None:
        """Have the callback, if there is one, answer now; NoAnswer where it does not."""
        if self.callback is not None:
            self.callback.look(self._owner.clock.now())

    @property
    def points(self) -> list[MetricPoint]:
        """The recent past of every series, oldest first: totals of a counter, values of a gauge, averages of a second."""
        offset = self._owner.clock.wall() - self._owner.clock.now()
        points = [
            MetricPoint(datetime.fromtimestamp(at + offset, UTC), value, series.labels)
            for series in self.series
            for at, value in series.points()
        ]
        return sorted(points, key=lambda point: point.timestamp)


_NAMES: Final[dict[type[object], str]] = {
    CounterSeries: "a counter",
    GaugeSeries: "a gauge",
    DistributionSeries: "a distribution",
}


def _shown(value: object) -> str:
    try:
        return reprlib.repr(value)
    except Exception:  # the code of whatever it is
        return f"<{type(value).__name__}>"
