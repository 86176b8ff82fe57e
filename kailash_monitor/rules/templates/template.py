"""Templates: the labels and annotations of Prometheus' rules, read once and expanded for each alert."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from kailash_monitor.rules.templates.execution import expanded
from kailash_monitor.rules.templates.facts import Facts
from kailash_monitor.rules.templates.functions import NAMES
from kailash_monitor.rules.templates.parser import parse
from kailash_monitor.rules.templates.tree import Body

__all__ = ["Template", "compile_template"]

_DEFINITIONS: Final = (
    "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}{{$value := .Value}}"
)
"""What Prometheus puts before each text. It counts in the columns of error texts."""


@dataclass(frozen=True, slots=True)
class Template:
    """A text that is expanded for each alert: `{{ $labels.instance }} is at {{ $value | humanize }}`.

    `name` is what error texts call it.
    """

    text: str
    name: str
    _trees: Mapping[str, Body] | None = field(repr=False, compare=False)

    @property
    def is_plain(self) -> bool:
        """Whether it is the same for every alert, since nothing is to be put in."""
        return self._trees is None

    def expand(self, facts: Facts) -> str:
        """Give the text with all of its actions done.

        A TemplateError says where and why that is not possible, as Prometheus says it after
        `error executing template <name>: `.
        """
        if self._trees is None:
            return self.text
        return expanded(self._trees, self.name, _DEFINITIONS + self.text, facts)


def compile_template(text: str, *, name: str = "alert") -> Template:
    """Read a text in Go's template language, with the functions and variables that Prometheus gives it.

    `name` is what error texts call it; Prometheus takes `__alert_` and the name of the rule. A TemplateError says what
    is wrong with the text.
    """
    trees = parse(_DEFINITIONS + text, name, NAMES) if "{{" in text else None
    return Template(text, name, trees)
