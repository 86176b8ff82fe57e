"""Negotiation: which format and encoding a scraper gets, of those it says it can read.

RFC 9110, 12.5: the highest quality wins, among equals the one we would rather send. Whatever cannot be met, or read, falls
back to the Prometheus text, which every scraper takes.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from kailash_monitor.exposition.json_format import render_json
from kailash_monitor.exposition.openmetrics import (
    OPENMETRICS_CONTENT_TYPE,
    OPENMETRICS_UTF8_CONTENT_TYPE,
    render_openmetrics,
)
from kailash_monitor.exposition.prometheus import PROMETHEUS_CONTENT_TYPE, PROMETHEUS_UTF8_CONTENT_TYPE, render_prometheus
from kailash_monitor.exposition.protobuf import PROTOBUF_CONTENT_TYPE, render_protobuf
from kailash_monitor.model.snapshot import Snapshot

__all__ = ["JSON", "PROMETHEUS_TEXT", "Format", "accepts_gzip", "choose_format"]


@dataclass(frozen=True, slots=True, eq=False)
class Format:
    """A format of the page: its media type, the parameters it has where they are asked for, and how it is written.

    `ranges` are the media ranges for which it is the answer.
    """

    name: str
    media_type: str
    parameters: Mapping[str, str]
    content_type: str
    render: Callable[[Snapshot], Iterator[bytes]]
    utf8: bool = False
    ranges: tuple[str, ...] = ()

    def meets(self, media_type: str, parameters: Mapping[str, str]) -> bool:
        """Whether somebody who asks so can read it; names beyond ASCII have to be asked for."""
        return (
            media_type in (self.media_type, *self.ranges)
            and all(parameters.get(name, value) == value for name, value in self.parameters.items())
            and (not self.utf8 or parameters.get("escaping") == "allow-utf-8")
        )


PROMETHEUS_TEXT: Final = Format(
    "prometheus",
    "text/plain",
    {"version": "0.0.4"},
    PROMETHEUS_CONTENT_TYPE,
    render_prometheus,
    ranges=("text/*", "*/*"),
)

JSON: Final = Format("json", "application/json", {}, "application/json", render_json)
"""Not negotiated: it has a page of its own."""

_PROTOBUF: Final = Format(
    "protobuf",
    "application/vnd.google.protobuf",
    {"proto": "io.prometheus.client.metricfamily", "encoding": "delimited"},
    PROTOBUF_CONTENT_TYPE,
    render_protobuf,
)
_OPENMETRICS: Final = Format(
    "openmetrics",
    "application/openmetrics-text",
    {"version": "1.0.0"},
    OPENMETRICS_CONTENT_TYPE,
    render_openmetrics,
)

_FORMATS: Final = (
    replace(
        _PROTOBUF,
        content_type=f"{PROTOBUF_CONTENT_TYPE}; escaping=allow-utf-8",
        render=partial(render_protobuf, utf8=True),
        utf8=True,
    ),
    _PROTOBUF,
    replace(
        _OPENMETRICS,
        content_type=OPENMETRICS_UTF8_CONTENT_TYPE,
        render=partial(render_openmetrics, utf8=True),
        utf8=True,
    ),
    _OPENMETRICS,
    replace(
        PROMETHEUS_TEXT,
        parameters={"version": "1.0.0"},
        ranges=(),
        content_type=PROMETHEUS_UTF8_CONTENT_TYPE,
        render=partial(render_prometheus, utf8=True),
        utf8=True,
    ),
    PROMETHEUS_TEXT,
)
"""In order of preference: protobuf has native histograms, OpenMetrics also tells when counting began."""


def choose_format(accept: str | None) -> Format:
    """Give the format for the request header Accept."""
    best, quality = PROMETHEUS_TEXT, 0.0
    for media_type, parameters in _offers(accept or ""):
        for offered in _FORMATS:
            if not offered.meets(media_type, parameters):
                continue
            wanted = _quality(parameters)
            better = wanted > quality or (wanted == quality > 0 and _FORMATS.index(offered) < _FORMATS.index(best))
            if better:
                best, quality = offered, wanted
    return best


def accepts_gzip(accept_encoding: str | None) -> bool:
    """Whether the request header Accept-Encoding allows gzip."""
    qualities = {name: _quality(parameters) for name, parameters in _offers(accept_encoding or "")}
    return qualities.get("gzip", qualities.get("*", 0.0)) > 0


def _offers(header: str) -> Iterator[tuple[str, dict[str, str]]]:
    for offer in header.lower().split(","):
        name, *rest = (part.strip() for part in offer.split(";"))
        pairs = (part.partition("=") for part in rest)
        yield name, {key.strip(): value.strip().strip('"') for key, _, value in pairs}


def _quality(parameters: dict[str, str]) -> float:
    """Give the weight from 0 to 1; one that cannot be read is none."""
    text = parameters.get("q", "1")
    try:
        return min(1.0, max(0.0, float(text)))
    except ValueError:
        return 0.0
