"""The metrics of the API: what is measured, and how it went."""

import math
from typing import Final, TypeVar

from kailash_monitor.clock import SYSTEM_CLOCK
from kailash_monitor.engine.queries import driven
from kailash_monitor.errors import ConfigurationError
from kailash_monitor.exposition.names import exported_name
from kailash_monitor.metrics import Metric
from kailash_monitor.metrics.series import Series
from kailash_monitor.model.metric import MetricType
from kailash_monitor.promql.source import Pieces
from kailash_monitor.rules import AlertRule
from kailash_monitor.web.answers import checked
from kailash_monitor.web.body import seen
from kailash_monitor.web.envelope import Envelopes
from kailash_monitor.web.feed import Feed
from kailash_monitor.web.http import Request, Response
from kailash_monitor.web.lines import STATISTICS, latest_of
from kailash_monitor.web.listing import Query, asked_filter, asked_text, asked_whole, asked_words, check_names, listing_of
from kailash_monitor.web.metric_chart import MetricView, chart_of_metric, matching
from kailash_monitor.web.monitored import Monitored
from kailash_monitor.web.routes import Route
from kailash_monitor.web.tiles import STEP, subjects, tile_of
from kailash_monitor.web.turns import Turns, Unknown, in_time
from kailash_monitor.web.windows import documents_of

__all__ = ["MetricsApi", "asked_range"]

T = TypeVar("T")

SHORTEST: Final = 300
LONGEST: Final = 86_400
USUAL: Final = 3600
"""Seconds that a chart may show: from five minutes to what the history keeps."""

LOOKED_AT_ONCE: Final = 500
"""Series whose labels are counted without a pause."""

_TYPES: Final = tuple(kind.value for kind in MetricType)

Found = tuple[str, Metric]
"""The name of a collector and one of its metrics."""


