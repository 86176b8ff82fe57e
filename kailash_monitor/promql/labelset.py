"""Label sets: what tells the series of a query apart, the metric's name among the labels."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from kailash_monitor.promql.quoting import quoted

__all__ = ["METRIC_NAME", "NO_LABEL_SET", "LabelSet"]

METRIC_NAME: Final = "__name__"
"""The label that is a metric's name."""

METADATA: Final = (METRIC_NAME, "__type__", "__unit__")
"""The labels that say what the values are: none of them is true any more of what was computed from these."""


_PLAIN: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class LabelSet:
    """The labels of a series, none of them empty. `labels` must never be changed.

    `drops_name` says that the name, which is still here, is no part of the result (delayed name removal). What was made
    from the labels is kept with them: a query asks again at each of its steps.
    """

    __slots__ = ("_dropping", "_hash", "_nameless", "drops_name", "labels")

    def __init__(self, labels: Mapping[str, str], *, drops_name: bool = False) -> None:
        self.labels: dict[str, str] = {name: value for name, value in labels.items() if value}
        self.drops_name = drops_name
        self._hash: int | None = None
        self._nameless: LabelSet | None = None
        self._dropping: LabelSet | None = None

    @property
    def name(self) -> str:
        """The metric's name; empty where there is none."""
        return self.labels.get(METRIC_NAME, "")

    @property
    def nameless(self) -> "LabelSet":
        """The same labels without the metric's name (and type and unit, which Prometheus may have as labels)."""
        if self._nameless is None:
            self._nameless = self if self.labels.keys().isdisjoint(METADATA) else self.without(METADATA)
        return self._nameless

    @property
    def unnamed(self) -> "LabelSet":
        """The same labels without the metric's name, whatever the others say."""
        described = "__type__" in self.labels or "__unit__" in self.labels
        return self.without((METRIC_NAME,)) if described else self.nameless

    @property
    def dropping(self) -> "LabelSet":
        """The same labels, whose name is no part of the result."""
        if self._dropping is None:
            self._dropping = self if self.drops_name else LabelSet(self.labels, drops_name=True)
        return self._dropping

    def only(self, names: Iterable[str]) -> "LabelSet":
        """Give those of the labels that are called `names`."""
        labels = self.labels
        return LabelSet({name: labels[name] for name in names if name in labels})

    def without(self, names: Iterable[str]) -> "LabelSet":
        """Give the labels that are not called `names`."""
        left = dict(self.labels)
        for name in names:
            left.pop(name, None)
        return LabelSet(left)

    def changed(self, changes: Mapping[str, str]) -> "LabelSet":
        """Give the labels with these values instead; an empty value takes a label away."""
        return LabelSet({**self.labels, **changes}, drops_name=self.drops_name and METRIC_NAME not in changes)

    def __eq__(self, other: object) -> bool:
        """Whether the labels are the same ones; what is to become of the name does not count."""
        return self is other or (isinstance(other, LabelSet) and self.labels == other.labels)

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(frozenset(self.labels.items()))
        return self._hash

    def __repr__(self) -> str:
        return self.text()

    def in_braces(self) -> str:
        """Give them as Prometheus' messages have them, the name among the others: `{__name__="up", job="a"}`."""
        pairs = [
            f"{name if _PLAIN.fullmatch(name) else quoted(name)}={quoted(value)}"
            for name, value in sorted(self.labels.items())
        ]
        return f"{{{', '.join(pairs)}}}"

    def text(self, quote: Callable[[str], str] = quoted) -> str:
        """Give them as PromQL has it: `up{job="a"}`, `{}` for none."""
        pairs = sorted(pair for pair in self.labels.items() if pair[0] != METRIC_NAME)
        inside = ", ".join(f"{name}={quote(value)}" for name, value in pairs)
        return f"{self.name}{{{inside}}}" if inside or not self.name else self.name


NO_LABEL_SET: Final = LabelSet({})
