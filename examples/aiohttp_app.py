"""An aiohttp service that watches itself, with the whole monitoring site under /monitor.

    python examples/aiohttp_app.py                     # serves on 127.0.0.1:8001; another port: --port 9001

Ask it something:

    curl -X POST http://127.0.0.1:8001/jobs            # one more job waits; above three, "queue_long" fires into the log
    curl -X DELETE http://127.0.0.1:8001/jobs          # empties the queue: the alert is resolved
    curl http://127.0.0.1:8001/monitor/metrics         # Prometheus text: requests by method, route and status, and the rest
    curl http://127.0.0.1:8001/monitor/api/alerts      # what fires, as JSON
    curl http://127.0.0.1:8001/monitor/healthz         # whether rules are judged in time

The manager runs from before the first request to after the last one: on Ctrl-C or SIGTERM it tells what it still has to.
"""

import argparse
import logging

from aiohttp import web

from kailash_monitor.alerts import AlertManager, AlertRule, AlertSeverity, LogNotificationChannel
from kailash_monitor.integrations.aiohttp import monitor
from kailash_monitor.metrics import MetricsRegistry

registry = MetricsRegistry()
queue = registry.collector("jobs").gauge("queue_length", "Jobs that wait")
queue.set(0)

manager = AlertManager(registry)
manager.add_notification_channel(LogNotificationChannel())
manager.add_rule(
    AlertRule(
        "queue_long",
        "More than three jobs wait",
        AlertSeverity.ERROR,
        "queue_length",
        "> 3",
        evaluation_interval="500ms",
    )
)


async def add_job(request: web.Request) -> web.Response:
    queue.labels().add(1)
    return web.json_response({"waiting": queue.metric.get_latest_value()})


async def empty_queue(request: web.Request) -> web.Response:
    queue.set(0)
    return web.json_response({"waiting": 0})


def make_app() -> web.Application:
    app = web.Application()
    app.router.add_post("/jobs", add_job)
    app.router.add_delete("/jobs", empty_queue)
    return monitor(app, manager)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8001)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-8s %(name)s %(message)s")
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    web.run_app(make_app(), host="127.0.0.1", port=parser.parse_args().port, print=None, shutdown_timeout=1)
