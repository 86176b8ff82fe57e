"""A FastAPI service that watches itself.

    pip install 'kailash-monitor[fastapi]'
    python examples/fastapi_app.py                     # serves on 127.0.0.1:8000; another port: --port 9000

Ask it something:

    curl 'http://127.0.0.1:8000/work?ms=20'            # does 20 ms of work
    curl 'http://127.0.0.1:8000/work?ms=1500'          # slow: "slow_requests" fires within a second, into the log
    curl http://127.0.0.1:8000/health                  # what fires now
    curl http://127.0.0.1:8000/monitor/metrics         # Prometheus text: requests by method, route and status, and the rest
    curl http://127.0.0.1:8000/monitor/                # what else there is

The alert is over, and the log says so, once the slow request is more than 10 seconds ago.
"""

import argparse
import asyncio
import logging

import uvicorn
from fastapi import FastAPI

from kailash_monitor.alerts import AlertManager, AlertRule, AlertSeverity, LogNotificationChannel
from kailash_monitor.integrations.fastapi import monitor
from kailash_monitor.metrics import get_metrics_registry

manager = AlertManager(get_metrics_registry())
manager.add_notification_channel(LogNotificationChannel())
manager.add_rule(
    AlertRule(
        "slow_requests",
        "A request took more than a second",
        AlertSeverity.WARNING,
        "request_duration",
        "max > 1000",
        time_window="10s",
        evaluation_interval="500ms",
    )
)

app = FastAPI()
monitor(app, manager)


@app.get("/work")
async def work(ms: float = 20) -> dict[str, float]:
    await asyncio.sleep(ms / 1000)
    return {"worked_ms": ms}


@app.get("/health")
async def health() -> dict[str, object]:
    alerts = manager.get_active_alerts()
    return {"status": "healthy" if not alerts else "unhealthy", "firing": [alert.id for alert in alerts]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8000)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-8s %(message)s")
    uvicorn.run(app, host="127.0.0.1", port=parser.parse_args().port, log_level="warning")
