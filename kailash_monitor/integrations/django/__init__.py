"""Django: `INSTALLED_APPS = [..., "kailash_monitor.integrations.django"]`, with `KAILASH_MONITORING` in the settings.

    MIDDLEWARE = ["kailash_monitor.integrations.django.middleware.RequestMetrics", ...]
    urlpatterns = [path("monitor/", include("kailash_monitor.integrations.django.urls")), ...]

The manager of the settings runs where the site serves, once in a process; `get_manager()` gives it, for rules and silences
of the program's own.
"""

from kailash_monitor.blocking import AlertManager

__all__ = ["get_manager"]


def get_manager() -> AlertManager:
    """Give the manager that the settings describe; django.setup() must have been called, as in every site it is."""
    from django.apps import apps

    from kailash_monitor.integrations.django.apps import Monitoring

    config = apps.get_app_config("kailash_monitor")
    assert isinstance(config, Monitoring)
    return config.manager
