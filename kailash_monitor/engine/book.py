"""The book of alerts: every incident of one manager, and how the data is that it is judged by."""

import math
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from kailash_monitor.alerting.flapping import Flaps
from kailash_monitor.alerting.incident import AlertKey, Incident, State
from kailash_monitor.alerting.ledger import LedgerEntry
from kailash_monitor.alerting.machine import Transition, end, freeze, step
from kailash_monitor.alerting.silence import Acknowledgement
from kailash_monitor.alerting.standing import GroupKey
from kailash_monitor.alerting.trail import Trail
from kailash_monitor.alerting.trouble import BLIND, MISSING, OWN, PATIENCE, Cause, Trouble, blind_rule
from kailash_monitor.engine.journal import Journal
from kailash_monitor.engine.sighting import Sighting, place_of
from kailash_monitor.model.labels import NO_LABELS, Labels
from kailash_monitor.model.reason import Reason
from kailash_monitor.model.severity import AlertSeverity
from kailash_monitor.rules import AlertRule, Empty, Missing, NoData, Reading, Value, Waiting
from kailash_monitor.storage import Kind

__all__ = ["AlertBook", "Case", "Change"]

KEPT_RESOLVED: Final = 900.0
"""Resolved alerts stay visible for 15 minutes."""

STALE: Final = 86_400.0
"""Seconds for which an alert from before a restart is taken to go on though nobody can judge it."""

FORGOTTEN: Final = 500
"""Alerts that are forgotten without a pause."""

AT_ONCE: Final = 32
"""Alerts that are judged without a pause: some milliseconds where each of them is told to several channels."""

REMEMBERED: Final = 10_000
"""Groups of a rule that is to alert where they have no data any more; the alerts of more would be of no use."""

OVERFLOW: Final = Labels({"overflow": "true"})
"""The group of the alert that stands for those past a rule's `max_alerts`."""


@dataclass(slots=True, eq=False)
class Case:
    """All that is known of one alert.

    `before` is its incident before this one, `known_at` when there was last something to judge it by: minus infinity where
    it comes from before a restart (`adopted_at`), and nothing was there since. `trail` is how its value went. `called_at` is
    when the first channel was to be told of the incident, from which its ladder counts. `repeats` says when which channel
    is to be told again, `reasons` why it was told or not the last time, `wake_at` when the alert must be looked at though
    nothing happens. `lanes` are the groups by which the channels hear of it, `under_way` those that are being told, or may
    have been. Mutable: under the manager's lock, by the book (the first five), the dispatcher and the outbox.
    """

    incident: Incident
    flaps: Flaps | None = None
    before: Incident | None = None
    known_at: float = 0.0
    trail: Trail = field(default_factory=Trail)
    acknowledgement: Acknowledgement | None = None
    adopted_at: float = math.inf
    called_at: float | None = None
    wake_at: float = float("inf")
    repeats: dict[str, float] = field(default_factory=dict[str, float])
    ledger: dict[str, LedgerEntry] = field(default_factory=dict[str, LedgerEntry])
    reasons: dict[str, Reason] = field(default_factory=dict[str, Reason])
    lanes: dict[str, GroupKey] = field(default_factory=dict[str, GroupKey])
    under_way: set[str] = field(default_factory=set[str])

    @property
    def key(self) -> AlertKey:
        """Rule, collector and label group."""
        return self.incident.key

    @property
    def acknowledged(self) -> bool:
        """Whether somebody said they are on this incident."""
        return self.acknowledgement is not None and self.acknowledgement.incident == self.incident.number

    @property
    def flapping(self) -> bool:
        """Whether it goes on and off too fast to be told each time."""
        return self.flaps is not None and self.flaps.flapping

    @property
    def settled(self) -> bool:
        """Whether it is over, and every channel has heard what it is to hear."""
        over = self.incident.state is State.RESOLVED and not self.under_way
        return over and all(entry.finished for entry in self.ledger.values())


@dataclass(frozen=True, slots=True)
class Change:
    """One alert went from one state, or one severity, to another."""

    case: Case
    transition: Transition


@dataclass(slots=True, eq=False)
class _View:
    """One rule in one collector: its alerts by label group, and when it last had data there, if it ever had."""

    cases: dict[Labels, Case] = field(default_factory=dict[Labels, Case])
    seen_at: float | None = None
    groups: dict[Labels, None] = field(default_factory=dict[Labels, None])  # seen before, where no data is to alert
    trouble: Trouble | None = None


