"""The URLs of the monitoring pages: `path("monitor/", include("kailash_monitor.integrations.django.urls"))`."""

from django.urls import path

from kailash_monitor.integrations.django.views import page

__all__ = ["app_name", "urlpatterns"]

app_name = "kailash_monitor"
urlpatterns = [path("", page, name="index"), path("<path:path>", page, name="page")]
