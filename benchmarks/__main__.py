"""All benchmarks, in one table."""

from benchmarks import (
    alerting,
    alerting_groups,
    alerting_lateness,
    calls,
    dashboard,
    delivery,
    export,
    kill,
    memory,
    promql,
    recording,
    scrape,
    watchdog,
    windows,
)
from benchmarks.command import run

ALERTING = (alerting.rows, alerting_groups.rows, alerting_lateness.rows)

METRICS = (recording.rows, calls.rows, export.rows, scrape.rows, memory.rows, windows.rows)

run(*METRICS, promql.rows, *ALERTING, delivery.rows, dashboard.rows, watchdog.rows, kill.rows)