class AlertBook:
    """Cases by alert, and troubles with data by cause.

    Mutable: all of it, under the manager's lock, by the evaluation on the loop and by people's calls from any thread.
    """

    def __init__(self, journal: Journal | None = None) -> None:
        self._journal = Journal() if journal is None else journal
        self._views: dict[str, dict[str, _View]] = {}  # by rule and collector
        self._cases: dict[str, Case] = {}  # by alert id
        self._causes: dict[Cause, dict[tuple[str, str], Trouble]] = {}

    def __iter__(self) -> Iterator[Case]:
        return iter(tuple(self._cases.values()))

    def __len__(self) -> int:
        return len(self._cases)

    def find(self, alert_id: str) -> Case | None:
        """Give the case of the alert called `alert_id`."""
        return self._cases.get(alert_id)

    def groups(self, rule: str, collector: str) -> Container[Labels]:
        """Give the groups of a rule in a collector that have alerts."""
        view = self._views.get(rule, {}).get(collector)
        return () if view is None else view.cases

    def of_rule(self, name: str) -> list[Case]:
        """Give the cases of one rule."""
        return [case for view in self._views.get(name, {}).values() for case in view.cases.values()]

    def trouble(self, key: AlertKey) -> Trouble | None:
        """Give what is wrong with the data by which the alert is judged; None where it is fresh."""
        view = self._views.get(key.rule, {}).get(key.collector)
        return None if view is None else view.trouble

    # -- judging -------------------------------------------------------------------------------------------------------

    def judge(self, rule: AlertRule, sightings: Sequence[Sighting], now: float, wrong: list[str]) -> Iterator[list[Change]]:
        """Take in what `rule` saw, some alerts at a time, and give what has changed; `wrong` collects what is, in words."""
        views = self._views.setdefault(rule.name, {})
        for sighting in (*sightings, *_unseen(views, sightings)):
            view = views.get(sighting.collector)
            if view is None:
                view = views[sighting.collector] = _View()
            if sighting.has_data:
                view.seen_at = now
            if view.cases or sighting.breaching or view.groups or rule.no_data is NoData.ALERT:
                yield from self._judge_groups(rule, view, sighting, now, wrong)
            if changes := self._note_trouble(rule, view, sighting, now):
                yield changes

    def _judge_groups(
        self, rule: AlertRule, view: _View, sighting: Sighting, now: float, wrong: list[str]
    ) -> Iterator[list[Change]]:
        """Judge the groups whose state may change: those that have an alert, and those that breach."""
        rest, worst = 0, rule.levels[0].severity
        room = float("inf") if rule.max_alerts is None else rule.max_alerts - len(_open_groups(view))
        changes: list[Change] = []
        remembered = self._remember(rule, view, sighting)
        for index, group in enumerate((*self._to_judge(view, sighting), *remembered), 1):
            if index % AT_ONCE == 0:
                yield changes
                changes = []
            case = view.cases.get(group)
            reading = _reading(case, sighting, group, now)
            severity = rule.severity if group in remembered else sighting.breaching.get(group)
            if rule.max_alerts is not None and group == OVERFLOW:  # a series' own labels: that alert stands for the rest
                rest += severity is not None
                continue
            if severity is not None and (case is None or case.incident.state is State.RESOLVED):
                if room <= 0:
                    rest, worst = rest + 1, max(worst, severity, key=lambda one: one.rank)
                    continue
                room -= 1
            if case is not None and self._was_removed(case, sighting):
                changes += self._end(view, case, Reason.SERIES_REMOVED, now)
                view.groups.pop(group, None)
            else:
                changes += self._step(rule, view, AlertKey(rule.name, sighting.collector, group), case, reading, now, wrong)
        if rule.max_alerts is not None and (rest or OVERFLOW in view.cases) and sighting.failed is None:
            key = AlertKey(rule.name, sighting.collector, OVERFLOW)
            over = _overflow_rule(rule, worst)
            count: Reading = Value(float(rest)) if rest or sighting.has_data else Missing()
            changes += self._step(over, view, key, view.cases.get(OVERFLOW), count, now, wrong)
        yield changes

    @staticmethod
    def _to_judge(view: _View, sighting: Sighting) -> list[Labels]:
        known = [group for group in view.cases if group is not OVERFLOW]
        new = [group for group in sighting.breaching if not (view.cases and group in view.cases)]
        if OVERFLOW in sighting.breaching and OVERFLOW not in known:
            new = list(dict.fromkeys([*new, Labels(OVERFLOW)]))
        missing = frozenset(sighting.missing)
        if missing:  # nothing is missing where nothing ever was
            seen = view.seen_at is not None
            new = [group for group in new if group not in missing or (seen and (not group or group in view.groups))]
        return [*known, *new]

    @staticmethod
    def _remember(rule: AlertRule, view: _View, sighting: Sighting) -> dict[Labels, None]:
        """Give the groups without an alert that had data and are not there any more, where that is to alert."""
        if rule.no_data is not NoData.ALERT or sighting.failed is not None:
            return {}
        gone = {group: None for group in view.groups if group not in sighting.readings and group not in view.cases}
        for group, reading in sighting.readings.items():
            if not isinstance(reading, Missing) and len(view.groups) < REMEMBERED:
                view.groups[group] = None
        return gone

    def _step(
        self, rule: AlertRule, view: _View, key: AlertKey, case: Case | None, reading: Reading, now: float, wrong: list[str]
    ) -> list[Change]:
        if case is None and key.id in self._cases:
            owner = self._cases[key.id].key.rule
            wrong.append(f"its alert {key.id!r} has the id of an alert of rule {owner!r}; rename one of them")
            return []
        after, transition = step(rule, key, None if case is None else case.incident, reading, now)
        if after is None:
            if case is not None:
                self._forget_pending(view, case)
            return []
        if case is None:
            case = view.cases[key.group] = self._cases[key.id] = Case(after)
        if isinstance(reading, Value | Empty):
            case.known_at = now
            if isinstance(reading, Value):
                case.trail.add(reading.value)
        return self._take(case, after, transition)

    def _take(self, case: Case, after: Incident, transition: Transition | None) -> list[Change]:
        case.incident = after
        if transition is None:
            return []
        before, limit = transition.before, after.rule.flapping
        if limit is None:
            case.flaps = None
        elif (before is not None and before.active) is not after.active:
            flaps = case.flaps if case.flaps is not None and case.flaps.limit == limit else Flaps(limit)
            case.flaps = flaps.changed(transition.at)
        if before is not None and before.number != after.number:
            case.before, case.called_at, case.trail = before, None, Trail(case.trail.values[-1:])
        if transition.raised:
            case.acknowledgement = None
        return [Change(case, transition)]

    def _end(self, view: _View, case: Case, reason: Reason, now: float) -> list[Change]:
        after, transition = end(case.incident, reason, now)
        if after is None:
            self._forget_pending(view, case)
            return []
        return self._take(case, after, transition)

    def _forget_pending(self, view: _View, case: Case) -> None:
        """Forget an incident that never fired; what came before it is what is known of the alert."""
        case.acknowledgement = None  # the next incident will have its number
        if case.before is not None:
            case.incident = case.before
            self._journal.case(case)
        else:
            self._forget(view, case)

    def _forget(self, view: _View, case: Case) -> None:
        del view.cases[case.key.group], self._cases[case.key.id]
        self._journal.forget(Kind.ALERT, case.key.id)

    @staticmethod
    def _was_removed(case: Case, sighting: Sighting) -> bool:
        group = case.key.group
        gone = isinstance(sighting.reading_of(group), Missing)
        return gone and case.incident.active and sighting.removed_since(group, case.known_at)

    # -- trouble with data ---------------------------------------------------------------------------------------------

    def _note_trouble(self, rule: AlertRule, view: _View, sighting: Sighting, now: float) -> list[Change]:
        """Keep what is wrong with the data; give the changes of the alerts about its cause."""
        before, problem = view.trouble, _problem(rule, view, sighting)
        if before is None and problem is None:
            return []
        changes: list[Change] = []
        where = (rule.name, sighting.collector)
        if before is not None and (problem is None or problem[0] != before.cause):
            view.trouble = None
            changes += self._forget_trouble(where, before, now)
        if problem is not None:
            cause, text = problem
            if view.trouble is None:
                patience = max(PATIENCE * rule.evaluation_interval, sighting.patience)
                since, told_at = (now, now + patience) if before is None else (before.since, before.told_at)
                view.trouble = Trouble(cause, since, told_at, text)  # another cause: it is as blind as it was
            self._causes.setdefault(cause, {})[where] = view.trouble
            changes += self._judge_cause(cause, now, told=now >= view.trouble.told_at)
        return changes

    def _forget_trouble(self, where: tuple[str, str], trouble: Trouble, now: float) -> list[Change]:
        of_cause = self._causes.get(trouble.cause, {})
        of_cause.pop(where, None)
        if of_cause:
            return self._judge_cause(trouble.cause, now, told=False)
        self._causes.pop(trouble.cause, None)
        return self._judge_cause(trouble.cause, now, told=True)

    def _judge_cause(self, cause: Cause, now: float, *, told: bool) -> list[Change]:
        """Judge the alert about a cause by the number of rules that it keeps from being judged."""
        key, troubles = cause.key, self._causes.get(cause, {})
        view = self._views.setdefault(BLIND, {}).setdefault(cause.collector, _View())
        case = view.cases.get(key.group)
        if not told and (case is None or not case.incident.active):
            return []
        text = next((trouble.text for trouble in troubles.values()), "")
        rule = blind_rule(cause, text) if case is None or not case.incident.active else case.incident.rule
        return self._step(rule, view, key, case, Value(float(len(troubles))), now, [])

    def judge_causes(self, now: float) -> list[Change]:
        """Judge the alerts about causes that no rule has any more: those from before a restart."""
        changes: list[Change] = []
        for collector, view in tuple(self._views.get(BLIND, {}).items()):
            for case in tuple(view.cases.values()):
                cause = Cause(collector, case.key.group.get("cause", ""))
                if case.incident.active and not self._causes.get(cause):
                    changes += self._judge_cause(cause, now, told=True)
        return changes

    # -- a restart -----------------------------------------------------------------------------------------------------

    def adopt(self, case: Case, now: float) -> list[Change]:
        """Take on an alert from before a restart; one that could not be judged for a day is over."""
        if case.key.id in self._cases:
            return []
        key, case.adopted_at = case.key, now
        view = self._views.setdefault(key.rule, {}).setdefault(key.collector, _View())
        if key.group == OVERFLOW:
            case.incident = case.incident._replace(key=AlertKey(key.rule, key.collector, OVERFLOW))
        view.cases[case.key.group] = self._cases[key.id] = case
        if case.incident.state is State.RESOLVED or now - case.incident.seen <= STALE:
            return []
        return self._end(view, case, Reason.STALE_STORE, now)

    def end_orphans(self, rules: Mapping[str, AlertRule], now: float) -> Iterator[list[Change]]:
        """End the incidents that were there before a restart and that no rule can have now, and those that nobody can judge.

        Some at a time.
        """
        changes: list[Change] = []
        for case in self:
            if case.known_at > -math.inf or case.incident.state is State.RESOLVED or case.key.rule in OWN:
                continue
            view, rule = self._views[case.key.rule][case.key.collector], rules.get(case.key.rule)
            if rule is None or not (_applies(rule, case.key.collector) and _has_group(rule, case.key.group)):
                changes += self._end(view, case, Reason.RULE_REMOVED, now)
            elif now - case.adopted_at > STALE:
                changes += self._end(view, case, Reason.STALE_STORE, now)
            if len(changes) >= AT_ONCE:
                yield changes
                changes = []
        yield changes

    # -- what ends otherwise -------------------------------------------------------------------------------------------

    def remove_rule(self, name: str, now: float) -> list[Change]:
        """End the incidents of a rule that was taken away."""
        changes: list[Change] = []
        for collector, view in self._views.get(name, {}).items():
            changes += self._remove_view(name, collector, view, now)
        return changes

    def replace_rule(self, rule: AlertRule, now: float) -> list[Change]:
        """End the incidents that the rule in its new form cannot have: of other collectors, or of other groups."""
        changes: list[Change] = []
        for collector, view in self._views.get(rule.name, {}).items():
            if not _applies(rule, collector):
                changes += self._remove_view(rule.name, collector, view, now)
                continue
            for case in tuple(view.cases.values()):
                if not _has_group(rule, case.key.group):
                    changes += self._end(view, case, Reason.RULE_REMOVED, now)
            view.groups.clear()
        return changes

    def _remove_view(self, name: str, collector: str, view: _View, now: float) -> list[Change]:
        changes: list[Change] = []
        for case in tuple(view.cases.values()):
            changes += self._end(view, case, Reason.RULE_REMOVED, now)
        if view.trouble is not None:
            changes += self._forget_trouble((name, collector), view.trouble, now)
        view.seen_at = view.trouble = None
        view.groups.clear()
        return changes

    def freeze(self, now: float) -> None:
        """Take note that nobody judged until `now`: holds do not count that time."""
        for case in self:
            if case.incident.state is not State.RESOLVED:
                case.incident = freeze(case.incident, now)
        for views in self._views.values():
            for view in views.values():
                if view.trouble is not None:
                    patience = view.trouble.told_at - view.trouble.since
                    view.trouble = replace(view.trouble, since=now, told_at=now + patience)

    def forget(self, now: float, kept: Container[str] = ()) -> Iterator[list[Case]]:
        """Forget what has been resolved long enough, and of which everybody has heard, but for those `kept`; give it."""
        forgotten: list[Case] = []
        for rule, views in tuple(self._views.items()):
            for collector, view in tuple(views.items()):
                for case in tuple(view.cases.values()):
                    resolved_at = case.incident.resolved_at
                    past = resolved_at is not None and now - resolved_at > KEPT_RESOLVED and case.settled
                    if past and case.key.id not in kept and self._cases.get(case.key.id) is case:
                        self._forget(view, case)
                        forgotten.append(case)
                        if len(forgotten) % FORGOTTEN == 0:
                            yield forgotten
                            forgotten = []
                if not (view.cases or view.seen_at is not None or view.trouble):
                    views.pop(collector, None)
            if not views:
                self._views.pop(rule, None)
        yield forgotten


