"""Rule storage: the series that rules read and write while they are tested, which grow."""

from collections.abc import Sequence

from kailash_monitor.model.matcher import Operator
from kailash_monitor.promql.demand import demand
from kailash_monitor.promql.description import STALE, Stale
from kailash_monitor.promql.errors import EvaluationError
from kailash_monitor.promql.labelset import METRIC_NAME, LabelSet
from kailash_monitor.promql.samples import Sample, Samples
from kailash_monitor.promql.source import Exact, Pieces, Series
from kailash_monitor.promql.tree import LabelMatcher

__all__ = ["RuleStorage"]


class RuleStorage:
    """Series to be queried by PromQL. Mutable: whoever tests adds to it between two queries. Times are Unix milliseconds."""

    def __init__(self) -> None:
        self._by_name: dict[str, dict[LabelSet, _Growing]] = {}

    def append(self, labels: LabelSet, time: int, value: float | Stale) -> None:
        """Add what a series is at `time`, or that it has ended.

        An EvaluationError, worded as Prometheus words it, where there is something later, or something else, already.
        """
        named = self._by_name.setdefault(labels.name, {})
        one = named.get(labels)
        if one is None:
            one = named[labels] = _Growing(labels)
        one.append(time, value)

    def select(self, matchers: Sequence[LabelMatcher], start: int, end: int) -> Pieces[Sequence[Series]]:
        """Give the series that meet all demands, whether or not they have samples from `start` to `end`."""
        names = [one.value for one in matchers if one.name == METRIC_NAME and one.operator is Operator.EQUAL]
        groups = [self._by_name.get(names[0], {})] if names else self._by_name.values()
        found: list[Series] = [one for group in groups for one in group.values()]
        for matcher in matchers:
            meets = demand(matcher)
            found = [one for one in found if meets(one.labels.labels.get(matcher.name, ""))]
            yield
        return found


class _Growing:
    """A series, whose lists of samples grow."""

    __slots__ = ("_stale", "_times", "_values", "labels", "samples")

    def __init__(self, labels: LabelSet) -> None:
        self.labels = labels
        self._times: list[int] = []
        self._values: list[float] = []
        self._stale: list[int] = []
        self.samples = Samples(self._times, self._values, self._stale)

    def at(self, time: int, lookback: int) -> Sample | None:
        return self.samples.at(time, lookback)

    def exact(self, function: str) -> Exact | None:
        """Nothing is known but the samples."""
        return None

    def append(self, time: int, value: float | Stale) -> None:
        last = max(self._times[-1:] + self._stale[-1:], default=time - 1)
        if time < last:
            raise EvaluationError("out of order sample")
        if time == last:
            self._check_same(value)
        elif isinstance(value, Stale):
            self._stale.append(time)
        else:
            self._times.append(time)
            self._values.append(value)

    def _check_same(self, value: float | Stale) -> None:
        present = STALE if self._stale[-1:] > self._times[-1:] else self._values[-1]
        if value != present and (value == value or present == present):
            raise EvaluationError("duplicate sample for timestamp")
