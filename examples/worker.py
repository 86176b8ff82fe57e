"""Workers and their watch in one TaskGroup, without any server.

    python examples/worker.py                          # ends after 20 seconds; another time: --seconds 60
    python examples/worker.py --webhook http://127.0.0.1:9000/alerts

Two workers take jobs. One job in three fails for the first five seconds: "jobs_failing" fires once more than a fifth of the
jobs of the last five seconds failed, is written to the log (and posted to the webhook, if you give one), and is resolved
after the trouble has passed.
"""

import argparse
import asyncio
import itertools
import logging
import signal
from contextlib import suppress

from kailash_monitor.alerts import (
    AlertManager,
    AlertRule,
    AlertSeverity,
    LogNotificationChannel,
    WebhookNotificationChannel,
)
from kailash_monitor.metrics import MetricsRegistry

registry = MetricsRegistry()
collector = registry.collector("worker")
jobs = collector.counter("jobs", "Jobs done", labels=("worker",))
failures = collector.counter("failures", "Jobs that failed", labels=("worker",), share_of="jobs")


async def work(name: str, trouble_ends: float) -> None:
    loop = asyncio.get_running_loop()
    for number in itertools.count():
        await asyncio.sleep(0.05)
        jobs.inc(name)
        if number % 3 == 0 and loop.time() < trouble_ends:
            failures.inc(name)


async def main(seconds: float, webhook: str | None) -> None:
    manager = AlertManager(registry)
    manager.add_notification_channel(LogNotificationChannel())
    if webhook:
        manager.add_notification_channel(WebhookNotificationChannel(webhook))
    manager.add_rule(
        AlertRule(
            "jobs_failing",
            "More than a fifth of the jobs fail",
            AlertSeverity.ERROR,
            "failures",
            "share > 0.2",
            time_window="5s",
            evaluation_interval="500ms",
        )
    )
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    async with asyncio.TaskGroup() as tasks:
        watch = tasks.create_task(manager.run())
        workers = [tasks.create_task(work(name, loop.time() + 5)) for name in ("anna", "ben")]
        try:
            async with asyncio.timeout(seconds):
                await ended.wait()
        except TimeoutError:
            pass
        for worker in workers:
            worker.cancel()
        manager.stop()
        await watch


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--webhook")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-8s %(message)s")
    with suppress(KeyboardInterrupt):  # Ctrl-C is how a program like this ends
        asyncio.run(main(arguments.seconds, arguments.webhook))