def _applies(rule: AlertRule, collector: str) -> bool:
    """Whether the rule judges what is in a collector."""
    return rule.enabled and rule.collector in (None, collector) and (not rule.waits or collector == place_of(rule))


def _has_group(rule: AlertRule, group: Labels) -> bool:
    """Whether an alert of the rule may have these labels."""
    if group is OVERFLOW:
        return rule.max_alerts is not None
    return rule.expr is not None or frozenset(group) == frozenset(rule.group_by)


def _reading(case: Case | None, sighting: Sighting, group: Labels, now: float) -> Reading:
    """Give the reading of a group; what was there before a restart is not missing before it was there again."""
    reading = sighting.reading_of(group)
    if case is None or case.known_at > -math.inf:
        return reading
    query = case.incident.rule.expr
    settles = query is not None and now < case.adopted_at + query.reach  # its metrics, or their past, may not be back yet
    settling = settles and sighting.failed is None and group not in sighting.readings
    return Waiting() if settling or isinstance(reading, Missing) else reading


def _unseen(views: Mapping[str, _View], sightings: Sequence[Sighting]) -> list[Sighting]:
    """Give empty sightings of the collectors that had the metric and have it no more."""
    seen = [sighting.collector for sighting in sightings]
    if len(views) == 1 == len(seen) and seen[0] in views:
        return []  # as nearly always
    return [Sighting(collector) for collector in sorted(views.keys() - seen)]


