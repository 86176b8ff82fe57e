"""The laws of an ordeal: each gives what breaks it, in words."""

from collections import defaultdict
from collections.abc import Iterator

from killed_program import RATES, ROLES
from ordeal import Answer, News, Ordeal, Reception

BY_ID = {role.alert_id: role for role in ROLES}

GROUPED = frozenset(("pager", role.alert_id) for role in ROLES if role.metric == "load")
"""Who is told of what in groups: what comes and goes while a group waits is rightly not told."""

MAY_FOLLOW = {
    "firing": {"over", "firing"},
    "repeat": {"firing"},
    "resolved": {"firing"},
    "missed": {"over"},
    "flapping": {"over", "firing"},
    "stable": {"flapping"},
}
"""After which word a channel may hear each kind of news."""


def broken_programs(it: Ordeal) -> Iterator[str]:
    """Find programs that did not end as they should, or had an error to report."""
    due = [-9] * (len(it.exits) - 2) + [0, 0]
    for number, (code, wanted) in enumerate(zip(it.exits, due, strict=True), 1):
        if code != wanted:
            yield f"program {number} ended with {code}"
    if it.said:
        yield it.said


def damage(it: Ordeal) -> Iterator[str]:
    """Find the store damaged after a kill."""
    for remains in it.remains:
        if remains.integrity != "ok":
            yield f"after program {remains.program}: {remains.integrity}"


def unexplained_repeats(it: Ordeal) -> Iterator[str]:
    """Find repeats of what was answered or, in the next program, done with by the store; and those in other words."""
    last_of: dict[str, Reception] = {}
    for reception in it.receptions:
        last = last_of.get(reception.message_id)
        last_of[reception.message_id] = reception
        if last is None:
            continue
        if (last.channel, last.body) != (reception.channel, reception.body):
            yield f"in other words: {last}, then {reception}: {last.body!r} and {reception.body!r}"
        if last.program == reception.program and last.answer in (Answer.TAKEN, Answer.LATE):
            yield f"answered, or about to be: {last}, then {reception}"
        if last.program < reception.program and reception.message_id not in it.remains[reception.program - 2].unfinished:
            yield f"done with: {last}, then {reception}"


def overtaken(it: Ordeal) -> Iterator[str]:
    """Find attempts in doubt after a kill that were not repeated before anything else was told of the same alerts."""
    told: dict[tuple[str, str], list[Reception]] = defaultdict(list)
    for reception in it.receptions:
        for news in reception.news:
            told[reception.channel, news.alert_id].append(reception)
    for remains in it.remains:
        for doubt in remains.doubts:
            for alert_id in doubt.alert_ids:
                later = (reception for reception in told[doubt.channel, alert_id] if reception.program > remains.program)
                first = next(later, None)
                if first is None or first.message_id != doubt.message_id:
                    yield f"in doubt after program {remains.program} was {doubt}, and then: {first}"


def unannounced(it: Ordeal) -> Iterator[str]:
    """Find attempts of which the store knew nothing when the program was killed: the last that a channel heard of an alert."""
    last_of: dict[tuple[int, str, str], tuple[Reception, News]] = {}
    for reception in it.receptions:
        for news in reception.news if reception.answer.taken else ():
            last_of[reception.program, reception.channel, news.alert_id] = reception, news
    for (program, channel, alert_id), (reception, news) in last_of.items():
        remains = it.remains[program - 1]
        if news.kind != "firing" or BY_ID[alert_id].flaps or reception.message_id in remains.unfinished:
            continue
        if (channel, alert_id, news.incident) not in remains.told:
            yield f"the store does not know that {reception}"


def out_of_order(it: Ordeal) -> Iterator[str]:
    """Find what was told in a wrong order: firing, repeats, resolved, incident after incident, of ever later steps."""
    for (channel, alert_id), heard in it.heard().items():
        word, number, step = "over", 0, 0
        for one in heard:
            in_turn = word in MAY_FOLLOW[one.kind] and one.step >= step
            if not (in_turn and _goes_on(one, word, number) and _is_true(one)):
                yield f"{channel} heard of {alert_id} after {word} #{number} at step {step}: {one}"
            if one.kind != "missed":
                word, number = _word(one), one.incident
            step = max(step, one.step)


def _goes_on(news: News, word: str, number: int) -> bool:
    """Whether it is about the right incident, when the one before was of this number."""
    match news.kind:
        case "firing" if word == "firing":
            return news.incident == number and news.severity == "critical"  # it is graver than before
        case "firing":
            return news.incident > number
        case "repeat" | "resolved":
            return news.incident == number
        case _:
            return news.incident >= number


def _word(news: News) -> str:
    return "flapping" if news.kind == "flapping" else "firing" if news.fires else "over"


def _is_true(news: News) -> bool:
    """Whether what is said goes with the kind of news, and with the value that is told."""
    if news.kind in ("missed", "flapping"):
        return True
    breached = news.level > 0 or (news.fires and BY_ID[news.alert_id].lingers)
    return news.fires is breached and (news.kind == "stable" or news.fires is (news.kind != "resolved"))


def lost(it: Ordeal) -> Iterator[str]:
    """Find what a channel should have heard and did not: last words that are not true, and incidents that are missing."""
    heard, at_rest = it.heard(), it.heard(it.at_rest)
    for channel in RATES:
        for role in ROLES:
            key = (channel, role.alert_id)
            if channel != "phone":  # the ends of a storm wait for others
                yield from _untrue(key, at_rest[key], role.severity(role.last) if role.last else "")
            yield from _untrue(key, heard[key], "")
            yield from _unaccounted(key, heard[key], it.remains[-1].numbers.get(role.alert_id, 0))
    for channel, alert_id, incident in {told for remains in it.remains for told in remains.told}:
        kinds = {news.kind for news in heard[channel, alert_id] if news.incident == incident}
        if not BY_ID[alert_id].flaps and not {"firing", "resolved"} <= kinds:
            yield f"the store had it that {channel} was told of {alert_id} #{incident}; it heard {kinds}"


def _untrue(key: tuple[str, str], heard: list[News], severity: str) -> Iterator[str]:
    """Say so where the last that a channel heard of an alert is not true: it fires with `severity`, or with none is over."""
    word = _word(heard[-1]) if heard else "over"
    mild = heard and severity not in ("", heard[-1].severity) and heard[-1].severity != "critical"
    if word != ("firing" if severity else "over") or mild:
        yield f"{' heard last of '.join(key)}, which is {severity or 'over'}: {heard[-1:]}"


def _unaccounted(key: tuple[str, str], heard: list[News], incidents: int) -> Iterator[str]:
    """Give the incidents that were neither told nor counted among those that were missed, or both."""
    if key in GROUPED or BY_ID[key[1]].flaps:
        return
    accounted = 0
    for one in heard:
        due = accounted + 1
        if one.kind == "firing":
            accounted = one.incident
            wrong = accounted > due
        elif one.kind == "missed":  # in a digest it does not say how many
            accounted = one.upto
            wrong = accounted < due or one.missed not in (None, accounted - due + 1)
        else:
            continue
        if wrong:
            yield f"{' should have heard of '.join(key)} #{due}, and heard {one}"
    if accounted < incidents:
        yield f"{' heard of '.join(key)} {accounted} of {incidents} incidents"


LAWS = (broken_programs, damage, unexplained_repeats, overtaken, unannounced, out_of_order, lost)
