"""Surveys: the groups that a rule reads at one moment, read in pieces.

A piece is some milliseconds of work; whoever asks for the next may let others run in between. They may record, add and
remove series meanwhile.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

from kailash_monitor.model.labels import Labels
from kailash_monitor.model.views import TRIES, MetricView
from kailash_monitor.rules.reading import Reading

__all__ = ["Chunk", "Survey", "in_chunks"]

M = TypeVar("M")
S = TypeVar("S")

Chunk = Mapping[Labels, Reading]
"""Readings of some groups; empty where there was work to do and nothing to tell yet."""

_PAUSE: Final[Chunk] = {}


class Survey(NamedTuple, Generic[M, S]):
    """The groups of one moment with their members, and how they are read: look at members, join the sights, judge.

    `size` is how many groups there are, `nothing` the sight of one without members; `at_once` members are looked at in one
    piece.
    """

    groups: Iterable[tuple[Labels, Sequence[M]]]
    size: int
    look: Callable[[M], S]
    join: Callable[[Sequence[S]], S]
    judge: Callable[[S], Reading]
    nothing: S
    at_once: int


def in_chunks(take: Callable[[], Survey[M, S]], metrics: Sequence[MetricView]) -> Iterator[Chunk]:
    """Give the readings of all groups that `take` takes hold of.

    As `settled` has it: where a series of `metrics` that is held may have begun anew meanwhile, what is not told yet is
    taken and read again, three times at most. One small group, as most rules have, is read at once: they are judged many
    times a minute, and its pieces would cost as much as the reading.
    """
    metrics = tuple(metrics)
    for tries_left in reversed(range(TRIES)):
        epochs = [metric.epoch for metric in metrics]
        survey = take()
        if survey.size != 1:
            break
        for group, members in survey.groups:
            if len(members) > survey.at_once:
                return _in_pieces(take, metrics)
            chunk = {group: survey.judge(_look_at_few(survey, members))}
            if not tries_left or epochs == [metric.epoch for metric in metrics]:
                return iter((chunk,))
    return _in_pieces(take, metrics)


def _in_pieces(take: Callable[[], Survey[M, S]], metrics: Sequence[MetricView]) -> Iterator[Chunk]:
    told: set[Labels] = set()
    tries = TRIES
    while True:
        epochs = [metric.epoch for metric in metrics]
        for chunk in _read(take(), frozenset(told)):
            if chunk and tries > 1 and epochs != [metric.epoch for metric in metrics]:
                tries -= 1
                break
            yield chunk
            if chunk:
                told.update(chunk)
                tries = TRIES
        else:
            return


def _look_at_few(survey: Survey[M, S], members: Sequence[M]) -> S:
    if len(members) == 1:
        return survey.look(members[0])
    return survey.join([survey.look(member) for member in members]) if members else survey.nothing


def _read(survey: Survey[M, S], told: frozenset[Labels]) -> Iterator[Chunk]:
    look, judge, at_once = survey.look, survey.judge, survey.at_once
    chunk: dict[Labels, Reading] = {}
    room = at_once
    if survey.size > at_once:
        yield _PAUSE  # to take hold of so many was work enough
    for group, members in survey.groups:
        if told and group in told:
            continue
        size = len(members)
        if size == 1:
            chunk[group] = judge(look(members[0]))  # as below, and twice as fast
        elif size <= at_once:
            chunk[group] = judge(_look_at_few(survey, members))
        else:
            chunk[group] = judge((yield from _look_at_many(survey, members)))
        room -= size or 1
        if room <= 0:
            yield chunk
            chunk, room = {}, at_once
    if chunk:
        yield chunk


def _look_at_many(survey: Survey[M, S], members: Sequence[M]) -> Generator[Chunk, None, S]:
    """Give the sight of a group that is too large for one piece."""
    sights: list[S] = []
    for start in range(0, len(members), survey.at_once):
        sights = [survey.join([*sights, *map(survey.look, members[start : start + survey.at_once])])]
        yield _PAUSE
    return sights[0]
