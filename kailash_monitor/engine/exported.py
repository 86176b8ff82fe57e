"""Exported metrics: what rules need to know of metrics to be said in PromQL."""

from kailash_monitor.exposition.names import exported_name
from kailash_monitor.model.snapshot import Snapshot
from kailash_monitor.model.views import MetricView
from kailash_monitor.rules.expressions import ExportedMetric

__all__ = ["exported_metric", "exported_metrics"]


def exported_metrics(snapshot: Snapshot) -> list[ExportedMetric]:
    """Give what is known of the metrics of a snapshot, as pages show them."""
    return [
        exported_metric(snapshot.namespace, collector.name, metric)
        for collector in snapshot.collectors
        for metric in collector.metrics
    ]


def exported_metric(namespace: str, collector: str, metric: MetricView) -> ExportedMetric:
    """Give what is known of one metric of a collector."""
    exported = exported_name(namespace, collector, metric.metadata)
    return ExportedMetric(
        collector=collector,
        metadata=metric.metadata,
        name=exported.name,
        divisor=exported.divisor,
        bounds=metric.bounds,
    )
