"""The application: reads the settings, and has the manager run where the site serves."""

import logging
from functools import partial
from typing import Any, Final

from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import request_started

from kailash_monitor.blocking import AlertManager
from kailash_monitor.integrations.django.configuration import SETTING, Configuration, read
from kailash_monitor.integrations.serving import Role, Upkeep, current_role

__all__ = ["Monitoring"]

_logger: Final = logging.getLogger("kailash_monitor.integrations")


class Monitoring(AppConfig):
    """Starts the manager of the settings once, in the process that serves.

    At once where that is known: in a worker of a server, in `runserver` but for the parent of its reloader. At the first
    request where it is not, as in the workers of a master that has loaded the site (`gunicorn --preload`). Never in another
    command, in a shell or in tests. It is stopped when the process ends in good order, and tells what is under way.

    What is wrong in the settings is told by `manage.py check`, all at once; a process that serves does not start with it.
    """

    name = "kailash_monitor.integrations.django"
    label = "kailash_monitor"
    verbose_name = "Monitoring"

    def ready(self) -> None:
        """Read the settings, and start if this process serves."""
        self.configuration: Configuration = read(getattr(settings, SETTING, {}))
        self.manager: AlertManager = self.configuration.manager
        self.site = self.configuration.site
        checks.register(partial(_check, self.configuration))  # Django notes its tags on what it is given
        if not self.configuration.enabled:
            return
        if self.configuration.problems:
            if current_role() is not Role.NOT_SERVING:
                raise ImproperlyConfigured(f"{SETTING}: " + "; ".join(self.configuration.problems))
            return
        for text in self.configuration.left_out:
            _logger.warning("%s: left out: %s", SETTING, text)
        self.upkeep = Upkeep(self.manager)
        self.upkeep.set_up()
        request_started.connect(self._asked)

    def _asked(self, **_: object) -> None:
        self.upkeep.asked()


def _check(configuration: Configuration, app_configs: Any, **_: Any) -> list[checks.CheckMessage]:  # Any: as in Django
    hint = "Set it, or take the channel out."
    return [
        *[checks.Error(f"{SETTING}: {text}", id="kailash_monitor.E001") for text in configuration.problems],
        *[checks.Warning(f"{SETTING}: {text}", hint=hint, id="kailash_monitor.W001") for text in configuration.left_out],
    ]
