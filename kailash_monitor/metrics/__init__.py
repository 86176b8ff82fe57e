"""Metrics: what a program measures of itself, with exact recent history."""

from kailash_monitor.metrics.callback_series import CallbackSeries
from kailash_monitor.metrics.collector import MetricsCollector
from kailash_monitor.metrics.health import health_check
from kailash_monitor.metrics.instruments import Counter, Gauge, Histogram, Timer
from kailash_monitor.metrics.metric import Metric, MetricPoint
from kailash_monitor.metrics.performance import PerformanceMetrics
from kailash_monitor.metrics.registry import (
    Cardinality,
    MetricsRegistry,
    get_metrics_registry,
    get_performance_metrics,
    get_security_metrics,
    get_validation_metrics,
)
from kailash_monitor.metrics.security import SecurityMetrics
from kailash_monitor.metrics.validation import ValidationMetrics
from kailash_monitor.model.metric import MetricType
from kailash_monitor.model.severity import MetricSeverity

__all__ = [
    "CallbackSeries",
    "Cardinality",
    "Counter",
    "Gauge",
    "Histogram",
    "Metric",
    "MetricPoint",
    "MetricSeverity",
    "MetricType",
    "MetricsCollector",
    "MetricsRegistry",
    "PerformanceMetrics",
    "SecurityMetrics",
    "Timer",
    "ValidationMetrics",
    "get_metrics_registry",
    "get_performance_metrics",
    "get_security_metrics",
    "get_validation_metrics",
    "health_check",
]
