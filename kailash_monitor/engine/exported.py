"""Exported metrics: what rules need to know of metrics to be said in PromQL."""

from kailash_monitor.exposition.names import exported_name
from kailash_monitor.model.snapshot import Snapshot
from kailash_monitor.rules.expressions import ExportedMetric

__all__ = ["exported_metrics"]


def exported_metrics(snapshot: Snapshot) -> list[ExportedMetric]:
    """Give what is known of the metrics of a snapshot, as pages show them."""
    return [
        ExportedMetric(
            collector=collector.name,
            metadata=metric.metadata,
            name=exported.name,
            divisor=exported.divisor,
            bounds=metric.bounds,
        )
        for collector in snapshot.collectors
        for metric in collector.metrics
        for exported in (exported_name(snapshot.namespace, collector.name, metric.metadata),)
    ]
