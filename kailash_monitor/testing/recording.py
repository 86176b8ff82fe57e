"""A channel that keeps what it is told, for tests."""

from collections.abc import Callable

from kailash_monitor.channels import DeliveringChannel
from kailash_monitor.delivery.outcome import Delivered, Outcome
from kailash_monitor.model.notice import Notice

__all__ = ["RecordingChannel"]


class RecordingChannel(DeliveringChannel):
    """Takes every notice and keeps it in `notices`, in order.

    It takes them as fast as they come.

    `answer(notice)` may decide otherwise: give an outcome, None for taken, or raise. `attempts` counts every try.
    """

    rate = (1e6, 1_000_000)

    def __init__(self, name: str | None = None, answer: Callable[[Notice], Outcome | None] | None = None) -> None:
        self.name = name
        self.notices: list[Notice] = []
        self.attempts: list[Notice] = []
        self._answer = answer

    async def deliver(self, notice: Notice) -> Outcome:
        """Keep the notice, unless `answer` gives another outcome."""
        self.attempts.append(notice)
        outcome = (self._answer(notice) if self._answer else None) or Delivered()
        if isinstance(outcome, Delivered):
            self.notices.append(notice)
        return outcome

    def told(self) -> list[tuple[str, str]]:
        """Give what was heard as pairs of kind and alert id."""
        return [(notice.kind.value, notice.alert.id) for notice in self.notices]
