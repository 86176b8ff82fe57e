"""Mute times: what is accepted, what a refusal says, and when they are in force, to the second, in every zone."""

import calendar
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kailash_monitor.alerting.mute import MuteTime
from kailash_monitor.errors import ConfigurationError

BERLIN = ZoneInfo("Europe/Berlin")
HOUR, DAY = 3600, 86_400


def unix(text: str, zone: ZoneInfo | None = None) -> float:
    """`text` is local time in `zone`, or, without one, UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=zone or UTC).timestamp()


@pytest.mark.parametrize(
    ("spelled", "field", "meant"),
    [
        ({"weekdays": ["mon"]}, "weekdays", {1}),
        ({"weekdays": ["Monday", " sun "]}, "weekdays", {1, 7}),
        ({"weekdays": ["mon-fri"]}, "weekdays", {1, 2, 3, 4, 5}),
        ({"weekdays": ["sat - Monday"]}, "weekdays", {6, 7, 1}),
        ({"months": ["december", "may"]}, "months", {5, 12}),
        ({"months": [12, "1-3"]}, "months", {12, 1, 2, 3}),
        ({"months": ["nov-feb"]}, "months", {11, 12, 1, 2}),
        ({"days": [1, "-1"]}, "days", ((1, 1), (-1, -1))),
        ({"days": ["1-5", "-7--1", "25--1", "-7 - 31"]}, "days", ((1, 5), (-7, -1), (25, -1), (-7, 31))),
        ({"times": ["22:00-06:00"]}, "times", ((22 * HOUR, 30 * HOUR),)),
        ({"times": [("09:30", "24:00"), ["00:00", "00:01"]]}, "times", ((34_200, DAY), (0, 60))),
        ({"times": ["22:00 - 00:00"]}, "times", ((22 * HOUR, DAY),)),
        ({"times": ["00:00-24:00"]}, "times", ((0, DAY),)),
    ],
)  # fmt: skip
def test_every_spelling_of_a_calendar(spelled: dict[str, object], field: str, meant: object) -> None:
    assert getattr(MuteTime("m", **spelled), field) == meant  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "field", "message"),
    [
        ({"name": " "}, "name", "mute time: the name ' '; a mute time needs a name on one line"),
        ({"name": "a\nb"}, "name", r"the name 'a\\nb'"),
        ({"name": 5}, "name", "the name 5"),
        ({}, None, "mute time 'm': nothing that says when; give some of weekdays, times, days and months"),
        ({"time_zone": ""}, "time_zone", "mute time 'm': time_zone = ''; a name such as 'Europe/Berlin'"),
        ({"time_zone": None}, "time_zone", "time_zone = None"),
        ({"weekdays": ["funday"]}, "weekdays", "'funday' in weekdays; write 'mon', 'monday' or 'mon-fri'"),
        ({"weekdays": [1]}, "weekdays", "1 in weekdays"),
        ({"weekdays": ["mon-tue-wed"]}, "weekdays", "'mon-tue-wed' in weekdays"),
        ({"weekdays": "mon-fri"}, "weekdays", r"weekdays = 'mon-fri'; a list: \['mon-fri'\]"),
        ({"weekdays": None}, "weekdays", "weekdays = None; a list"),
        ({"months": ["13"]}, "months", "'13' in months; write 'dec', 'december', '12' or '1-3'"),
        ({"months": [True]}, "months", "True in months"),
        ({"months": 12}, "months", r"months = 12; a list: \[12\]"),
        ({"days": ["0"]}, "days", "'0' in days; write '1' to '31', '-1' for the last, or a range '1-5', '-7--1'"),
        ({"days": ["32"]}, "days", "'32' in days"),
        ({"days": ["1-"]}, "days", "'1-' in days"),
        ({"days": [1.5]}, "days", "1.5 in days"),
        ({"days": ["5-1"]}, "days", "'5-1' in days; the earlier day comes first"),
        ({"days": ["-1--5"]}, "days", "'-1--5' in days; the earlier"),
        ({"days": ["-1-5"]}, "days", "'-1-5' in days; the earlier"),
        ({"days": ["30"], "months": ["feb"]}, "days", "days that none of its months has"),
        ({"times": ["22:00"]}, "times", "'22:00' in times; write '22:00-06:00', from 00:00 to 24:00"),
        ({"times": ["9:00-17:00"]}, "times", "'9:00-17:00' in times"),
        ({"times": ["24:00-06:00"]}, "times", "'24:00-06:00' in times"),
        ({"times": ["22:00-24:01"]}, "times", "'22:00-24:01' in times"),
        ({"times": ["22:60-23:00"]}, "times", "'22:60-23:00' in times"),
        ({"times": [1320]}, "times", "1320 in times"),
        ({"times": [("22:00", 360)]}, "times", r"\('22:00', 360\) in times"),
        ({"times": ["22:00-22:00"]}, "times", "'22:00-22:00' in times; a start and an end that differ; a whole day is"),
        ({"times": "22:00-06:00"}, "times", r"a list: \['22:00-06:00'\]"),
    ],
)  # fmt: skip
def test_a_wrong_mute_time_says_what_was_seen_and_what_is_right(
    wrong: dict[str, object], field: str | None, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message) as refused:
        MuteTime(**{"name": "m", **wrong})  # type: ignore[arg-type]
    assert refused.value.field == field


def test_a_plain_dictionary_makes_the_same_mute_time() -> None:
    made = MuteTime.from_mapping({"name": "nights", "times": [["22:00", "06:00"]], "time_zone": "Europe/Berlin"})
    assert made == MuteTime("nights", times=["22:00-06:00"], time_zone="Europe/Berlin")


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"name": "m", "weekday": ["mon"]}, "mute time 'm': the unknown key 'weekday'; did you mean 'weekdays'?"),
        ({"name": "m", "colour": 1}, "'colour'; use some of name, weekdays, times, days, months, time_zone"),
        ({"times": ["22:00-06:00"]}, "mute time: the name None; a mute time needs a name"),
    ],
)
def test_a_wrong_dictionary_says_what_is_right(mapping: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        MuteTime.from_mapping(mapping)
    assert message in str(refused.value)


def test_a_mute_time_shows_its_calendar() -> None:
    mute = MuteTime("m", weekdays=["mon", "sat"], times=["22:00-06:00", "12:00-24:00"], days=["1", "-7--1"], months=["1-2"])
    assert repr(mute) == "<MuteTime m: mon,sat at 22:00-06:00,12:00-24:00 on days 1,-7--1 in jan,feb, UTC>"
    assert repr(MuteTime("w", weekdays=["sun"], time_zone="Europe/Berlin")) == "<MuteTime w: sun, Europe/Berlin>"


@pytest.mark.parametrize(
    ("calendar_", "inside", "outside"),
    [
        ({"times": ["22:00-06:00"]}, ["22:00", "23:59:59.999999", "00:00", "05:59:59.999999"], ["06:00", "21:59:59.999999"]),
        ({"times": ["12:00-24:00"]}, ["12:00", "23:59:59.999999"], ["00:00", "11:59"]),
        ({"times": ["01:00-02:00", "01:30-03:00"]}, ["01:00", "02:00", "02:59"], ["00:59", "03:00"]),
        ({"weekdays": ["wed"]}, ["00:00", "23:59"], []),
        ({"weekdays": ["thu-tue"]}, [], ["00:00", "23:59"]),
        ({"months": ["july"], "days": [15]}, ["00:00", "23:59"], []),
        ({"months": ["july"], "days": [16]}, [], ["00:00", "23:59"]),
        ({"days": ["-17"]}, ["00:00", "23:59"], []),
        ({"days": ["15-16"]}, ["00:00", "23:59"], []),
        ({"days": ["-20--17"]}, ["00:00", "23:59"], []),
        ({"days": ["-16"]}, [], ["00:00", "23:59"]),
    ],
)  # fmt: skip
def test_a_mute_is_in_force_where_all_of_its_fields_agree(
    calendar_: dict[str, object], inside: list[str], outside: list[str]
) -> None:
    """On Wednesday, 15 July 2026, the seventeenth day from the end of its month."""
    mute = MuteTime("m", **calendar_)  # type: ignore[arg-type]
    for moments, expected in ((inside, True), (outside, False)):
        for moment in moments:
            assert mute.active(unix(f"2026-07-15T{moment}", BERLIN), BERLIN) is expected, moment


@pytest.mark.parametrize(
    ("calendar_", "begins", "ends"),
    [
        ({"weekdays": ["fri"]}, "2026-07-31T22:00", "2026-08-01T06:00"),
        ({"days": ["-1"]}, "2026-01-31T22:00", "2026-02-01T06:00"),
        ({"months": ["dec"], "days": ["31"]}, "2026-12-31T22:00", "2027-01-01T06:00"),
        ({"days": ["29"], "months": ["feb"]}, "2028-02-29T22:00", "2028-03-01T06:00"),
    ],
)
def test_a_night_belongs_to_the_day_on_which_it_starts(calendar_: dict[str, object], begins: str, ends: str) -> None:
    mute = MuteTime("m", times=["22:00-06:00"], **calendar_)  # type: ignore[arg-type]
    start, end = unix(begins), unix(ends)
    assert mute.next_change(start - DAY, UTC) == start
    assert mute.next_change(start, UTC) == mute.until(start, UTC) == end
    assert not mute.active(start - 20 * HOUR, UTC)


ZONES: dict[str, tuple[str, ...]] = {
    "Europe/Berlin": ("2026-03-29T01:00", "2026-10-25T01:00"),
    "America/New_York": ("2026-03-08T07:00", "2026-11-01T06:00"),
    "Australia/Lord_Howe": ("2026-04-04T15:00", "2026-10-03T15:30"),  # half an hour
    "America/Havana": ("2026-03-08T05:00", "2026-11-01T05:00"),  # midnight is skipped; the hour before one is repeated
    "Asia/Beirut": ("2026-03-28T22:00", "2026-10-24T21:00"),  # midnight is skipped; the day before comes back
    "Pacific/Apia": ("2011-12-30T10:00",),  # 30 December is skipped
    "America/St_Johns": ("2006-10-29T02:31",),  # at one minute after midnight, which brings back the day before
    "Asia/Kathmandu": ("1985-12-31T18:30",),  # a quarter of an hour, for good
    "UTC": ("2028-02-29T12:00",),
}
"""Zones, and the times, UTC, at which their clocks change."""


@pytest.mark.parametrize(
    ("zone", "calendar_", "changes"),
    [
        # the skipped hour: 02:00 to 03:00 is not
        ("Europe/Berlin", {"times": ["02:00-03:00"]}, ["2026-03-28T01:00", "2026-03-28T02:00", "2026-03-30T00:00"]),
        ("Europe/Berlin", {"times": ["01:30-02:30"]}, ["2026-03-28T00:30", "2026-03-28T01:30", "2026-03-29T00:30", "2026-03-29T01:00"]),
        ("Europe/Berlin", {"times": ["02:30-03:30"]}, ["2026-03-28T01:30", "2026-03-28T02:30", "2026-03-29T01:00", "2026-03-29T01:30"]),
        # the repeated hour: 02:00 to 03:00 comes twice
        ("Europe/Berlin", {"times": ["02:00-03:00"]}, ["2026-10-24T00:00", "2026-10-24T01:00", "2026-10-25T00:00", "2026-10-25T02:00"]),
        ("Europe/Berlin", {"times": ["01:30-02:30"]},
         ["2026-10-24T23:30", "2026-10-25T00:30", "2026-10-25T01:00", "2026-10-25T01:30", "2026-10-26T00:30"]),
        # 01:30 to 02:00 is repeated
        ("Australia/Lord_Howe", {"times": ["01:30-02:00"]}, ["2026-04-04T14:30", "2026-04-04T15:30", "2026-04-05T15:00"]),
        # 02:00 to 02:30 is not
        ("Australia/Lord_Howe", {"times": ["01:00-02:15"]}, ["2026-10-03T14:30", "2026-10-03T15:30", "2026-10-04T14:00"]),
        # Sunday begins at 01:00
        ("America/Havana", {"weekdays": ["sun"]}, ["2026-03-08T05:00", "2026-03-09T04:00"]),
        ("America/Havana", {"times": ["00:00-01:00"]}, ["2026-03-07T05:00", "2026-03-07T06:00", "2026-03-09T04:00"]),
        # 00:00 to 01:00 is repeated
        ("America/Havana", {"times": ["23:00-01:00"]}, ["2026-11-01T03:00", "2026-11-01T06:00", "2026-11-02T04:00"]),
        # Saturday lasts 25 hours, and never becomes Sunday before its time
        ("Asia/Beirut", {"weekdays": ["sat"]}, ["2026-10-23T21:00", "2026-10-24T22:00", "2026-10-30T22:00"]),
        # Thursday is followed by Saturday
        ("Pacific/Apia", {"weekdays": ["thu"]}, ["2011-12-29T10:00", "2011-12-30T10:00", "2012-01-04T10:00"]),
        ("Pacific/Apia", {"weekdays": ["fri"]}, ["2011-12-23T10:00", "2011-12-24T10:00", "2012-01-05T10:00"]),
        ("Pacific/Apia", {"weekdays": ["sat"]}, ["2011-12-30T10:00", "2011-12-31T10:00", "2012-01-06T10:00"]),
        ("Pacific/Apia", {"days": ["30"]}, ["2011-11-30T10:00", "2011-12-01T10:00", "2012-01-29T10:00"]),
    ],
)  # fmt: skip
def test_a_mute_follows_the_clock_on_the_wall(zone: str, calendar_: dict[str, object], changes: list[str]) -> None:
    mute = MuteTime("m", **calendar_, time_zone=zone)  # type: ignore[arg-type]
    moments = [unix(change) for change in changes]
    found = [mute.next_change(wall, ZoneInfo(zone)) for wall in (moments[0] - 60, *moments[:-1])]
    assert found == moments


def shown(mute: MuteTime, wall: float, zone: ZoneInfo) -> bool:
    """Whether it is in force, in the words of the calendar: by the reading of a clock on the wall."""
    reading = datetime.fromtimestamp(wall, zone).replace(tzinfo=None)

    def falls_on(day: datetime) -> bool:
        length = calendar.monthrange(day.year, day.month)[1]
        numbers = (day.day, day.day - length - 1)
        return (
            (not mute.weekdays or day.isoweekday() in mute.weekdays)
            and (not mute.months or day.month in mute.months)
            and (not mute.days or any(first <= number <= last for first, last in mute.days for number in numbers))
        )

    midnight = reading.replace(hour=0, minute=0, second=0, microsecond=0)
    return any(
        falls_on(day) and day + timedelta(seconds=start) <= reading < day + timedelta(seconds=end)
        for day in (midnight - timedelta(days=1), midnight)
        for start, end in mute.times or ((0, DAY),)
    )


def changes_by_minutes(mute: MuteTime, begin: float, end: float, zone: ZoneInfo) -> Iterator[float]:
    was = mute.active(begin, zone)
    for minute in range(math.floor(begin) // 60 * 60 + 60, math.floor(end) + 1, 60):
        if mute.active(minute, zone) is not was:
            was = not was
            yield minute


def changes_by_leaps(mute: MuteTime, begin: float, end: float, zone: ZoneInfo) -> Iterator[float]:
    change = mute.next_change(begin, zone)
    while change is not None and change <= end:
        yield change
        change = mute.next_change(change, zone)


clock_times = st.one_of(
    st.sampled_from(["00:00", "00:01", "00:30", "01:00", "01:30", "02:00", "02:15", "02:30", "03:00", "23:00", "23:30"]),
    st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59)),
)
spans = st.tuples(clock_times, clock_times | st.just("24:00")).filter(lambda span: span[0] != span[1])
day_ranges = st.tuples(st.integers(1, 28), st.integers(28, 31))  # every month has one of these days
mutes = (
    st.fixed_dictionaries(
        {
            "weekdays": st.lists(st.sampled_from(["mon", "tue", "wed", "thu", "fri", "sat", "sun", "sat-mon"]), max_size=2),
            "times": st.lists(spans, max_size=3),
            "days": st.lists(
                day_ranges.map("{0[0]}-{0[1]}".format) | day_ranges.map("-{0[1]}--{0[0]}".format) | st.just("-1"), max_size=2
            ),
            "months": st.lists(st.sampled_from(["dec-jan", "3-4", "oct", "nov", "12"]), max_size=2),
        }
    )
    .filter(lambda fields: any(fields.values()))
    .map(lambda fields: MuteTime("m", **fields))  # type: ignore[arg-type]
)
moments = st.builds(
    lambda change, seconds: (ZoneInfo(change[0]), unix(change[1]) + seconds),
    st.sampled_from([(zone, change) for zone, changes in ZONES.items() for change in changes]),
    st.integers(-3 * DAY, DAY) | st.floats(-3.0 * DAY, 1.0 * DAY),
)
"""A zone and a time near a change of its clocks."""


@given(mutes, moments)
def test_every_change_is_found_and_nothing_else(mute: MuteTime, moment: tuple[ZoneInfo, float]) -> None:
    zone, begin = moment
    end = begin + 3 * DAY
    found = list(changes_by_leaps(mute, begin, end, zone))
    assert found == list(changes_by_minutes(mute, begin, end, zone))
    if mute.active(begin, zone) and found:
        assert mute.until(begin, zone) == found[0]


@given(mutes, moments)
def test_a_mute_is_in_force_by_the_reading_of_the_clock(mute: MuteTime, moment: tuple[ZoneInfo, float]) -> None:
    zone, begin = moment
    for quarter in range(-96, 96):
        wall = math.floor(begin) + quarter * 900
        assert mute.active(wall, zone) is shown(mute, wall, zone)


def test_no_mute_has_no_end() -> None:
    mute = MuteTime("m", times=["22:00-06:00"])
    assert mute.until(unix("2026-07-15T21:59:59.999"), UTC) is None
    assert mute.until(unix("2026-07-15T22:00"), UTC) == unix("2026-07-16T06:00")
    assert mute.until(unix("2026-07-16T06:00"), UTC) is None


def test_a_mute_that_goes_on_and_on_is_certain_for_32_days() -> None:
    wall = unix("2026-07-15T12:00:00.5")
    assert MuteTime("always", weekdays=["mon-sun"]).until(wall, BERLIN) == math.floor(wall) + 32 * DAY
    summer = MuteTime("summer", months=["6-8"])
    assert summer.until(unix("2026-06-01T00:00"), UTC) == unix("2026-07-03T00:00")
    assert summer.until(unix("2026-08-01T00:00"), UTC) == unix("2026-09-01T00:00")


@pytest.mark.parametrize(
    ("calendar_", "change"),
    [
        ({"weekdays": ["mon-sun"]}, None),
        ({"times": ["00:00-12:00", "12:00-24:00"]}, None),
        ({"months": ["feb"], "days": ["29"]}, None),
        ({"months": ["july"], "days": ["14"]}, "2027-07-14T00:00"),
        ({"weekdays": ["fri"], "days": ["13"]}, "2026-11-13T00:00"),
    ],
)  # fmt: skip
def test_a_change_is_looked_for_over_a_year(calendar_: dict[str, object], change: str | None) -> None:
    mute = MuteTime("m", **calendar_)  # type: ignore[arg-type]
    assert mute.next_change(unix("2026-07-15T12:00"), UTC) == (unix(change) if change else None)


def test_a_mute_that_touches_the_next_goes_on() -> None:
    mute = MuteTime("m", times=["20:00-24:00", "00:00-06:00", "05:00-07:00"])
    assert mute.until(unix("2026-07-15T20:00"), UTC) == unix("2026-07-16T07:00")
