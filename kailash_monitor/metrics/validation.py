"""The validation collector: attempts, successes, failures and cache hits, by type of node."""

from kailash_monitor.clock import SYSTEM_CLOCK, Clock
from kailash_monitor.metrics.collector import DEFAULT_MAX_SERIES, MetricsCollector
from kailash_monitor.metrics.metric import Metric
from kailash_monitor.model.durations import Duration

__all__ = ["ValidationMetrics"]

_NODE = ("node_type",)


class ValidationMetrics(MetricsCollector):
    """How validation goes. Successes, failures, cache hits and misses are shares of `validation_total`."""

    def __init__(self, max_series: int = DEFAULT_MAX_SERIES, *, clock: Clock = SYSTEM_CLOCK, strict: bool = False) -> None:
        super().__init__(max_series, clock=clock, strict=strict)
        self._total = self.counter("validation_total", "Total validation attempts", labels=_NODE)
        share = "validation_total"
        self._success = self.counter("validation_success", "Successful validations", labels=_NODE, share_of=share)
        self._failure = self.counter("validation_failure", "Failed validations", labels=_NODE, share_of=share)
        self._hits = self.counter("validation_cache_hits", "Answers from the cache", labels=_NODE, share_of=share)
        self._misses = self.counter("validation_cache_misses", "Not in the cache", labels=_NODE, share_of=share)
        self._duration = self.timer("validation_duration", "Duration of validations", labels=_NODE)

    def record_validation_attempt(self, node_type: str, success: bool, duration_ms: float, cached: bool = False) -> None:
        """Count one validation of a node of `node_type`, which took `duration_ms` milliseconds."""
        self._total.inc(node_type)
        (self._success if success else self._failure).inc(node_type)
        (self._hits if cached else self._misses).inc(node_type)
        self._duration.observe(node_type, duration_ms)

    def get_success_rate(self, window: Duration = "1h", *, default: float = 1.0) -> float:
        """Give the share of validations that succeeded, from 0 to 1; `default` where there were none."""
        return self._share(self._success.metric, window, default)

    def get_cache_hit_rate(self, window: Duration = "1h", *, default: float = 0.0) -> float:
        """Give the share of validations that the cache answered, from 0 to 1; `default` where there were none."""
        return self._share(self._hits.metric, window, default)

    def _share(self, part: Metric, window: Duration, default: float) -> float:
        total = self._total.metric.get_increase(window)
        return (part.get_increase(window) or 0.0) / total if total else default
