"""Go's templates, as Prometheus' rules have them in labels and annotations."""

from kailash_monitor.rules.templates.errors import TemplateError
from kailash_monitor.rules.templates.facts import Facts, Query
from kailash_monitor.rules.templates.go_numbers import float_text
from kailash_monitor.rules.templates.template import Template, compile_template

__all__ = ["Facts", "Query", "Template", "TemplateError", "compile_template", "float_text"]
