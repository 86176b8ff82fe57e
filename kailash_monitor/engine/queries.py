"""Queries of rules: who evaluates their expressions, and what alerts come of the answers."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol, TypeVar

from kailash_monitor.clock import Clock
from kailash_monitor.engine.evaluator import Outage
from kailash_monitor.engine.recorded import RecordedSeries
from kailash_monitor.exposition.live import LiveSource
from kailash_monitor.metrics import MetricsRegistry
from kailash_monitor.model.labels import Labels
from kailash_monitor.promql import EvaluationError, ParseError
from kailash_monitor.promql.joined import JoinedSource
from kailash_monitor.promql.labelset import NO_LABEL_SET
from kailash_monitor.promql.query import instant
from kailash_monitor.promql.samples import Vector
from kailash_monitor.promql.source import Pieces, Source
from kailash_monitor.rules import AlertRule, RuleQuery, Value
from kailash_monitor.rules.alert_words import group_of, words_of
from kailash_monitor.rules.recording import SAME_LABELS, Recording

__all__ = ["BUDGET", "LocalQueries", "Queries", "driven", "values_of"]

T = TypeVar("T")

BUDGET: Final = 0.004
"""Seconds of work without a pause for the host program: a callback of ours takes 10 ms at most."""

MOST_ASKED: Final = 200
"""Different questions of all templates of a rule at one time: each is a query; the others are not answered."""

ROUNDS: Final = 5
"""How often templates may ask for more once they have an answer: what they ask then depends on what they heard."""


class Queries(Protocol):
    """Evaluates the expressions of rules.

    For implementers: what keeps an expression from being answered is raised; it becomes an error of the data, and resolves
    nothing. Cancellation must end it.
    """

    async def vector(self, query: RuleQuery) -> Vector:
        """Give what an expression is now, or was its offset ago; a scalar as one series without labels."""
        ...


class LocalQueries:
    """Evaluates them over the program's own metrics, in pieces between which others can run.

    `troubled` gives the collectors whose sources give no numbers; `recorded` has the series that rules have made.
    """

    def __init__(
        self,
        registry: MetricsRegistry,
        troubled: Callable[[], Mapping[str, Outage]] = dict,
        recorded: RecordedSeries | None = None,
    ) -> None:
        self._registry = registry
        self._clock: Final = registry.clock
        self._troubled = troubled
        self._recorded = RecordedSeries() if recorded is None else recorded
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turn = asyncio.Lock()

    def turn(self) -> asyncio.Lock:
        """Give what a rule holds while it is evaluated: others wait, in their order, and their time has not begun."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._turn = loop, asyncio.Lock()
        return self._turn

    async def vector(self, query: RuleQuery) -> Vector:
        """Give what an expression is now; whoever asks for a rule has its turn."""
        return await driven(self.pieces(query), self._clock)

    async def record(self, recording: Recording) -> None:
        """Have a recording made; the rules that have their turns after it see what it gave.

        Raises what its evaluation raises; until it is made again, nothing that reads it can be evaluated strictly.
        """
        try:
            time = self._registry.present - round(recording.query.offset * 1000)
            vector = await self.vector(recording.query)
            await driven(self._recorded.take(recording, vector, time), self._clock)
        except Exception as error:
            self._recorded.failed(recording, str(error))
            raise

    def pieces(self, query: RuleQuery) -> Pieces[Vector]:
        """Give the work that evaluates an expression."""
        source, time = self.source(strict=True)
        result = yield from instant(query.tree, query.text, source, time - round(query.offset * 1000))
        if isinstance(result.value, float):
            return [(NO_LABEL_SET, result.value)]
        return result.value  # type: ignore[return-value]  # a vector: RuleQuery has seen to it

    def source(self, *, strict: bool, even: bool = False) -> tuple[Source, int]:
        """Give all series as they are now, and when that is, in milliseconds since 1970.

        What has no numbers is left out; where the source is `strict`, asking for it raises an EvaluationError. An `even` one
        is for charts (see `LiveSource`).
        """
        snapshot = self._registry.snapshot(ask=False)
        troubled = {name: one.text for name, one in self._troubled().items()}
        live = LiveSource(snapshot, troubled=troubled, strict=strict, even=even)
        self._recorded.under(snapshot.wall_offset)
        return JoinedSource(live, self._recorded.strictly if strict else self._recorded), live.now


async def driven(pieces: Pieces[T], clock: Clock) -> T:
    """Do work that comes in pieces, and let others run whenever the budget is used up."""
    begun = clock.now()
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            value: T = end.value
            return value
        if clock.now() - begun > BUDGET:
            await asyncio.sleep(0)
            begun = clock.now()


async def values_of(rule: AlertRule, queries: Queries, clock: Clock) -> dict[Labels, Value]:
    """Evaluate a rule's expression, and what its templates ask: a value, with words, for each series.

    Raises what the evaluation raises, and an EvaluationError where two alerts would have the same labels.
    """
    assert rule.expr is not None
    vector = await queries.vector(rule.expr)
    answers: dict[str, Vector | Exception] = {}
    values: dict[Labels, Value] = {}
    for _ in range(ROUNDS):
        asked: set[str] = set()
        values = await driven(_worded(rule, vector, answers, asked, clock.wall()), clock)
        for text in sorted(asked)[: MOST_ASKED - len(answers)]:
            answers[text] = await _answer(text, queries)
        if not asked or len(answers) >= MOST_ASKED:
            break
    if len(values) < len(vector):
        raise EvaluationError(SAME_LABELS.format("alert"))
    return values


def _worded(
    rule: AlertRule, vector: Vector, answers: Mapping[str, Vector | Exception], asked: set[str], now: float
) -> Pieces[dict[Labels, Value]]:
    """Say what there is to say of each series; what templates ask, and nobody has answered yet, goes to `asked`."""

    def look(text: str) -> Sequence[tuple[Mapping[str, str], float]]:
        answer = answers.get(text)
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            asked.add(text)
            return ()
        return [(labels.labels, value) for labels, value in answer]

    values: dict[Labels, Value] = {}
    for labels, value in vector:
        words = words_of(rule, labels, value, query=look, now=now)
        values[group_of(rule, words)] = Value(value, words=words)
        yield
    return values


async def _answer(text: str, queries: Queries) -> Vector | Exception:
    try:
        return await queries.vector(RuleQuery(text))
    except (ParseError, EvaluationError) as error:
        return error
