"""The query API: what is measured, as Prometheus' HTTP API answers it, for Grafana, promtool and their like.

https://prometheus.io/docs/prometheus/latest/querying/api/
"""

import asyncio
import re
from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from typing import Final, TypeAlias
from weakref import WeakKeyDictionary

from kailash_monitor.engine import queries
from kailash_monitor.engine.exported import exported_metrics
from kailash_monitor.exposition import accepts_gzip
from kailash_monitor.exposition.pieces import slices
from kailash_monitor.promql import EvaluationError, ParseError, quoted, to_text
from kailash_monitor.promql.labelset import LabelSet
from kailash_monitor.promql.query import Result, instant, ranged
from kailash_monitor.promql.source import Pieces
from kailash_monitor.web import chunks
from kailash_monitor.web.http import Request, Response
from kailash_monitor.web.monitored import Monitored
from kailash_monitor.web.promql_pages import failure_text, json_text, labels_text, list_page, page, result_page
from kailash_monitor.web.promql_parameters import EVER, BadData, Parameters
from kailash_monitor.web.promql_rules import (
    Entry,
    alert_entries,
    alerts_data,
    metadata_data,
    recording_entries,
    rules_data,
)
from kailash_monitor.web.routes import Answer, Route

__all__ = ["PromqlApi"]

VERSION: Final = "3.14.0"
"""The Prometheus whose language this is: clients decide by it what they may ask."""

LONGEST: Final = 9.0
"""Seconds that an answer may take: one less than a program of threads waits for any page."""

AT_ONCE: Final = 4
"""Queries that are evaluated by turns; others wait. Each may keep the program waiting for a few milliseconds a turn."""

MOST_SERIES: Final = 50_000
"""Elements of an answer: some megabytes, and more than anybody looks at."""

SERIES: Final = 200
"""Series that are looked at without a pause."""

RUN: Final = 1000
"""Texts that are sorted without a pause."""

_VARIES: Final = {"Vary": "Accept-Encoding"}

_STATUS: Final = {"bad_data": 400, "execution": 422, "timeout": 503}

_ESCAPED: Final = re.compile("__|_([0-9a-fA-F]{1,6})_")

_BUILD: Final = {
    "version": VERSION,
    "revision": "",
    "branch": "",
    "buildUser": "",
    "buildDate": "",
    "goVersion": "",
    "application": "kailash-monitor",
}

Page: TypeAlias = Iterator[bytes]

Work: TypeAlias = Callable[[Parameters, str], Pieces[Page]]
"""Finds what is asked for, and gives how to write it down."""


