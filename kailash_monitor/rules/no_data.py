"""No data: what a rule makes of a metric that had data and has none."""

from enum import Enum

__all__ = ["NoData"]


class NoData(Enum):
    """KEEP leaves the alert as it is, ALERT takes the gap for a breach, OK for recovery. Of errors it says nothing."""

    KEEP = "keep"
    ALERT = "alert"
    OK = "ok"
