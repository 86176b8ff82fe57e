"""The self-metrics: what the toolkit measures of itself."""

from collections.abc import Callable
from typing import Final

from kailash_monitor.clock import Clock
from kailash_monitor.metrics.collector import MetricsCollector

__all__ = ["SELF", "SelfMetrics"]

SELF: Final = "monitor"
"""The name of its collector: `kailash_monitor_recordings_refused_total`."""

_DURATIONS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0)
"""Milliseconds: a rule takes a fraction of one, a large page some hundred."""


class SelfMetrics(MetricsCollector):
    """Series, refusals, evaluation times and scrape times.

    `count_series` gives the number of all series of the registry. The names are long, so that a rule of the user's, which
    applies in every collector that has its metric, does not meet them by chance.
    """

    def __init__(self, count_series: Callable[[], float], *, clock: Clock) -> None:
        super().__init__(clock=clock)
        self.callback_gauge("metric_series", count_series, "Series in all collectors")
        metric = ("collector", "metric")
        self.refused = self.counter("recordings_refused", "Values that could not be recorded", labels=metric)
        self.overflowed = self.counter("recordings_overflowed", "Label sets past the series limit", labels=metric)
        self.rings_dropped = self.counter(
            "rings_dropped", "Series whose history of before a restart could not be used", labels=metric
        )
        self.evaluations = self.timer("rule_evaluation_duration", "Duration of evaluations", buckets=_DURATIONS)
        self.failed = self.counter("rule_evaluations_failed", "Evaluations of which a reading raised")
        self.readings_late = self.counter("rule_readings_late", "Readings of rules that did not answer in time")
        self.late = self.counter(
            "rule_evaluations_late",
            "Due times that passed while the event loop was held up, or a reading was out",
        )
        channel = ("channel",)
        self.channels_up = self.gauge("notification_channel_up", "1 unless the channel takes nothing", labels=channel)
        self.delivered = self.counter("notifications_delivered", "Messages that channels took", labels=channel)
        self.attempts_failed = self.counter("notification_attempts_failed", "Attempts that failed", labels=channel)
        self.given_up = self.counter("notifications_given_up", "Messages that are dead letters", labels=channel)
        self.store_up = self.gauge("alert_store_up", "1 while what happens is kept for a restart")
        self.scrapes = self.timer("scrape_duration", "Duration of scrapes", labels=("format",), buckets=_DURATIONS)
