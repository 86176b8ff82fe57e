"""What the site asks of a manager, and has it do."""

from collections.abc import Awaitable, Iterator, Mapping, Sequence
from typing import Protocol

from kailash_monitor.delivery.outcome import Outcome
from kailash_monitor.engine import Delivery, Health, RuleStatus
from kailash_monitor.engine.explanation import Explanation
from kailash_monitor.engine.people import OpenSilence
from kailash_monitor.engine.queries import LocalQueries
from kailash_monitor.engine.status import ChannelStatus, DeadLetter, SilenceStatus, Waiting
from kailash_monitor.engine.views import AlertView
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.model.alert import Alert
from kailash_monitor.model.durations import Duration
from kailash_monitor.model.matcher import MatchersGiven
from kailash_monitor.rules.recording import Recording

__all__ = ["Monitored"]


class Monitored(Protocol):
    """A manager as the site sees it; the blocking one answers as well, with results in place of awaitables.

    What changes something raises a ConfigurationError for what cannot be meant so, and has it done when it returns; where
    an awaitable comes back, the site waits for it before it answers.
    """

    @property
    def metrics_registry(self) -> MetricsRegistry:
        """What is measured."""
        ...

    @property
    def local_queries(self) -> LocalQueries:
        """Where queries find what is measured; evaluating them reads it, from any thread."""
        ...

    def health(self) -> Health:
        """Whether it does its work."""
        ...

    def rule_status(self) -> list[RuleStatus]:
        """What is judged."""
        ...

    def enable_rule(self, name: str) -> None:
        """Have a rule judged again."""
        ...

    def disable_rule(self, name: str) -> None:
        """Have a rule judged no more."""
        ...

    def evaluate_rule(self, name: str) -> Awaitable[bool] | bool:
        """Have a rule judged at once; whether there is one that is enabled."""
        ...

    @property
    def recordings(self) -> Mapping[Recording, str | None]:
        """What is recorded by rules, each with what is wrong with it, or None."""
        ...

    def get_all_alerts(self) -> list[Alert]:
        """What fires, or did of late."""
        ...

    def alert_slices(self) -> Iterator[Sequence[AlertView]]:
        """The same, some at a time: a thousand at once would hold the host program up."""
        ...

    def explain(self, alert_id: str) -> Explanation | None:
        """Why each channel was told of an alert or not; None where it is not known."""
        ...

    def channel_status(self) -> list[ChannelStatus]:
        """How the channels are doing."""
        ...

    def try_channel(self, name: str) -> Awaitable[Outcome | None] | Outcome | None:
        """Send a test through a channel; what became of it, None where there is none of that name."""
        ...

    def deliveries(self) -> list[Delivery]:
        """The last attempts to tell a channel, oldest first."""
        ...

    def outbox_slices(self) -> Iterator[Sequence[Waiting]]:
        """What waits for a channel, some at a time."""
        ...

    def dead_letters(self) -> list[DeadLetter]:
        """What was given up."""
        ...

    def resend(self, letter_id: str) -> Awaitable[bool] | bool:
        """Tell the present truth in place of a dead letter; whether there is one of that id."""
        ...

    def discard(self, letter_id: str) -> Awaitable[bool] | bool:
        """Forget a dead letter; whether there is one of that id."""
        ...

    def silences(self) -> list[SilenceStatus]:
        """What was silenced."""
        ...

    def preview_silence(self, matchers: MatchersGiven = None) -> list[Alert]:
        """What a silence with these matchers would cover now."""
        ...

    def silence(
        self,
        matchers: MatchersGiven = None,
        *,
        duration: Duration = ...,
        starts_in: Duration = ...,
        author: str = "",
        reason: str = "",
    ) -> OpenSilence:
        """Tell nobody of alerts that these match."""
        ...

    def silence_alert(
        self, alert_id: str, duration: Duration | None = None, *, author: str = "", reason: str = ""
    ) -> Awaitable[str] | str:
        """Tell nobody that this alert fires; the silence's id."""
        ...

    def end_silence(self, silence_id: str) -> Awaitable[bool] | bool:
        """End a silence now; whether it was there and not over."""
        ...

    def acknowledge_alert(self, alert_id: str, *, author: str = "") -> Awaitable[bool] | bool:
        """Say that somebody is on it; whether the alert is there."""
        ...
