"""A Flask site that watches itself, with the whole monitoring site under /monitor.

    python examples/flask_app.py                       # serves on 127.0.0.1:8003; another port: --port 9003

or, as it would be in production, by a server of your own, from this folder:

    gunicorn flask_app:app                             # on port 8000

Ask it something:

    curl http://127.0.0.1:8003/orders/7                # an order; "requests_failing" is judged from the first request on
    curl http://127.0.0.1:8003/orders/0                # fails; above 20 % of the last minute, the alert fires into the log
    curl http://127.0.0.1:8003/monitor/metrics         # Prometheus text: http_requests by URL rule, for one
    curl http://127.0.0.1:8003/monitor/api/alerts      # what fires, as JSON
    curl http://127.0.0.1:8003/monitor/healthz         # whether rules are judged in time

There is one manager, in the process that serves: also under a reloader (`flask --app flask_app run --debug`), where two
processes load this file. On SIGTERM, gunicorn's worker stops it and lets it tell what it has to.
"""

import argparse
import logging

from flask import Flask

from kailash_monitor.alerts import AlertRule, AlertSeverity, LogNotificationChannel
from kailash_monitor.blocking import AlertManager
from kailash_monitor.integrations.flask import Monitoring
from kailash_monitor.metrics import MetricsRegistry

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-8s %(name)s %(message)s")
logging.getLogger("werkzeug").setLevel(logging.WARNING)

manager = AlertManager(MetricsRegistry())
manager.add_notification_channel(LogNotificationChannel())
manager.add_rule(
    AlertRule(
        "requests_failing",
        "More than a fifth of the requests fail",
        AlertSeverity.ERROR,
        "requests_failed",
        "share > 0.2",
        match={"route": "/orders/<int:number>"},
        time_window="1m",
        evaluation_interval="500ms",
    )
)

app = Flask(__name__)
Monitoring(app, manager)


@app.get("/orders/<int:number>")
def order(number: int) -> dict[str, float]:
    return {"order": number, "price": 100 / number}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8003)
    app.run(port=parser.parse_args().port)
