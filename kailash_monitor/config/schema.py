"""The shape of a configuration file, checked by pydantic."""

from typing import Annotated, Any, Final, Literal

from kailash_monitor.errors import MissingExtra
from kailash_monitor.model.durations import format_duration, parse_duration

try:
    from pydantic import BaseModel, ConfigDict, Field, PlainValidator, SecretStr, TypeAdapter, ValidationError
except ImportError:
    raise MissingExtra("reading a configuration file", package="pydantic", extra="cli") from None

__all__ = [
    "ChannelSettings",
    "CollectorSettings",
    "CollectorsSettings",
    "LogChannelSettings",
    "RuleSettings",
    "Settings",
    "ValidationError",
    "WebhookChannelSettings",
    "channel_settings",
    "keys_of",
    "revealed",
    "rule_settings",
]

MIN_EVERY: Final = 0.1
"""Seconds between two samples of the machine, at least: more often, watching it would be what it does."""


def _duration(value: Any) -> Any:  # Any: whatever YAML can say
    """Give `value` as it is, for the one who uses it to read; a ValueError where it is no duration."""
    parse_duration(value)
    return value


def _sampling_interval(value: Any) -> float:  # Any: as above
    seconds = parse_duration(value)
    if seconds < MIN_EVERY:
        raise ValueError(f"saw {value!r}; use a duration of {format_duration(MIN_EVERY)} at least")
    return seconds


Duration = Annotated[float | str, PlainValidator(_duration)]
SamplingInterval = Annotated[float, PlainValidator(_sampling_interval)]
Number = Annotated[float, Field(strict=True)]
"""Not the text "5", and not true, which Python takes for 1."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, populate_by_name=True, frozen=True)


class CollectorSettings(_Strict):
    """Whether one of `host`, `process`, `loop` is measured, and how often."""

    enabled: bool = True
    every: SamplingInterval | None = None


class CollectorsSettings(_Strict):
    """The collectors."""

    host: CollectorSettings = CollectorSettings()
    process: CollectorSettings = CollectorSettings()
    loop: CollectorSettings = CollectorSettings()


class RuleSettings(_Strict):
    """A rule; the keys are the parameters of AlertRule."""

    name: str
    description: str | None = None
    severity: Literal["info", "warning", "error", "critical"] = "warning"
    metric_name: str = Field(alias="metric")
    condition: str
    threshold: Number | None = None
    time_window: Duration | None = None
    evaluation_interval: Duration | None = None
    notification_interval: Duration | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    enabled: bool = True
    collector: str | None = None
    match: dict[str, str] = {}
    group_by: list[str] = []
    hold: Duration | None = None
    keep_firing: Duration | None = None
    clear: Number | None = None


class LogChannelSettings(_Strict):
    """The log."""

    type: Literal["log"]
    name: str | None = None
    level: str | None = None
    enabled: bool = True


class WebhookChannelSettings(_Strict):
    """A webhook."""

    type: Literal["webhook"]
    name: str | None = None
    webhook_url: SecretStr = Field(alias="url")
    headers: dict[str, SecretStr] = {}
    enabled: bool = True


ChannelSettings = Annotated[LogChannelSettings | WebhookChannelSettings, Field(discriminator="type")]


class Settings(_Strict):
    """A whole file. Every key may be left out. Rules and channels are checked one by one, so that each is told of."""

    listen: str | None = None
    namespace: str = "kailash"
    collectors: CollectorsSettings = CollectorsSettings()
    default_rules: bool = True
    rules: list[object] = []
    channels: list[object] = []


_CHANNEL: Final[TypeAdapter[ChannelSettings]] = TypeAdapter(ChannelSettings)


def rule_settings(value: object) -> RuleSettings:
    """Check one rule; a ValidationError lists what is wrong with its shape."""
    return RuleSettings.model_validate(value)


def channel_settings(value: object) -> ChannelSettings:
    """Check one channel; a ValidationError lists what is wrong with its shape."""
    return _CHANNEL.validate_python(value)


def keys_of(model: type[BaseModel]) -> list[str]:
    """Give the keys as they are written in a file."""
    return [field.alias or name for name, field in model.model_fields.items()]


def revealed(value: object) -> object:
    """Give the value with its secrets in clear, for the one who needs them."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, dict):
        return {key: revealed(item) for key, item in value.items()}
    return value
