"""From a configuration file to settings, with every problem of the file told at once."""

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from kailash_monitor.config.schema import (
    CollectorSettings,
    CollectorsSettings,
    LogChannelSettings,
    RuleSettings,
    Settings,
    ValidationError,
    WebhookChannelSettings,
    keys_of,
)
from kailash_monitor.errors import ConfigurationError, InvalidFile
from kailash_monitor.yaml_source import Node, parse_yaml

__all__ = ["Problems", "load_settings"]

_VARIABLE: Final = re.compile(r"\$\{(\w+)\}")
_SHOWN_OF_CHANNELS: Final = ("type", "level", "name", "enabled")
"""Everything else in a channel may be a secret, or hold one."""

_NOTHING: Final = object()

_SHORT: Final = {"metric_name": "metric", "webhook_url": "url"}
"""Parameters that have a shorter name in files."""


class Problems:
    """Collects what is wrong with a file, each with its line, and raises all of it together."""

    def __init__(self, source: str, root: Node) -> None:
        self._source = source
        self._root = root
        self._found: list[tuple[int, str]] = []

    def add(self, path: tuple[str | int, ...], text: str) -> None:
        """Note what is wrong at `path`."""
        line = self._root.line_of(path)
        self._found.append((line, f"{self._source}:{line}: {_dotted(path)}: {text}"))

    def add_error(self, path: tuple[str | int, ...], error: ConfigurationError) -> None:
        """Note a definition that was refused, at the field that is at fault."""
        field = (self._key(path, error.field),) if error.field else ()
        self.add((*path, *field), f"{error.seen}; {error.expected}")

    def _key(self, path: tuple[str | int, ...], field: str) -> str:
        """Give the key by which the file calls `field`."""
        short = _SHORT.get(field, field)
        return short if self._root.has((*path, short)) else field

    def raise_any(self) -> None:
        """Raise InvalidFile if anything was noted."""
        if self._found:
            raise InvalidFile([text for _, text in sorted(self._found)])


def load_settings(path: Path, environment: Mapping[str, str] | None = None) -> tuple[Settings, Problems]:
    """Read and check `path`; `${NAME}` in the texts of channels is taken from the environment.

    Gives the settings, and where to note what turns out to be wrong with them later. InvalidFile lists all problems.
    """
    source = str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InvalidFile([f"{source}: cannot be read: {reason}"]) from None
    try:
        root = parse_yaml(text, source)
    except ConfigurationError as error:
        raise InvalidFile([str(error)]) from None
    problems = Problems(source, root)
    document = root.plain()
    if not isinstance(document, dict):
        problems.add((), "not a mapping; write keys such as 'rules:' and 'channels:'")
        problems.raise_any()
    variables = os.environ if environment is None else environment
    document = {
        **document,
        "channels": _with_variables(document.get("channels", []), ("channels",), variables, problems),
    }
    try:
        settings = Settings.model_validate(document)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            problems.add(*_in_words(detail, document))
        problems.raise_any()
        raise  # not reached: an invalid file has a problem
    problems.raise_any()
    return settings, problems


def _with_variables(value: Any, path: tuple[str | int, ...], variables: Mapping[str, str], problems: Problems) -> Any:
    """Put the values of environment variables in; Any: whatever YAML can say."""
    match value:
        case str():

            def replacement(match: re.Match[str]) -> str:
                name = match[1]
                if name not in variables:
                    problems.add(path, f"the environment variable {name} is not set")
                return variables.get(name, "")

            return _VARIABLE.sub(replacement, value)
        case list():
            return [_with_variables(item, (*path, i), variables, problems) for i, item in enumerate(value)]
        case dict():
            return {key: _with_variables(item, (*path, key), variables, problems) for key, item in value.items()}
        case _:
            return value


def _in_words(detail: Any, document: Any) -> tuple[tuple[str | int, ...], str]:  # Any: pydantic's detail, YAML's document
    """Give where in the file it is wrong, and what was seen and is allowed."""
    path = _path_in_file(detail["loc"], document)
    seen = f"saw {detail['input']!r}; " if _may_be_shown(path) and not isinstance(detail["input"], dict) else ""
    match detail["type"]:
        case "extra_forbidden":
            allowed = _keys_at(path)
            near = difflib.get_close_matches(str(path[-1]), allowed, n=1)
            return path, f"unknown key; did you mean {near[0]!r}?" if near else f"unknown key; use {', '.join(allowed)}"
        case "missing":
            return path[:-1], f"{path[-1]} is missing"
        case "literal_error":
            return path, f"{seen}use one of {detail['ctx']['expected']}"
        case "union_tag_invalid":
            return (*path, "type"), f"saw {detail['ctx']['tag']!r}; use one of {detail['ctx']['expected_tags']}"
        case "union_tag_not_found":
            return path, "type is missing; use one of 'log', 'webhook'"
        case _:
            return path, f"{seen}{detail['msg'][:1].lower()}{detail['msg'][1:]}"


def _path_in_file(location: tuple[str | int, ...], document: Any) -> tuple[str | int, ...]:  # Any: as above
    """Leave out what pydantic adds to tell the members of a union apart."""
    path: list[str | int] = []
    here = document
    for index, step in enumerate(location):
        below = _below(here, step)
        last = index == len(location) - 1
        if below is not _NOTHING or (last and isinstance(here, dict)):
            here = below
            path.append(step)
    return tuple(path)


def _below(here: Any, step: str | int) -> Any:  # Any: as above
    if isinstance(here, dict):
        return here.get(step, _NOTHING)
    return here[step] if isinstance(here, list) and isinstance(step, int) else _NOTHING


def _may_be_shown(path: tuple[str | int, ...]) -> bool:
    return path[:1] != ("channels",) or (len(path) == 3 and path[2] in _SHOWN_OF_CHANNELS)


def _keys_at(path: tuple[str | int, ...]) -> list[str]:
    match path:
        case ("rules", *_):
            return keys_of(RuleSettings)
        case ("channels", *_):
            return sorted({*keys_of(LogChannelSettings), *keys_of(WebhookChannelSettings)})
        case ("collectors", _):
            return keys_of(CollectorsSettings)
        case ("collectors", *_):
            return keys_of(CollectorSettings)
        case _:
            return keys_of(Settings)


def _dotted(path: tuple[str | int, ...]) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".") or "the file"
