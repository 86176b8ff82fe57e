"""The shape of a configuration file, checked by pydantic."""

from typing import Annotated, Any, Final, Literal

from kailash_monitor.delivery.bucket import Rate
from kailash_monitor.errors import MissingExtra
from kailash_monitor.model.durations import format_duration, parse_duration

try:
    from pydantic import (
        BaseModel,
        ConfigDict,
        Discriminator,
        Field,
        PlainValidator,
        Secret,
        SecretStr,
        Tag,
        TypeAdapter,
        ValidationError,
    )
except ImportError:
    raise MissingExtra("reading a configuration file", package="pydantic", extra="cli") from None

__all__ = [
    "CHANNEL_KEYS",
    "BurnRateSettings",
    "ChannelSettings",
    "CollectorSettings",
    "CollectorsSettings",
    "HeartbeatSettings",
    "RuleSettings",
    "Settings",
    "ValidationError",
    "burn_rate_settings",
    "channel_settings",
    "keys_of",
    "mapping",
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


def _rate(value: Any) -> tuple[float, int]:  # Any: as above
    match value:
        case {"per_second": per_second, "burst": burst, **others} if not others:
            pass
        case [per_second, burst]:
            pass
        case _:
            raise ValueError("write how many messages a second and at once: {per_second: 1, burst: 5}, or [1, 5]")
    rate = Rate(per_second, burst)
    return rate.per_second, rate.burst


Duration = Annotated[float | str, PlainValidator(_duration)]
SamplingInterval = Annotated[float, PlainValidator(_sampling_interval)]
Number = Annotated[float, Field(strict=True)]
"""Not the text "5", and not true, which Python takes for 1."""

WholeNumber = Annotated[int, Field(strict=True)]
Severity = Literal["info", "warning", "error", "critical"]
Thresholds = dict[Severity, Number]
Clear = Annotated[
    Annotated[Number, Tag("number")] | Annotated[Thresholds, Tag("levels")],
    Discriminator(lambda value: "levels" if isinstance(value, dict) else "number"),
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, populate_by_name=True, frozen=True)


class CollectorSettings(_Strict):
    """Whether one of the collectors is measured, and how often."""

    enabled: bool = True
    every: SamplingInterval | None = None


class CollectorsSettings(_Strict):
    """The collectors. `runtime` is of use to who looks into a program: it is measured where the file names it."""

    host: CollectorSettings = CollectorSettings()
    process: CollectorSettings = CollectorSettings()
    loop: CollectorSettings = CollectorSettings()
    runtime: CollectorSettings = CollectorSettings(enabled=False)


class RuleSettings(_Strict):
    """A rule; the keys are the parameters of AlertRule, but for those that only a program can give."""

    name: str
    description: str | None = None
    severity: Severity | None = None
    metric_name: str = Field(alias="metric")
    condition: str
    threshold: Number | None = None
    levels: Thresholds | None = None
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
    clear: Clear | None = None
    no_data: Literal["keep", "alert", "ok"] | None = None
    max_alerts: WholeNumber | None = None
    flapping: object = None  # a pair or a mapping: AlertRule says what is wrong with it
    on_write: bool = False


class QuerySettings(_Strict):
    """A rule in PromQL; the keys are those parameters of AlertRule that can stand beside an expression."""

    name: str
    expr: str
    description: str | None = None
    severity: Severity | None = None
    evaluation_interval: Duration | None = None
    notification_interval: Duration | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    enabled: bool = True
    hold: Duration | None = None
    keep_firing: Duration | None = None
    max_alerts: WholeNumber | None = None
    flapping: object = None  # as above
    timeout: Duration | None = None


class BurnRateSettings(_Strict):
    """An objective and what it is about; the keys are parameters of burn_rate_rules."""

    name: str
    good: str
    total: str
    objective: Number
    min_events: WholeNumber | None = None
    collector: str | None = None
    match: dict[str, str] = {}
    group_by: list[str] = []
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class ChannelSettings(_Strict):
    """How a channel is used; what else is written of it are `parameters` of its class, any of which may be a secret."""

    enabled: bool = True
    rate: Annotated[tuple[float, int], PlainValidator(_rate)] | None = None
    fallback: str | None = None
    fallback_after: Duration | None = None
    parameters: Secret[dict[str, object]]


CHANNEL_KEYS: Final = tuple(key for key in ChannelSettings.model_fields if key != "parameters")
"""What may be said of any channel, beside the parameters of its class."""


class HeartbeatSettings(_Strict):
    """Whom to call while all is well; the keys are the parameters of Heartbeat."""

    url: SecretStr
    """Whoever knows it can call."""

    every: Duration | None = None
    method: Literal["GET", "POST"] | None = None
    timeout: Duration | None = None
    egress: Literal["private", "public"] | None = None


class Settings(_Strict):
    """A whole file. Every key may be left out. What stands in lists is checked one by one, so that each is told of.

    The keys of mute times, routes and inhibitions are the business of MuteTime, Route and Inhibition.
    """

    listen: str | None = None
    store: str | None = None
    namespace: str = "kailash"
    collectors: CollectorsSettings = CollectorsSettings()
    default_rules: bool = True
    heartbeat: HeartbeatSettings | None = None
    rules: list[object] = []
    rule_files: list[str] = []
    """Prometheus' rule files, relative to the folder of this file; `*`, `?` and `**` may stand for others."""

    burn_rates: list[object] = []
    channels: list[object] = Field(default=[], repr=False)  # with secrets, in clear
    mute_times: list[object] = []
    routes: dict[str, object] = {}
    inhibitions: list[object] = []
    token_file: str | None = None
    """Holds what changes over HTTP need, relative to the folder of this file."""

    hosts: list[str] = []
    """Names at which changes are taken, beside addresses and localhost."""


_MAPPING: Final = TypeAdapter(dict[str, object])


def rule_settings(value: object) -> RuleSettings | QuerySettings:
    """Check one rule; a ValidationError lists what is wrong with its shape."""
    kind = QuerySettings if isinstance(value, dict) and "expr" in value else RuleSettings
    return kind.model_validate(value)


def burn_rate_settings(value: object) -> BurnRateSettings:
    """Check one burn rate; a ValidationError lists what is wrong with its shape."""
    return BurnRateSettings.model_validate(value)


def mapping(value: object) -> dict[str, object]:
    """Check that it is a mapping; a ValidationError says that it is none."""
    return _MAPPING.validate_python(value)


def channel_settings(value: object) -> ChannelSettings:
    """Check how one channel is used; a ValidationError lists what is wrong with that. Its parameters are not looked at."""
    given = mapping(value)
    policy = {key: given.pop(key) for key in CHANNEL_KEYS if key in given}
    return ChannelSettings.model_validate({**policy, "parameters": given})


def keys_of(model: type[BaseModel]) -> list[str]:
    """Give the keys as they are written in a file."""
    return [field.alias or name for name, field in model.model_fields.items()]
