"""A template: the text of a notice in words of your own.

    {{ title }}
    {% for name, text in facts %}
    {{ name }}: {{ text }}
    {% endfor %}
    {% if labels.service %}Dashboard: https://grafana/d/{{ labels.service }}{% endif %}

It is one of Jinja2's, and has these names:

    kind        "firing", "repeat", "resolved", "missed", "flapping", "stable", "digest" or "test"
    alert       the alert as in the document of the webhook: alert.title, alert.value, alert.labels.service …
    context     what else is known of the message, as in that document; what there is not is none
    title       "FIRING [critical] High CPU usage"
    headline    the notice on one line
    facts       names and texts: ("Value", "0.97, limit 0.9"), ("Since", …) …; none for a digest
    labels      the labels: "service=checkout, region=eu" as text, and labels.service is one of them
    runbook     the link, or none
    colour      "#c62828"
    items       of a digest the alerts that are named, the most urgent first: item.kind, .alert, .title, .headline
    lines       the same as built-in texts, and at the end "and 7 more"
    more        how many more the digest tells of
    sparkline   sparkline(context.recent) draws how the value went; sparkline(numbers, width) others

A label or an annotation that an alert does not have is empty; any other name that is not there is an error. The line break
after a tag, and blanks before it, are dropped.
"""

import logging
from html import escape
from typing import TYPE_CHECKING, Final

from kailash_monitor.channels.allowance import LONGEST
from kailash_monitor.channels.printable import one_line, printable
from kailash_monitor.channels.samples import SAMPLES
from kailash_monitor.channels.text import plain
from kailash_monitor.channels.vocabulary import NAMES, variables
from kailash_monitor.errors import ChannelError
from kailash_monitor.model.notice import Notice

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["Template", "text_of"]

_logger: Final = logging.getLogger("kailash_monitor.channels")

_LONGEST_ERROR: Final = 200
"""Characters of an error: it can repeat what it was about."""

_EXPECTED: Final = "a Jinja2 template that can tell of every kind of notice"


class Template:
    """The text of a notice in words of your own, tried with a sample of every kind when it is made.

    A ChannelError about `field` of `where` tells the line and what is wrong; MissingExtra, that Jinja2 is not there. With
    `html`, values are escaped. It runs in a sandbox, within limits of steps and size.

    `_warned` is the one thing that changes: set at the first failure, from any thread.
    """

    def __init__(self, source: str, *, field: str, where: str, html: bool = False) -> None:
        self._sandbox: Final = _load_sandbox()
        self._field: Final = field
        self._where: Final = where
        self._html: Final = html
        self._warned = False
        if not isinstance(source, str) or len(source) > LONGEST:
            seen = f"a template of {len(source)} characters" if isinstance(source, str) else f"{type(source).__name__}"
            raise ChannelError(where, field=field, seen=seen, expected=f"use a text of at most {LONGEST}")
        try:
            self._template, self._names = self._sandbox.compiled(source, html=html, names=NAMES)
        except Exception as error:  # whatever the compiler makes of it
            raise self._wrong(error) from None
        for sample in SAMPLES:
            try:
                self._rendered(sample)
            except Exception as error:  # whatever an expression raises
                known = "" if sample.alert.labels else " without values and labels"
                raise self._wrong(error, f", for a {sample.kind.value} notice{known}") from None

    def __repr__(self) -> str:
        return f"<Template {self._field} of {self._where}>"

    def render(self, notice: Notice) -> str:
        """Give the text for `notice`. Never raises: where the template fails, the built-in text says so in its last line."""
        try:
            return self._rendered(notice)
        except Exception as error:  # the page goes out, whatever is wrong with its wording
            why = self._why(error)
            self._warn(why)
            text = f"{plain(notice)}\n\n(template error: {why})"
            return f"<pre>{escape(text)}</pre>" if self._html else text

    def _rendered(self, notice: Notice) -> str:
        text: str = self._sandbox.rendered(self._template, variables(notice, self._names))
        if not text.strip():
            raise ValueError("it says nothing")  # which no chat service takes
        return printable(text)

    def _warn(self, why: str) -> None:
        if not self._warned:
            self._warned = True
            _logger.warning(
                "%s: the template %r fails, the built-in text goes out instead: %s", self._where, self._field, why
            )

    def _why(self, error: Exception) -> str:
        line = self._sandbox.line_of(error)
        text = one_line(f"{error}" or type(error).__name__)[:_LONGEST_ERROR]
        return text if line is None else f"line {line}: {text}"

    def _wrong(self, error: Exception, when: str = "") -> ChannelError:
        return ChannelError(
            self._where, field=self._field, seen=f"{self._field}, {self._why(error)}{when}", expected=_EXPECTED
        )


def text_of(notice: Notice, template: Template | None) -> str:
    """Give the text of the template, or the built-in one where there is none."""
    return plain(notice) if template is None else template.render(notice)


def _load_sandbox() -> "ModuleType":
    """Import Jinja2 at first use; MissingExtra says what to install where it is not there."""
    from kailash_monitor.channels import sandbox

    return sandbox