def _open_groups(view: _View) -> list[Labels]:
    return [
        group for group, case in view.cases.items() if group is not OVERFLOW and case.incident.state is not State.RESOLVED
    ]


def _is_live(case: Case | None) -> bool:
    return case is not None and case.incident.state is not State.RESOLVED and case.known_at > -math.inf


def _problem(rule: AlertRule, view: _View, sighting: Sighting) -> tuple[Cause, str] | None:
    if sighting.has_data and not sighting.missing and not view.cases:
        return None  # as nearly always
    if sighting.failed is not None:
        return Cause(sighting.collector, sighting.failed.kind), sighting.failed.error
    if rule.no_data is not NoData.KEEP or rule.expr is not None or view.seen_at is None:
        return None
    absent = [group for group in view.cases if group not in sighting.readings and group is not OVERFLOW]
    gone = [group for group in sighting.missing if not group or _is_live(view.cases.get(group))]  # others come and go
    gone += [group for group in absent if _is_live(view.cases[group])]
    if not (gone or sighting.seen):
        gone = [NO_LABELS]  # all that there was, none of which had an alert
    if all(sighting.removed_since(group, view.seen_at) for group in gone):
        return None
    return Cause(sighting.collector, MISSING), ""


def _overflow_rule(rule: AlertRule, severity: AlertSeverity) -> AlertRule:
    """Give the rule of the alert that stands for those past `max_alerts`: its value is how many they are."""
    return AlertRule(
        rule.name,
        f"More than {rule.max_alerts} alerts of one rule; this one stands for the rest. {rule.description}",
        severity,
        rule.metric_name or rule.name,
        "> 0",
        evaluation_interval=rule.evaluation_interval,
        notification_interval=rule.notification_interval,
        labels=rule.labels if rule.expr is None else {},
        annotations=rule.annotations if rule.expr is None else {},
        group_by=tuple(OVERFLOW),
        hold=rule.hold,
        keep_firing=rule.keep_firing,
    )
