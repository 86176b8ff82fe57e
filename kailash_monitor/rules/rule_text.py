"""Texts of rule files: groups of rules as the YAML that Prometheus reads."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from kailash_monitor.promql.durations import duration_text
from kailash_monitor.rules.rule_file import AlertingRule, Rule, RuleFile, RuleGroup

__all__ = ["rule_file_text"]


def rule_file_text(file: RuleFile, heading: Sequence[str] = ()) -> str:
    """Give the file's text, which `read_rule_file` reads as the same file; `heading` stands above, as lines of comment."""
    lines = [*_comments(heading, ""), *(["groups:"] if file.groups else ["groups: []"])]
    for group in file.groups:
        lines += ["", *_item(_group(group), "  ")] if group is not file.groups[0] else _item(_group(group), "  ")
    return "\n".join(lines) + "\n"


def _group(group: RuleGroup) -> Iterator[str]:
    yield f"name: {_scalar(group.name, '')}"
    if group.interval is not None:
        yield f"interval: {_duration(group.interval)}"
    if group.query_offset is not None:
        yield f"query_offset: {_duration(group.query_offset)}"
    if group.limit:
        yield f"limit: {group.limit}"
    yield from _mapping("labels", group.labels)
    if not group.rules:
        yield "rules: []"
        return
    yield "rules:"
    for rule in group.rules:
        yield from _comments(rule.comments if isinstance(rule, AlertingRule) else (), "  ")
        yield from _item(_rule(rule), "  ")


def _rule(rule: Rule) -> Iterator[str]:
    yield f"{'alert' if isinstance(rule, AlertingRule) else 'record'}: {_scalar(rule.name, '')}"
    yield from f"expr: {_scalar(rule.expr, '  ')}".split("\n")
    if isinstance(rule, AlertingRule):
        for key, seconds in (("for", rule.for_), ("keep_firing_for", rule.keep_firing_for)):
            if seconds:
                yield f"{key}: {_duration(seconds)}"
    yield from _mapping("labels", rule.labels)
    if isinstance(rule, AlertingRule):
        yield from _mapping("annotations", rule.annotations)


def _mapping(key: str, texts: Mapping[str, str]) -> Iterator[str]:
    if texts:
        yield f"{key}:"
        for name, text in texts.items():
            yield from f"  {_scalar(name, '')}: {_scalar(text, '    ')}".split("\n")


def _item(lines: Iterable[str], indent: str) -> list[str]:
    """Give the lines of an item of a list, which begins with a dash."""
    return [f"{indent}{'  ' if index else '- '}{line}" if line else "" for index, line in enumerate(lines)]


def _comments(texts: Iterable[str], indent: str) -> Iterator[str]:
    for text in texts:
        yield f"{indent}# {_escaped(text)}".rstrip()


def _duration(seconds: float) -> str:
    return duration_text(round(seconds, 3)) or "0s"


_PLAIN: Final = re.compile(r"[A-Za-z_(](?:[^:#\n]|:(?=\S)|(?<=\S)#)*(?<!\s)")
"""Letters first, and neither of the signs that end a plain text: ": " and " #"."""

_WORDS: Final = re.compile(r"null|true|false|yes|no|on|off|y|n", re.IGNORECASE)
"""What YAML, or an older one, takes for something else than a text."""


def _scalar(text: str, indent: str) -> str:
    """Give a text as YAML has it; lines after the first, which are indented so, only where `indent` is not empty."""
    if indent and "\n" in text.rstrip("\n") and _fits_block(text):
        keep = "" if text.endswith("\n") else "-"
        return f"|{keep}\n" + "\n".join(f"{indent}{line}" if line else "" for line in text.removesuffix("\n").split("\n"))
    if not text.isprintable():
        return f'"{_escaped(text, quotes=True)}"'
    if _PLAIN.fullmatch(text) and not _WORDS.fullmatch(text):
        return text
    if "'" in text and '"' not in text and "\\" not in text:
        return f'"{text}"'
    doubled = text.replace("'", "''")
    return f"'{doubled}'"


def _fits_block(text: str) -> bool:
    lines = text.removesuffix("\n").split("\n")
    return all(line.isprintable() for line in lines) and lines[0][:1].strip() != "" and lines[-1].strip() != ""


def _escaped(text: str, *, quotes: bool = False) -> str:
    """Give a text without what cannot be printed."""
    return "".join([_character(one, quotes=quotes) for one in text])


def _character(one: str, *, quotes: bool) -> str:
    if quotes and one in _NAMED:
        return _NAMED[one]
    if one.isprintable():
        return one
    if not quotes:
        return " "
    return f"\\u{ord(one):04x}" if ord(one) < 0x10000 else f"\\U{ord(one):08x}"


_NAMED: Final = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
