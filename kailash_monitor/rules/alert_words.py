"""Alert words: the labels and annotations that a rule's templates make of one series of its expression."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from kailash_monitor.model.labels import Labels
from kailash_monitor.promql.labelset import LabelSet
from kailash_monitor.rules.reading import Words
from kailash_monitor.rules.rule import AlertRule
from kailash_monitor.rules.templates import Facts, Query, Template, TemplateError, compile_template

__all__ = ["group_of", "words_of"]

_NONE: Final[Mapping[str, str]] = {}


def words_of(
    rule: AlertRule,
    labels: LabelSet,
    value: float,
    *,
    query: Query,
    now: float,
    external_labels: Mapping[str, str] = _NONE,
    external_url: str = "",
) -> Words:
    """Give what is said of a series with `labels` and `value`, at `now` (Unix seconds); `query` answers its templates.

    Templates see the metric's name among the labels; `external_labels` and `external_url` are those of the program. A text
    that cannot be made says why instead, as in Prometheus: the alert is told all the same.
    """
    own = {name: text for name, text in labels.nameless.labels.items() if name != "alertname"}
    facts = Facts(labels.labels, value, external_labels, external_url, query, now)
    return Words(
        Labels({name: text for name, text in {**own, **_expanded(rule, rule.labels, facts)}.items() if text}),
        _expanded(rule, rule.annotations, facts),
    )


def group_of(rule: AlertRule, words: Words) -> Labels:
    """Give what tells an alert from the others of its rule: all its labels but those that the rule gives every one."""
    shared = {name for name, text in rule.labels.items() if _compiled(text, "").is_plain}
    return Labels({name: text for name, text in words.labels.items() if name not in shared})


def _expanded(rule: AlertRule, texts: Mapping[str, str], facts: Facts) -> dict[str, str]:
    name = f"__alert_{rule.labels.get('alertname', rule.name)}"
    return {label: _text(text, name, facts) for label, text in texts.items()}


@lru_cache(maxsize=4096)
def _compiled(text: str, name: str) -> Template:
    return compile_template(text, name=name)


def _text(text: str, name: str, facts: Facts) -> str:
    try:
        return _compiled(text, name).expand(facts)
    except TemplateError as error:
        return f"<error expanding template: error executing template {name}: {error}>"
