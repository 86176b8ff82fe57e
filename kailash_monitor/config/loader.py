"""From a configuration file to settings, with every problem of the file told at once."""

import difflib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from kailash_monitor.channels.mapping import channel_parameters, faults
from kailash_monitor.config.schema import (
    CHANNEL_KEYS,
    BurnRateSettings,
    ChannelSettings,
    CollectorSettings,
    CollectorsSettings,
    HeartbeatSettings,
    QuerySettings,
    RuleSettings,
    Settings,
    ValidationError,
    burn_rate_settings,
    channel_settings,
    keys_of,
    mapping,
    rule_settings,
)
from kailash_monitor.errors import ChannelError, ConfigurationError, InvalidFile
from kailash_monitor.yaml_source import Node, parse_yaml, text_of

__all__ = ["Contents", "Problems", "load_contents"]

T = TypeVar("T")

Place = tuple[str | int, ...]
"""Where something stands in a file: keys and indices, from the outside in."""

_VARIABLE: Final = re.compile(r"\$\{(\w+)\}")
_NOTHING: Final = object()

SECRETIVE: Final = frozenset({"channels", "heartbeat"})
"""Keys under which secrets may stand, and thus variables of the environment."""

_SHORT: Final = {"metric_name": "metric", "webhook_url": "url"}
"""Parameters that have a shorter name in files."""


class Problems:
    """Collects what is wrong with a file, each with its line, and raises all of it together."""

    def __init__(self, source: str, root: Node) -> None:
        self._source = source
        self._root = root
        self._found: list[tuple[int, str]] = []
        self._places: list[Place] = []

    def add(self, path: Place, text: str) -> None:
        """Note what is wrong at `path`."""
        line = self._root.line_of(path)
        self._found.append((line, f"{self._source}:{line}: {_dotted(path)}: {text}"))
        self._places.append(path)

    def within(self, path: Place) -> bool:
        """Whether anything was noted at `path`, or below it."""
        return any(place[: len(path)] == path for place in self._places)

    def add_error(self, path: Place, error: ConfigurationError) -> None:
        """Note a definition that was refused, at the field that is at fault where it stands in the file."""
        field = error.field or ""
        keys = [key for key in (_SHORT.get(field, field), field) if self._root.has((*path, key))]
        self.add((*path, *keys[:1]), f"{error.seen}; {error.expected}")

    def raise_any(self) -> None:
        """Raise InvalidFile if anything was noted."""
        if self._found:
            raise InvalidFile([text for _, text in sorted(self._found)])


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file says, and where to note what turns out to be wrong with it.

    All but the settings and problems hold, by their index in the file, those whose shape is right.
    """

    settings: Settings
    problems: Problems
    rules: Mapping[int, RuleSettings | QuerySettings] = field(default_factory=dict[int, RuleSettings | QuerySettings])
    burn_rates: Mapping[int, BurnRateSettings] = field(default_factory=dict[int, BurnRateSettings])
    channels: Mapping[int, ChannelSettings] = field(default_factory=dict[int, ChannelSettings])
    mute_times: Mapping[int, Mapping[str, object]] = field(default_factory=dict[int, Mapping[str, object]])
    inhibitions: Mapping[int, Mapping[str, object]] = field(default_factory=dict[int, Mapping[str, object]])


def load_contents(path: Path, environment: Mapping[str, str] | None = None) -> Contents:
    """Read `path` and check the shape of what it says; `${NAME}` in the texts of channels is taken from the environment.

    What is wrong is noted in the problems of what is given back. InvalidFile where it cannot be read at all.
    """
    source = str(path)
    try:
        root = parse_yaml(_text(path), source)
    except ConfigurationError as error:
        raise InvalidFile([str(error)]) from None
    problems = Problems(source, root)
    document = root.plain()
    if not isinstance(document, dict):
        problems.add((), "not a mapping; write keys such as 'rules:' and 'channels:'")
        problems.raise_any()
    for key in SECRETIVE & document.keys():
        variables = os.environ if environment is None else environment
        document[key] = _with_variables(document[key], (key,), variables, problems)
    settings = _settings(document, problems)
    channels = [_spelt_out(channel) for channel in settings.channels]
    _note_faults(channels, problems)
    contents = Contents(
        settings,
        problems,
        rules=_each("rules", settings.rules, rule_settings, document, problems),
        burn_rates=_each("burn_rates", settings.burn_rates, burn_rate_settings, document, problems),
        channels=_each("channels", channels, channel_settings, document, problems),
        mute_times=_each("mute_times", settings.mute_times, mapping, document, problems),
        inhibitions=_each("inhibitions", settings.inhibitions, mapping, document, problems),
    )
    _note_doubles("rules", "a second rule of that name", settings.rules, problems)
    _note_doubles("burn_rates", "a second of that name", settings.burn_rates, problems)
    _note_doubles("channels", "a second of that name", settings.channels, problems)
    _note_doubles("mute_times", "a second of that name", settings.mute_times, problems)
    return contents


def _text(path: Path) -> str:
    if path.exists() and not path.is_file():  # a pipe that nobody writes to would be waited for, for ever
        raise InvalidFile([f"{path}: cannot be read: it is not a file"])
    return text_of(path)


def _settings(document: dict[str, Any], problems: Problems) -> Settings:  # Any: whatever YAML can say
    """Check the shape of the whole; what is wrong is noted, and taken for not written."""
    try:
        return Settings.model_validate(document)
    except ValidationError as error:
        details = error.errors(include_url=False)
        _note_shape(details, (), document, problems)
        wrong = {detail["loc"][0] for detail in details}
        return Settings.model_validate({key: value for key, value in document.items() if key not in wrong})


def _each(
    key: str, items: list[object], check: Callable[[object], T], document: dict[str, Any], problems: Problems
) -> dict[int, T]:  # Any: as above
    """Give the items whose shape is right, by index; what is wrong with the others is noted."""
    right: dict[int, T] = {}
    for index, item in enumerate(items):
        try:
            checked = check(item)
        except ValidationError as error:
            _note_shape(error.errors(include_url=False), (key, index), document, problems)
        else:
            if not problems.within((key, index)):
                right[index] = checked
    return right


def _spelt_out(channel: object) -> object:
    """Give a channel by the names of its class, which says `webhook_url` where a file may say `url`."""
    if not isinstance(channel, dict):
        return channel
    try:
        known = channel_parameters(channel.get("type"))
    except ChannelError:
        return channel  # it has no names then, which is noted
    long = {short: name for name, short in _SHORT.items() if name in known and short not in known and name not in channel}
    return {long.get(key, key): value for key, value in channel.items()}


def _note_faults(channels: list[object], problems: Problems) -> None:
    """Note each parameter that no channel of that type has, or of the wrong kind, and each that is missing."""
    for index, channel in enumerate(channels):
        if isinstance(channel, dict):
            for fault in faults(channel, beside=CHANNEL_KEYS):
                problems.add_error(("channels", index), fault)


def _note_shape(details: Any, place: Place, document: object, problems: Problems) -> None:  # Any: pydantic's details
    for detail in details:
        problems.add(*_in_words({**detail, "loc": (*place, *detail["loc"])}, document))


def _note_doubles(key: str, seen: str, items: list[object], problems: Problems) -> None:
    """Note each name that stands a second time, whatever else is wrong with the two."""
    taken: set[str] = set()
    for index, item in enumerate(items):
        name = item.get("name") if isinstance(item, dict) and item.get("enabled") is not False else None
        if isinstance(name, str) and name in taken:
            problems.add((key, index, "name"), f"{seen}; give it another name")
        elif isinstance(name, str):
            taken.add(name)


def _with_variables(value: Any, path: Place, variables: Mapping[str, str], problems: Problems) -> Any:
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


_RIGHT: Final = {
    "dict_type": "write a mapping, such as {key: value}",
    "model_type": "write a mapping, such as {key: value}",
    "model_attributes_type": "write a mapping, such as {key: value}",
    "list_type": "write a list, each item after a dash",
    "string_type": "write a text; put it into quotes",
    "string_sub_type": "write a text; put it into quotes",
    "bool_type": "write true or false",
    "bool_parsing": "write true or false",
    "float_type": "write a number",
    "int_type": "write a whole number",
    "finite_number": "write a finite number",
}
"""What would be right, by pydantic's name of the mistake."""


