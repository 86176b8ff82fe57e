"""All benchmarks, in one table."""

from benchmarks import (
    alerting,
    alerting_groups,
    alerting_lateness,
    delivery,
    export,
    kill,
    memory,
    recording,
    scrape,
    watchdog,
    windows,
)
from benchmarks.command import run

ALERTING = (alerting.rows, alerting_groups.rows, alerting_lateness.rows)

run(recording.rows, export.rows, scrape.rows, memory.rows, windows.rows, *ALERTING, delivery.rows, watchdog.rows, kill.rows)
