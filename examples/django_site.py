"""A Django site in one file that watches itself.

    pip install 'kailash-monitor[django]'
    python examples/django_site.py runserver 8003          # serves on 127.0.0.1:8003

Ask it something:

    curl http://127.0.0.1:8003/orders/7                    # one more order
    curl http://127.0.0.1:8003/orders/13                   # fails: "orders_failing" fires within a second, into the log
    curl http://127.0.0.1:8003/monitor/metrics             # Prometheus text, with requests by route
    curl http://127.0.0.1:8003/monitor/api/alerts          # what fires, as JSON
    python examples/django_site.py check                   # what is wrong in KAILASH_MONITORING; nothing

The alert is over, and the log says so, once no request has failed for ten seconds. Other commands, such as
`python examples/django_site.py shell`, start no monitoring.
"""

import sys

from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

settings.configure(
    DEBUG=False,
    SECRET_KEY="of this example, and nobody else's",  # noqa: S106
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["kailash_monitor.integrations.django"],
    MIDDLEWARE=["kailash_monitor.integrations.django.middleware.RequestMetrics"],
    LOGGING={
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"console": {"class": "logging.StreamHandler"}},
        "loggers": {"kailash_monitor": {"handlers": ["console"], "level": "INFO"}},
    },
    KAILASH_MONITORING={
        "ALERT_RULES": [
            {
                "name": "orders_failing",
                "description": "Requests fail",
                "severity": "ERROR",
                "metric": "requests_failed",
                "condition": "share > 0.05",
                "collector": "http",
                "match": {"route": "/orders/<int:number>"},  # not the monitoring pages, which anybody may ask for
                "time_window": "10s",
                "evaluation_interval": "500ms",
            }
        ],
        "NOTIFICATION_CHANNELS": [{"type": "log"}],
    },
)


def order(request: HttpRequest, number: int) -> HttpResponse:
    if number == 13:
        return HttpResponse("out of luck", status=500)
    return HttpResponse(f"order {number} taken")


urlpatterns = [
    path("orders/<int:number>", order),
    path("monitor/", include("kailash_monitor.integrations.django.urls")),
]

if __name__ == "__main__":
    execute_from_command_line([sys.argv[0], *(sys.argv[1:] or ["runserver", "8003", "--noreload"])])
