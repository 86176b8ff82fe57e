"""Rules for the machine a program runs on, with holds long enough that a calm machine stays calm."""

from kailash_monitor.model.severity import AlertSeverity
from kailash_monitor.rules.rule import AlertRule

__all__ = ["create_host_alert_rules"]


def create_host_alert_rules() -> list[AlertRule]:
    """Give the rules for the collectors `host` and `loop`: processor, memory, swap, disks, load, event loop."""
    return [
        AlertRule(
            "host_cpu_high",
            "All processors have been busy for more than a minute; look for the process that uses them",
            AlertSeverity.WARNING,
            "cpu_usage_ratio",
            "avg > 0.9",
            time_window="30s",
            evaluation_interval="5s",
            collector="host",
            hold="1m",  # by itself the minute of the text: right after the start the window holds a few seconds
            keep_firing="20s",
            clear=0.8,
            annotations={"summary": "High CPU usage"},
        ),
        AlertRule(
            "host_memory_high",
            "Hardly any memory is left; the system will end a process when there is none",
            AlertSeverity.ERROR,
            "memory_usage_ratio",
            "> 0.92",
            evaluation_interval="10s",
            collector="host",
            hold="1m",
            keep_firing="30s",
            clear=0.9,
            annotations={"summary": "Memory nearly used up"},
        ),
        AlertRule(
            "host_swap_high",
            "Most of the swap is in use; the machine has too little memory for what it does",
            AlertSeverity.WARNING,
            "swap_usage_ratio",
            "> 0.8",
            evaluation_interval="30s",
            collector="host",
            hold="5m",
            keep_firing="1m",
            clear=0.7,
            annotations={"summary": "Swap nearly used up"},
        ),
        AlertRule(
            "host_disk_nearly_full",
            "The disk is nearly full; programs fail when they cannot write",
            AlertSeverity.ERROR,
            "disk_usage_ratio",
            "> 0.9",
            evaluation_interval="30s",
            collector="host",
            group_by=("mountpoint",),
            hold="1m",
            keep_firing="1m",
            clear=0.88,
            annotations={"summary": "Disk nearly full"},
        ),
        AlertRule(
            "host_load_high",
            "For more than five minutes, more processes have wanted to run than there are processors",
            AlertSeverity.WARNING,
            "load5_per_core",
            "> 1",
            evaluation_interval="15s",
            collector="host",
            hold="5m",
            keep_firing="1m",
            clear=0.9,
            annotations={"summary": "Load above the number of processors"},
        ),
        AlertRule(
            "loop_lag_high",
            "The program's event loop is late by more than a quarter of a second; something in it blocks",
            AlertSeverity.WARNING,
            "lag",
            "p95 > 0.25",
            time_window="1m",
            evaluation_interval="10s",
            collector="loop",
            hold="20s",
            keep_firing="20s",
            clear=0.1,
            annotations={"summary": "Event loop held up"},
        ),
    ]
