"""Annotations: what a query's author should know of how it was evaluated."""

from typing import Any, Protocol

from kailash_monitor.promql.numbers import general_text
from kailash_monitor.promql.tree import Expression

__all__ = ["Annotations", "Detail", "position"]


class Detail(Protocol):
    """What an info says beside its message: of all that it was told of in a query, in one. `str()` gives the text."""

    def joined(self, later: Any, /) -> "Detail":  # Any: another of its own kind
        """Give both in one."""
        ...


class Annotations:
    """Warnings and infos, worded and placed as Prometheus has it. Mutable, by the evaluation it is of.

    Each is told once, with the place at which it came up last; or, where it comes with details, first.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._warnings: dict[str, Expression] = {}
        self._infos: dict[str, tuple[Expression, Detail | None]] = {}

    def warn(self, message: str, node: Expression) -> None:
        """Say that the result is likely not what was meant."""
        self._warnings[message] = node

    def inform(self, message: str, node: Expression, detail: Detail | None = None) -> None:
        """Say what may be a mistake."""
        if detail is not None and message in self._infos:
            node, before = self._infos[message]
            detail = detail if before is None else before.joined(detail)
        self._infos[message] = (node, detail)

    def check_quantile(self, quantile: float, node: Expression) -> None:
        """Warn of a quantile that is none: its results are infinite, or NaN."""
        if not 0 <= quantile <= 1:
            self.warn(f"quantile value should be between 0 and 1, got {general_text(quantile)}", node)

    @property
    def warnings(self) -> tuple[str, ...]:
        """All warnings, in the order in which they came up."""
        return tuple(f"PromQL warning: {text} ({position(self._text, node)})" for text, node in self._warnings.items())

    @property
    def infos(self) -> tuple[str, ...]:
        """All infos, in the order in which they came up."""
        return tuple(
            f"PromQL info: {text}{'' if detail is None else detail} ({position(self._text, node)})"
            for text, (node, detail) in self._infos.items()
        )


def position(text: str, node: Expression) -> str:
    """Give where a node stands as `line:column`, both from 1."""
    before = text[: node.start]
    return f"{before.count(chr(10)) + 1}:{node.start - before.rfind(chr(10))}"
