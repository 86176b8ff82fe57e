"""The health check: whether a program does its work well, in the words that a load balancer's endpoint answers."""

from typing import TypeGuard, TypeVar

from kailash_monitor.errors import ConfigurationError, MetricError
from kailash_monitor.metrics.collector import MetricsCollector
from kailash_monitor.metrics.reads import window_seconds
from kailash_monitor.metrics.registry import MetricsRegistry, get_metrics_registry
from kailash_monitor.metrics.security import SecurityMetrics
from kailash_monitor.metrics.validation import ValidationMetrics
from kailash_monitor.model.durations import Duration

__all__ = ["health_check"]

C = TypeVar("C", bound=MetricsCollector)


def health_check(
    *,
    registry: MetricsRegistry | None = None,
    min_success_rate: float = 0.9,
    max_critical_violations: int = 0,
    window: Duration = "5m",
) -> dict[str, str]:
    """Say whether validations succeed and nobody breaks in: `{"status": "healthy"}`, or "unhealthy" with a "reason".

    Unhealthy is where the share of validations that succeeded in the `window` (5 minutes) is below `min_success_rate`, or
    there were more than `max_critical_violations`: "High validation failure rate", "Critical security violations". It looks
    at the collectors `validation` and `security` of `registry`, the shared one unless given; one that is not there, or was
    not recorded in the window, has no complaint.

    To be called from any thread, also for each request. A ConfigurationError for a threshold or a window that is none, a
    MetricError where one of the two names is another collector's.
    """
    _check_thresholds(min_success_rate, max_critical_violations, window)
    registry = get_metrics_registry() if registry is None else registry
    validation = _collector(registry, "validation", ValidationMetrics)
    if validation is not None and validation.get_success_rate(window) < min_success_rate:
        return {"status": "unhealthy", "reason": "High validation failure rate"}
    security = _collector(registry, "security", SecurityMetrics)
    if security is not None and security.get_critical_violations(window) > max_critical_violations:
        return {"status": "unhealthy", "reason": "Critical security violations"}
    return {"status": "healthy"}


def _collector(registry: MetricsRegistry, name: str, kind: type[C]) -> C | None:
    found = registry.get_collector(name)
    if found is None or isinstance(found, kind):
        return found
    raise MetricError(f"collector {name!r}", seen=repr(found), expected=f"a {kind.__name__} under that name")


def _check_thresholds(min_success_rate: object, max_critical_violations: object, window: Duration) -> None:
    if not (_is_number(min_success_rate) and 0 <= min_success_rate <= 1):
        raise _wrong("min_success_rate", min_success_rate, "a share from 0 to 1, such as 0.9")
    if not (_is_number(max_critical_violations) and max_critical_violations >= 0):
        raise _wrong("max_critical_violations", max_critical_violations, "a number not negative")
    try:
        window_seconds(window)
    except ValueError:
        raise _wrong("window", window, "a duration above zero, such as '5m'") from None


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _wrong(field: str, value: object, expected: str) -> ConfigurationError:
    return ConfigurationError("health_check", field=field, seen=f"{field} = {value!r}", expected=expected)