class PromqlApi:
    """What the site answers under `/api/v1`; `routes` has it all. It only reads, as whoever may read the metrics.

    Queries are evaluated in pieces, between which the program has its turns; one that takes too long, or reads too much,
    ends with an error. Errors are in Prometheus' form: `{"status":"error","errorType":"bad_data","error":…}`.
    """

    def __init__(self, manager: Monitored) -> None:
        self._manager = manager
        self._places: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()
        by_form = {
            "query": self._query,
            "query_range": self._query_range,
            "query_exemplars": self._exemplars,
            "format_query": self._format,
            "series": self._series,
            "labels": self._labels,
        }
        by_address = {
            **by_form,
            "label/<id>/values": self._values,
            "rules": self._rules,
            "alerts": self._alerts,
            "metadata": self._metadata,
            "status/buildinfo": self._build,
        }
        self.routes: Final = (
            *(Route("GET", f"/api/v1/{path}", self._answer(work)) for path, work in by_address.items()),
            *(Route("POST", f"/api/v1/{path}", self._answer(work)) for path, work in by_form.items()),
        )

    # -- queries -------------------------------------------------------------------------------------------------------

    def _query(self, asked: Parameters, _: str) -> Pieces[Page]:
        limit = asked.limit(MOST_SERIES)
        source, now = self._manager.local_queries.source(strict=False)
        time = asked.time("time", now)
        settings = asked.settings()
        tree, text = asked.expression()
        return (yield from self._result(asked, instant(tree, text, source, time, settings), time, limit))

    def _query_range(self, asked: Parameters, _: str) -> Pieces[Page]:
        limit = asked.limit(MOST_SERIES)
        start, end, step = asked.span()
        settings = asked.settings()
        tree, text = asked.expression(over_time=True)
        source, _now = self._manager.local_queries.source(strict=False)
        return (yield from self._result(asked, ranged(tree, text, source, start, end, step, settings), end, limit))

    def _result(self, asked: Parameters, evaluation: Pieces[Result], time: int, limit: int) -> Pieces[Page]:
        clock = self._manager.metrics_registry.clock
        begun = clock.now()
        try:
            result = yield from evaluation
        except ParseError as error:  # a duration that only the evaluation could tell
            raise BadData.of("query", error.summary) from None
        took = clock.now() - begun
        statistics = {"timings": {"evalTotalTime": took, "execTotalTime": took}} if asked.text("stats") else None
        return result_page(result, time, limit=limit, statistics=statistics)

    def _exemplars(self, asked: Parameters, _: str) -> Pieces[Page]:
        """Give no exemplars: only the pages of metrics have them."""
        start, end = asked.time("start", -EVER), asked.time("end", EVER)
        if end < start:
            raise BadData("end timestamp must not be before start timestamp")
        asked.expression()
        return _at_once("[]")

    def _format(self, asked: Parameters, _: str) -> Pieces[Page]:
        tree, _text = asked.expression()
        return _at_once(json_text(to_text(tree)))

    # -- series --------------------------------------------------------------------------------------------------------

    def _series(self, asked: Parameters, _: str) -> Pieces[Page]:
        limit = asked.limit(MOST_SERIES)
        if not asked.texts("match[]"):
            raise BadData("no match[] parameter provided")
        found = yield from self._found(asked)
        return list_page(map(labels_text, found), limit)

    def _labels(self, asked: Parameters, _: str) -> Pieces[Page]:
        limit = asked.limit(MOST_SERIES)
        names: set[str] = set()
        for some in slices((yield from self._found(asked)), SERIES):
            names.update(*[labels.labels for labels in some])
            yield
        return list_page(map(json_text, (yield from _sorted(names))), limit)

    def _values(self, asked: Parameters, name: str) -> Pieces[Page]:
        limit = asked.limit(MOST_SERIES)
        if any("\ud800" <= character <= "\udfff" for character in name):
            raise BadData(f"invalid label name: {quoted(name)}")
        label = _unescaped(name)
        values: set[str] = set()
        for some in slices((yield from self._found(asked)), SERIES):
            values |= {labels.labels[label] for labels in some if label in labels.labels}
            yield
        return list_page(map(json_text, (yield from _sorted(values))), limit)

    def _found(self, asked: Parameters) -> Pieces[list[LabelSet]]:
        """Find the series that any of the selectors asks for, all without one, each once, that were there in the time."""
        start, end = asked.time("start", -EVER), asked.time("end", EVER)
        selectors = asked.selectors()
        source, _ = self._manager.local_queries.source(strict=False)
        found: dict[LabelSet, None] = {}
        for demands in selectors or [()]:
            for some in slices((yield from source.select(demands, start, end)), SERIES):
                found |= {one.labels: None for one in some if one.at(end, end - start + 1) is not None}
                yield
            yield
        return list(found)

    # -- what is judged ------------------------------------------------------------------------------------------------

    def _rules(self, asked: Parameters, _: str) -> Pieces[Page]:
        kind = asked.text("type").lower()
        if kind not in ("", "alert", "record"):
            raise BadData.of("type", f"not supported value {quoted(kind)}")
        with_alerts = not asked.flag("exclude_alerts")
        manager, entries = self._manager, list[Entry]()
        if kind != "record":
            metrics = exported_metrics(manager.metrics_registry.snapshot(ask=False))
            alerts = manager.get_all_alerts() if with_alerts else None
            entries += alert_entries(manager.rule_status(), alerts, metrics)
        if kind != "alert":
            entries += recording_entries(manager.recordings)
        yield
        names, groups, files = [asked.texts(name) for name in ("rule_name[]", "rule_group[]", "file[]")]
        wanted = (
            entry
            for entry in entries
            if (not names or entry.name in names)
            and (not groups or entry.place.group in groups)
            and (not files or entry.place.file in files)
        )
        return page(rules_data(wanted))

    def _alerts(self, _: Parameters, __: str) -> Pieces[Page]:
        rules = {status.rule.name: status.rule for status in self._manager.rule_status()}
        yield
        return page(alerts_data(self._manager.get_all_alerts(), rules))

    def _metadata(self, asked: Parameters, _: str) -> Pieces[Page]:
        most, each = asked.count("limit"), asked.count("limit_per_metric")
        snapshot = self._manager.metrics_registry.snapshot(ask=False)
        yield
        return page(metadata_data(snapshot, asked.text("metric"), most=most, each=each or None))

    def _build(self, _: Parameters, __: str) -> Pieces[Page]:
        return _at_once(json_text(_BUILD))

    # -- answering -----------------------------------------------------------------------------------------------------

    def _answer(self, work: Work) -> Answer:
        """Give the answer for which `work` is to be done, whether that succeeds or not."""

        async def answer(request: Request, an_id: str) -> Response:
            gzip = accepts_gzip(request.headers.get("accept-encoding"))
            try:
                written = await self._in_time(work, Parameters.of(request), an_id, gzip=gzip)
            except BadData as error:
                return _failure("bad_data", str(error))
            except EvaluationError as error:
                return _failure("execution", str(error))
            except _TookTooLong as error:
                return _failure("timeout", str(error))
            headers = {**_VARIES, "Content-Encoding": "gzip"} if gzip else _VARIES
            return Response.text(written, content_type="application/json", headers=headers)

        return answer

    async def _in_time(self, work: Work, asked: Parameters, an_id: str, *, gzip: bool) -> list[bytes]:
        """Do the work, and write down what comes of it. _TookTooLong where there is no time, and nothing goes on then."""
        seconds, stage = asked.timeout(LONGEST), "query queue"
        pieces = work(asked, an_id)
        try:
            async with asyncio.timeout(max(seconds, 0.0)), self._place():
                if seconds <= 0:
                    raise TimeoutError
                stage = "expression evaluation"
                written = await queries.driven(pieces, self._manager.metrics_registry.clock)
                await asyncio.sleep(0)  # what follows has a budget of its own
                return await chunks.driven(chunks.gzipped(written) if gzip else written)
        except TimeoutError:
            raise _TookTooLong(f"query timed out in {stage}") from None
        finally:
            pieces.close()

    def _place(self) -> asyncio.Semaphore:
        """Give the places of those who are answered by turns; a loop cannot wait for another's."""
        return self._places.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(AT_ONCE))


class _TookTooLong(Exception):
    """An answer is not there in its time; `str()` says what it was about, as Prometheus does."""


def _failure(kind: str, why: str) -> Response:
    return Response.text(failure_text(kind, why), content_type="application/json", status=_STATUS[kind])


def _at_once(data: str) -> Pieces[Page]:
    """Give the page of something small."""
    yield
    return page((data,))


def _sorted(texts: set[str]) -> Pieces[Iterable[str]]:
    """Give texts in their order."""
    runs = []
    for run in slices(list(texts), RUN):
        runs.append(sorted(run))
        yield
    return merge(*runs)


def _unescaped(name: str) -> str:
    """Give the name of a label that stands in an address as `U__with_2e_dot`, since not all take it as it is."""
    if not name.startswith("U__"):
        return name
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)) if found[1] else "_", name[3:])
