"""Errors of templates: what is wrong with a text, or why it has no expansion."""

from kailash_monitor.errors import MonitoringError

__all__ = ["TemplateError"]


class TemplateError(MonitoringError, ValueError):
    """A template cannot be read, or cannot be expanded with what is known.

    `str()` is worded as Go words it: `template: alert:1: function "foo" not defined`, or, of an expansion,
    `template: alert:1:122: executing "alert" at <humanize "x">: error calling humanize: …`.
    """

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)