def _in_words(detail: Any, document: Any) -> tuple[Place, str]:  # Any: pydantic's detail, YAML's document
    """Give where in the file it is wrong, and what was seen and is allowed."""
    path = _path_in_file(detail["loc"], document)
    match detail["type"]:
        case "extra_forbidden":
            if path[0] == "rules" and path[-1] in keys_of(RuleSettings):
                return path, "beside expr, which says all of it; leave one of them out"
            allowed = _keys_at(path)
            near = difflib.get_close_matches(str(path[-1]), allowed, n=1)
            return path, f"unknown key; did you mean {near[0]!r}?" if near else f"unknown key; use {', '.join(allowed)}"
        case "missing":
            return path[:-1], f"{path[-1]} is missing"
        case "literal_error":
            return path, f"{_seen(path, detail)}use one of {detail['ctx']['expected']}"
        case "value_error":
            error = detail["ctx"]["error"]
            return path, f"{error.seen}; {error.expected}" if isinstance(error, ConfigurationError) else str(error)
        case kind:
            return path, _seen(path, detail) + _RIGHT.get(kind, f"{detail['msg'][:1].lower()}{detail['msg'][1:]}")


def _seen(path: Place, detail: Any) -> str:  # Any: as above
    """Say what stands there, unless it may be a secret, or is too long to be said."""
    value = detail["input"]
    if value is None:
        return "nothing stands here; leave the key out, or "
    if isinstance(value, dict | list) or not _may_be_shown(path):
        return ""
    return f"saw {value!r}; "


def _path_in_file(location: Place, document: Any) -> Place:  # Any: as above
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


def _may_be_shown(path: Place) -> bool:
    """Whether it holds no secret for sure. The parameters of channels do not come here: what of them is shown, they know."""
    if path[:1] == ("heartbeat",):
        return len(path) == 2 and path[1] != "url"
    return path[:1] != ("channels",) or len(path) == 3


def _keys_at(path: Place) -> list[str]:
    match path:
        case ("rules", *_):
            return [*dict.fromkeys((*keys_of(RuleSettings), *keys_of(QuerySettings)))]
        case ("burn_rates", *_):
            return keys_of(BurnRateSettings)
        case ("heartbeat", *_):
            return keys_of(HeartbeatSettings)
        case ("collectors", _):
            return keys_of(CollectorsSettings)
        case ("collectors", *_):
            return keys_of(CollectorSettings)
        case _:
            return keys_of(Settings)


def _dotted(path: Place) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".") or "the file"
