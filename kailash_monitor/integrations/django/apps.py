"""The application: reads the settings, and has the manager run where the site serves."""

import logging
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Final

from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import request_started

from kailash_monitor.integrations.django import LABEL, monitoring
from kailash_monitor.integrations.django.configuration import SETTING, Configuration, read
from kailash_monitor.integrations.serving import Role, Upkeep, current_role

__all__ = ["Monitoring"]

_logger: Final = logging.getLogger("kailash_monitor.integrations")


class Monitoring(AppConfig):
    """Starts the manager of the settings once, in the process that serves.

    At once where that is known: in a worker of a server, in `runserver` but for the parent of its reloader. At the first
    request where it is not, as in the workers of a master that has loaded the site (`gunicorn --preload`). Never in another
    command, in a shell or in tests; there, `start` does it by hand. It is stopped when the process ends in good order, and
    tells what is under way.

    What is wrong in the settings is told by `manage.py check`, and so by the commands that check first, all at once; a
    process that serves does not start with it: an ImproperlyConfigured lists it. What only lacks a value, as where a
    variable of the environment is not set, is a warning of the check and in the log, and the site starts.
    """

    name = "kailash_monitor.integrations.django"
    label = LABEL
    verbose_name = "Monitoring"

    @cached_property
    def configuration(self) -> Configuration:
        """What the settings say; read at first use, which a command like `migrate` need not make."""
        return read(getattr(settings, SETTING, {}), hosts=_names(settings.ALLOWED_HOSTS))

    @cached_property
    def _upkeep(self) -> Upkeep:
        return Upkeep(self.configuration.manager)

    def ready(self) -> None:
        """Start if this process serves."""
        checks.register(_check)
        role = current_role()
        if role is Role.NOT_SERVING or not self.configuration.enabled:
            return
        self._refuse_problems()
        for text in self.configuration.left_out:
            _logger.warning("%s: %s", SETTING, text)
        self._upkeep.set_up()
        if role is Role.WAITING:
            request_started.connect(self._asked)

    def start(self) -> None:
        """Start the manager in this process now, whatever it is for; returns at once, and what goes wrong is logged.

        For a worker that was forked from a master, before any request: `def post_worker_init(worker): monitoring().start()`
        in the configuration of gunicorn. An ImproperlyConfigured where the settings are not right.
        """
        self._refuse_problems()
        if self.configuration.enabled:
            self._upkeep.start()

    def _refuse_problems(self) -> None:
        if self.configuration.problems:
            raise ImproperlyConfigured("\n".join([f"{SETTING} is not right:", *self.configuration.problems]))

    def stop(self) -> None:
        """Stop the manager, within its time; it is not started by a request again."""
        self._upkeep.stop()

    def _asked(self, environ: Mapping[str, Any] | None = None, **_: object) -> None:  # Any: as in WSGI
        if environ is None or not environ.get("wsgi.run_once"):  # a process for each request ends before a rule is judged
            self._upkeep.asked()
            request_started.disconnect(self._asked)  # under ASGI each receiver costs every request a change of thread


def _names(hosts: Iterable[str]) -> list[str]:
    """Give those of ALLOWED_HOSTS that are names: a pattern may match one that strangers can point at this machine."""
    return [host for host in hosts if not host.startswith((".", "*"))]


def _check(app_configs: Any, **_: Any) -> list[checks.CheckMessage]:  # Any: as in Django
    app = monitoring()
    if app_configs is not None and app not in app_configs:
        return []
    wrong = [checks.Error(f"{SETTING}: {text}", id=f"{LABEL}.E001") for text in app.configuration.problems]
    return [*wrong, *(checks.Warning(f"{SETTING}: {text}", id=f"{LABEL}.W001") for text in app.configuration.left_out)]
