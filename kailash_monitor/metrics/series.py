"""Series: one label set of a metric, the handle that records and the history that answers."""

from kailash_monitor.metrics.callback_series import CallbackSeries
from kailash_monitor.metrics.counter_series import CounterSeries
from kailash_monitor.metrics.distribution_series import DistributionSeries
from kailash_monitor.metrics.gauge_series import GaugeSeries

__all__ = ["CallbackSeries", "CounterSeries", "DistributionSeries", "GaugeSeries", "Series"]

Series = CounterSeries | GaugeSeries | DistributionSeries | CallbackSeries
