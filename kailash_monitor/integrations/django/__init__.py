"""Django: a manager as the settings describe it, where the site serves; its pages, and metrics of its requests.

    INSTALLED_APPS = [..., "kailash_monitor.integrations.django"]
    MIDDLEWARE = ["kailash_monitor.integrations.django.middleware.RequestMetrics", ...]
    KAILASH_MONITORING = {"ALERT_RULES": [...], "NOTIFICATION_CHANNELS": [...]}      # see `configuration.read`

    urlpatterns = [path("monitor/", include("kailash_monitor.integrations.django.urls")), ...]

`get_manager()` is for rules, channels and silences of your own.
"""

from typing import TYPE_CHECKING

from kailash_monitor.blocking import AlertManager

if TYPE_CHECKING:
    from kailash_monitor.integrations.django.apps import Monitoring

__all__ = ["LABEL", "get_manager", "monitoring"]

LABEL = "kailash_monitor"
"""What the application is called among those of the site."""


def get_manager() -> AlertManager:
    """Give the manager that the settings describe, whether or not it runs in this process; the same one each time.

    It can be asked for as soon as the applications are set up, as in the `ready` of your own, views and commands. Where the
    settings switch monitoring off, what is done with it has no effect. An ImproperlyConfigured where the application is not
    in INSTALLED_APPS.
    """
    return monitoring().configuration.manager


def monitoring() -> "Monitoring":
    """Give the application itself."""
    from django.apps import apps
    from django.core.exceptions import ImproperlyConfigured

    from kailash_monitor.integrations.django.apps import Monitoring

    found = next((config for config in apps.get_app_configs() if isinstance(config, Monitoring)), None)
    if found is None:
        raise ImproperlyConfigured(f"monitoring is not installed: put {__name__!r} into INSTALLED_APPS")
    return found
