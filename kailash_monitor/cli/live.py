"""The live view: what is measured, judged and told, on a terminal."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from kailash_monitor.channels.text import one_line
from kailash_monitor.cli.gauges import Line, main_lines
from kailash_monitor.cli.logs import LogView
from kailash_monitor.cli.sparkline import sparkline
from kailash_monitor.engine import AlertManager, Delivery, RuleStatus
from kailash_monitor.model.alert import Alert, AlertStatus
from kailash_monitor.model.durations import format_duration
from kailash_monitor.rules import AlertRule
from kailash_monitor.web import Listen

__all__ = ["screen", "show_live"]

REFRESH: Final = 1.0
"""Seconds between two pictures: numbers that change faster cannot be read."""

_logger = logging.getLogger("kailash_monitor.cli")

SPARK: Final = 24
NARROW: Final = 60
"""Columns below which there is no room for a rule's condition."""

SHOWN_ALERTS: Final = 5
SHOWN_DELIVERIES: Final = 3

_STYLES: Final = {
    "firing": "bold red",
    "recovering": "red",
    "pending": "yellow",
    "error": "magenta",
    "waiting": "dim",
    "disabled": "dim",
    "inactive": "green",
}


@asynccontextmanager
async def show_live(manager: AlertManager, address: Listen, log: LogView) -> AsyncIterator[None]:
    """Show the view for as long as this is entered."""
    console = Console()
    with Live(console=console, screen=True, auto_refresh=False) as live:
        painter = asyncio.create_task(_paint(live, manager, address, log))
        try:
            yield
        finally:
            painter.cancel()
            await asyncio.wait([painter])
            if not painter.cancelled() and (error := painter.exception()) is not None:
                _logger.error("the live view has failed; the monitoring went on", exc_info=error)


async def _paint(live: Live, manager: AlertManager, address: Listen, log: LogView) -> None:
    while True:
        now = datetime.now(UTC)
        picture = screen(
            main_lines(manager.metrics_registry.snapshot()),
            manager.rule_status(),
            manager.get_all_alerts(),
            manager.deliveries(),
            list(log.lines),
            address=address,
            now=now,
            width=live.console.width,
        )
        await asyncio.to_thread(live.update, picture, refresh=True)  # painting takes longer than the loop may be held
        await asyncio.sleep(REFRESH)


def screen(
    lines: Sequence[Line],
    rules: Sequence[RuleStatus],
    alerts: Sequence[Alert],
    deliveries: Sequence[Delivery],
    log: Sequence[str],
    *,
    address: Listen,
    now: datetime,
    width: int,
) -> RenderableType:
    """Give the whole picture, the most urgent first: a small terminal cuts off what is below."""
    head = Text.assemble(("kailash_monitor", "bold"), f"  http://{address.reachable}/  ", ("Ctrl-C ends", "dim"))
    head.no_wrap = True
    narrow = width < NARROW
    gap = 1 if narrow else 2
    return Group(
        head,
        _alerts(alerts, now, gap),
        _metrics(lines),
        _rules(rules, now, gap, conditions=not narrow),
        _deliveries(deliveries, gap),
        Text("\n".join(log), style="dim", overflow="ellipsis", no_wrap=True),
    )


def _metrics(lines: Sequence[Line]) -> RenderableType:
    """Two columns of numbers: a terminal is wider than it is high."""
    table = Table.grid(padding=(0, 1), expand=True)
    for _ in range(2):
        table.add_column(no_wrap=True, overflow="ellipsis")
        table.add_column(justify="right", no_wrap=True)
        table.add_column(no_wrap=True, ratio=1, overflow="crop")
    half = (len(lines) + 1) // 2
    for index in range(half):
        cells: list[RenderableType] = []
        for line in lines[index::half]:
            high = 1.0 if line.share else None
            spark = sparkline(line.past, width=SPARK, low=0.0, high=high)
            cells += [Text(one_line(line.label)), line.value, Text(spark, style="cyan")]
        table.add_row(*cells)
    return Panel(table, title="metrics", title_align="left", border_style="dim")


def _rules(rules: Sequence[RuleStatus], now: datetime, gap: int, *, conditions: bool) -> RenderableType:
    """A row a rule; its name and its condition share what the numbers leave."""
    table = Table.grid(padding=(0, gap), expand=True)
    table.add_column(no_wrap=True, min_width=len("recovering"))
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=3)
    if conditions:
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=2)
    table.add_column(justify="right", no_wrap=True, min_width=len("0.123"))
    table.add_column(justify="right", no_wrap=True, min_width=len("in 60 s"))
    for status in rules:
        what = Text(one_line(status.error or _judged(status.rule)), style="dim")
        table.add_row(
            Text(status.state, style=_STYLES.get(status.state, "")),
            Text(status.rule.name),
            *([what] if conditions else []),
            "" if status.value is None else f"{status.value:.3g}",
            _in(status.next_evaluation, now),
        )
    return Panel(table, title="rules", title_align="left", border_style="dim")


def _judged(rule: AlertRule) -> str:
    """Give what is judged, and all its limits: "disk_usage_ratio > 0.8, 0.95"."""
    limits = ", ".join([str(rule.condition), *(f"{level.threshold:g}" for level in rule.levels[1:])])
    return f"{'/'.join(rule.metrics) or 'reading'} {limits}"


def _in(at: datetime | None, now: datetime) -> str:
    return "" if at is None else f"in {max(0, round((at - now).total_seconds()))} s"


def _alerts(alerts: Sequence[Alert], now: datetime, gap: int) -> RenderableType:
    shown = [alert for alert in alerts if alert.status is not AlertStatus.PENDING]
    if not shown:
        return Panel(Text("nothing fires", style="green"), title="alerts", title_align="left", border_style="dim")
    shown.sort(key=lambda alert: (alert.status is AlertStatus.RESOLVED, -alert.severity.rank))
    table = Table.grid(padding=(0, gap), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column(justify="right", no_wrap=True)
    for alert in shown[:SHOWN_ALERTS]:
        over = alert.status is AlertStatus.RESOLVED
        since = alert.resolved_at if over else alert.fired_at
        ago = "" if since is None else format_duration(max(1, round((now - since).total_seconds())))
        table.add_row(
            Text(alert.status.value, style="green" if over else "bold red"),
            alert.severity.value,
            Text(one_line(alert.title)),
            f"{ago} ago" if over else f"for {ago}",
        )
    if len(shown) > SHOWN_ALERTS:
        table.add_row("", "", f"and {len(shown) - SHOWN_ALERTS} more", "")
    return Panel(table, title="alerts", title_align="left", border_style="dim")


def _deliveries(deliveries: Sequence[Delivery], gap: int) -> RenderableType:
    table = Table.grid(padding=(0, gap), expand=True)
    table.add_column(no_wrap=True)
    for ratio in (1, 2, 2):
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=ratio)
    for delivery in list(deliveries)[-SHOWN_DELIVERIES:]:
        notice = delivery.notice
        table.add_row(
            f"{delivery.at.astimezone():%H:%M:%S}",
            Text(one_line(delivery.channel)),
            Text(one_line(f"{notice.kind.value} {notice.alert.title}")),
            Text(one_line(f"{delivery.outcome} {delivery.why}".rstrip())),
        )
    return Panel(table, title="told", title_align="left", border_style="dim") if deliveries else Text("")