class MetricsApi:
    """`/api/metrics`, what is below it, and `/api/tiles`; `routes` has it all.

    Mutable: the tiles as they were last read, by whichever loop read them.
    """

    def __init__(self, manager: Monitored) -> None:
        self._manager = manager
        self._registry = manager.metrics_registry
        self._envelopes: Final = Envelopes(Feed(), self._registry.clock)
        self._turns: Final = Turns()
        self._tiles: tuple[float, list[dict[str, object]]] = (-math.inf, [])
        self.routes: Final = (
            Route("GET", "/api/metrics", checked(self._list)),
            Route("GET", "/api/metrics/series", in_time(self._series)),
            Route("GET", "/api/metrics/windows", in_time(self._windows)),
            Route("GET", "/api/metrics/chart", in_time(self._chart)),
            Route("GET", "/api/tiles", in_time(self._all_tiles)),
        )

    # -- lists ---------------------------------------------------------------------------------------------------------

    async def _list(self, request: Request, _: str) -> Response:
        query = request.query
        listing = listing_of(query, ("text", "collector", "type", "sort"))
        text, collector = asked_text(query, "text").casefold(), asked_text(query, "collector")
        types, order = asked_words(query, "type", _TYPES), _asked_word(query, "sort", ("name", "series"))
        collectors = self._registry.get_all_collectors()
        found: list[Found] = [
            (name, metric)
            for name, one in collectors.items()
            if collector in ("", name)
            for metric in one.get_all_metrics().values()
            if (not types or metric.metric_type.value in types) and (not text or text in self._text_of(name, metric))
        ]
        found.sort(key=lambda one: (-len(one[1].children) if order == "series" else 0, one[0], one[1].name))
        more = {"collectors": sorted(collectors)}
        return await self._envelopes.page(listing, "metrics", found, self._metric, more=more)

    def _text_of(self, collector: str, metric: Metric) -> str:
        """Give what a text is looked for in."""
        exported = exported_name(self._registry.namespace, collector, metric.metadata).name
        return "\n".join((collector, metric.name, exported, metric.metadata.description)).casefold()

    def _metric(self, found: Found) -> dict[str, object]:
        collector, metric = found
        return {
            "id": f"{collector}/{metric.name}",
            "collector": collector,
            "name": metric.name,
            "exported": exported_name(self._registry.namespace, collector, metric.metadata).name,
            "type": metric.metric_type.value,
            "unit": metric.metadata.unit or None,
            "description": metric.metadata.description,
            "series": len(metric.children),
            "latest": _finite(metric.latest()),
            "refused": metric.refused,
        }

    async def _series(self, request: Request, _: str) -> Response:
        listing = listing_of(request.query, ("collector", "name", "match"))
        collector, metric = self._asked(request.query)
        series = await self._turns.work(matching(metric, asked_filter(request.query)))
        labels = await driven(_labels(series), SYSTEM_CLOCK)
        resource = f"series {collector}/{metric.name}"
        return await self._envelopes.page(listing, "series", series, _row, resource=resource, more={"labels": labels})

    # -- over time -----------------------------------------------------------------------------------------------------

    async def _windows(self, request: Request, _: str) -> Response:
        check_names(request.query, ("collector", "name", "match"))
        _collector, metric = self._asked(request.query)
        now = self._registry.clock.now()
        windows = await self._turns.work(documents_of(metric, asked_filter(request.query), now))
        return Response.json({"at": self._envelopes.at(), "unit": metric.metadata.unit or None, "windows": windows})

    async def _chart(self, request: Request, _: str) -> Response:
        query = request.query
        check_names(query, ("collector", "name", "statistic", "range", "match", "by"))
        collector, metric = self._asked(query)
        view = MetricView(
            collector=collector,
            metric=metric,
            statistic=_asked_word(query, "statistic", STATISTICS[metric.metric_type]),
            span=asked_range(query),
            match=asked_text(query, "match"),
            wanted=asked_filter(query),
            by=asked_text(query, "by"),
        )
        chart = await self._turns.work(chart_of_metric(view, self._registry))
        return Response.json(chart.document(self._envelopes.at()))

    async def _all_tiles(self, _: Request, __: str) -> Response:
        """Answer with the tiles; they are read once for all who look in the same quarter of a minute."""
        due = math.floor(self._registry.clock.wall() / STEP)
        if self._tiles[0] != due:
            rules = [status.rule for status in self._manager.rule_status()]
            self._tiles = due, await self._turns.work(self._read_tiles(rules))
        return Response.json({"at": self._envelopes.at(), "tiles": self._tiles[1]})

    def _read_tiles(self, rules: list[AlertRule]) -> Pieces[list[dict[str, object]]]:
        yield
        tiles = list[dict[str, object]]()
        for subject in subjects(rules, self._registry):
            tiles.append((yield from tile_of(subject, self._registry)))
            yield
        return tiles

    # -- what is asked for ---------------------------------------------------------------------------------------------

    def _asked(self, query: Query) -> Found:
        """Give the metric that is asked for; an Unknown where there is none."""
        collector, name = asked_text(query, "collector"), asked_text(query, "name")
        for field, value in (("collector", collector), ("name", name)):
            if not value:
                raise ConfigurationError("the request", field=field, seen=f"no {field}", expected="say which metric")
        found = self._registry.get_all_collectors().get(collector)
        metric = None if found is None else found.get_metric(name)
        if metric is None:
            raise Unknown(f"no metric {seen(name)} in a collector {seen(collector)}")
        return collector, metric


def asked_range(query: Query) -> float:
    """Give how many seconds a chart is to show."""
    return float(asked_whole(query, "range", USUAL, least=SHORTEST, most=LONGEST) or USUAL)


def _asked_word(query: Query, name: str, known: tuple[str, ...]) -> str:
    """Give the word that is asked with, the first of the known ones where there is none."""
    word = asked_text(query, name) or known[0]
    if word not in known:
        expected = f"one of {', '.join(known)}"
        raise ConfigurationError("the request", field=name, seen=f"{name} = {seen(word)}", expected=expected)
    return word


def _labels(series: list[Series]) -> Pieces[list[dict[str, object]]]:
    """Give the labels there are, with the number of values of each."""
    values: dict[str, set[str]] = {}
    for index, one in enumerate(series, 1):
        for name, value in zip(one.labels.names, one.labels.texts, strict=True):
            values.setdefault(name, set()).add(value)
        if not index % LOOKED_AT_ONCE:
            yield
    return [{"name": name, "values": len(found)} for name, found in values.items()]


def _row(series: Series) -> dict[str, object]:
    return {"id": repr(series.labels), "labels": dict(series.labels), "latest": _finite(latest_of(series))}


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value
