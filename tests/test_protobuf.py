"""The protobuf page, read back by a reader that was written from Prometheus' definition alone."""

import math
import sys
import threading
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proto_reader import Message, native_counts, read_families, read_message

from kailash_monitor.exposition import render_protobuf
from kailash_monitor.metrics import MetricsCollector, MetricsRegistry
from kailash_monitor.model.exemplar import MAX_CHARACTERS
from kailash_monitor.model.labels import label_value
from kailash_monitor.testing import EPOCH, ManualClock

START = 1000.5
"""When counting begins, on the registry's timeline."""

BASE_EXPONENT = 1 / 16
"""log2 of the ratio of neighbouring bucket bounds in schema 4: 2 ** (2 ** -4) is about 1.044."""

EDGE = 1e-12
"""How far off a bound a value may be and still be put on its other side: the logarithm is rounded."""

DECADES = st.builds(
    lambda sign, mantissa, exponent: sign * math.ldexp(mantissa, exponent),
    st.sampled_from([-1.0, 1.0]),
    st.floats(min_value=0.5, max_value=1.0),
    st.integers(min_value=-1000, max_value=1000),
)
observations = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 1, -2, 2**0.5, 5e-324, -5e-324]),
    st.floats(min_value=-1000, max_value=1000),
    DECADES,
)
gaps = st.sampled_from([0.0, 0.0, 0.0, 0.3, 1.0, 60.0, 40_000.0])
"""Seconds between observations: within the open slot, over closed ones, beyond the retention."""


@pytest.fixture
def app() -> MetricsCollector:
    """A collector whose exported names begin with `app_`."""
    return MetricsRegistry("", clock=ManualClock(START)).collector("app")


def page(app: MetricsCollector) -> bytes:
    assert app.registry is not None
    return b"".join(render_protobuf(app.registry.snapshot()))


def families(app: MetricsCollector) -> dict[str, Message]:
    return {family["name"]: family for family in read_families(page(app))}


def one_histogram(app: MetricsCollector) -> Message:
    ((metric,),) = [family["metric"] for family in families(app).values()]
    histogram: Message = metric["histogram"]
    return histogram


def labels_of(message: Message) -> dict[str, str]:
    pairs = [(pair["name"], pair["value"]) for pair in message["label"]]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def seconds(timestamp: Message) -> float:
    assert 0 <= timestamp["nanos"] < 1_000_000_000
    unix: float = timestamp["seconds"] + timestamp["nanos"] / 1e9
    return unix


def bound(index: int) -> float:
    """Give the upper bound of a native bucket, base ** index, without leaving the floats on the way."""
    try:
        return math.ldexp(2 ** (index % 16 * BASE_EXPONENT), index // 16)
    except OverflowError:
        return math.inf


def native(histogram: Message) -> list[tuple[float, float]]:
    """Give the bucket of every observation, in the order of the values: from where and to where it reaches."""
    assert (histogram["schema"], histogram["zero_threshold"]) == (4, 0.0)
    negative = native_counts(histogram["negative_span"], histogram["negative_delta"])
    positive = native_counts(histogram["positive_span"], histogram["positive_delta"])
    below = [[(-bound(index), -bound(index - 1))] * negative[index] for index in sorted(negative, reverse=True)]
    above = [[(bound(index - 1), bound(index))] * positive[index] for index in sorted(positive)]
    zeros = [(0.0, 0.0)] * histogram["zero_count"]
    return [*chain(*below), *zeros, *chain(*above)]


# -- the reader: what the encoding guide says ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoded", "kind", "message"),
    [
        (b"\x08\x96\x01", "Timestamp", {"seconds": 150}),  # https://protobuf.dev/programming-guides/encoding/#simple
        (b"\x08" + b"\xfe" + b"\xff" * 8 + b"\x01", "Timestamp", {"seconds": -2}),
        (b"\x08\x03\x10\x02", "BucketSpan", {"offset": -2, "length": 2}),
        (b"\x0a\x07testing", "LabelPair", {"name": "testing"}),
        (b"\x09\x00\x00\x00\x00\x00\x00\xf8\x3f", "Gauge", {"value": 1.5}),
    ],
)
def test_the_reader_reads_the_examples_of_the_encoding(encoded: bytes, kind: str, message: Message) -> None:
    assert read_message(encoded, kind) == message


def test_the_reader_takes_repeated_numbers_packed_or_one_by_one() -> None:
    packed, single = b"\x6a\x03\x02\x01\x04", b"\x68\x02\x68\x01\x68\x04"
    for encoded in (packed, single):
        assert read_message(encoded, "Histogram")["positive_delta"] == [1, -1, 2]


@pytest.mark.parametrize(
    ("encoded", "reason"),
    [
        (b"\x40\x01", "no field 8"),
        (b"\x08\x01", "wire type 0 instead of 1"),
        (b"\x09" + bytes(8) + b"\x09" + bytes(8), "stands twice"),
        (b"\x09" + bytes(7), "1 bytes early"),
        (b"\xff" * 10, "more than 64 bits"),
        (b"\x0b", "no field has wire type 3"),
    ],
)
def test_the_reader_refuses_what_the_definition_does_not_have(encoded: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_message(encoded, "Gauge")


# -- counters and gauges ---------------------------------------------------------------------------------------------------


def test_a_counter_has_its_help_labels_total_and_birth(app: MetricsCollector) -> None:
    requests = app.counter("requests", "Requests served", labels=("method", "path"))
    requests.inc("GET", "/x", by=2.5)
    requests.inc("GET", "/x")
    requests.inc("PUT", "/y")
    (family,) = read_families(page(app))
    assert {key: family[key] for key in family if key != "metric"} == {
        "name": "app_requests_total",
        "help": "Requests served",
        "type": "COUNTER",
    }
    assert [(labels_of(one), one["counter"]["value"]) for one in family["metric"]] == [
        ({"method": "GET", "path": "/x"}, 3.5),
        ({"method": "PUT", "path": "/y"}, 1.0),
    ]
    assert [seconds(one["counter"]["created_timestamp"]) for one in family["metric"]] == [EPOCH + START] * 2


def test_a_gauge_has_its_value_and_neither_birth_nor_exemplar(app: MetricsCollector) -> None:
    app.gauge("temperature", labels=("room",)).set("kitchen", -21.5)
    assert families(app) == {
        "app_temperature": {
            "name": "app_temperature",
            "help": "temperature",
            "type": "GAUGE",
            "metric": [{"label": [{"name": "room", "value": "kitchen"}], "gauge": {"value": -21.5}}],
        }
    }


def test_a_series_that_began_anew_is_as_old_as_its_second_beginning(app: MetricsCollector) -> None:
    hits = app.counter("hits", labels=("page",))
    hits.inc("a")
    hits.remove("a")
    assert isinstance(app.clock, ManualClock)
    app.clock.advance(2.25)
    hits.labels("a").inc()
    kept = hits.labels("a")
    hits.remove("a")
    app.clock.advance(1.0)
    kept.inc()
    (metric,) = families(app)["app_hits_total"]["metric"]
    assert metric["counter"]["value"] == 1.0
    assert seconds(metric["counter"]["created_timestamp"]) == EPOCH + START + 3.25


@pytest.mark.parametrize("value", [0.0, -0.0, 5e-324, 1.7976931348623157e308, 0.1 + 0.2, 2.0**53 + 2])
def test_numbers_arrive_to_the_last_bit(app: MetricsCollector, value: float) -> None:
    app.gauge("g").set(value)
    (metric,) = families(app)["app_g"]["metric"]
    assert math.copysign(1, metric["gauge"]["value"]) == math.copysign(1, value)
    assert metric["gauge"]["value"] == value


def test_what_would_make_a_total_infinite_is_not_counted(app: MetricsCollector) -> None:
    for _ in range(2):
        app.increment("much", 1.5e308)
        app.record_histogram("h", 1.5e308)
    assert families(app)["app_much_total"]["metric"][0]["counter"]["value"] == 1.5e308
    assert families(app)["app_h"]["metric"][0]["histogram"]["sample_sum"] == 1.5e308


@pytest.mark.parametrize(
    ("unit", "name", "exported", "value"),
    [("bytes", "read", "bytes", 3.0), ("ms", "waited", "seconds", 0.003), ("us", "waited", "seconds", 3e-6), ("", "n", None, 3.0)],
)  # fmt: skip
def test_units_are_base_units_and_named(
    app: MetricsCollector, unit: str, name: str, exported: str | None, value: float
) -> None:
    app.counter(name, unit=unit).inc(by=3)
    app.gauge(f"{name}_now", unit=unit).set(3)
    suffix = f"_{exported}" if exported else ""
    both = families(app)
    assert [both[f"app_{name}{suffix}_total"].get("unit"), both[f"app_{name}_now{suffix}"].get("unit")] == [exported] * 2
    assert both[f"app_{name}{suffix}_total"]["metric"][0]["counter"]["value"] == pytest.approx(value, rel=1e-15)
    assert both[f"app_{name}_now{suffix}"]["metric"][0]["gauge"]["value"] == pytest.approx(value, rel=1e-15)


# -- exemplars -------------------------------------------------------------------------------------------------------------


def test_a_counter_shows_its_last_exemplar(app: MetricsCollector) -> None:
    requests = app.counter("requests")
    assert isinstance(app.clock, ManualClock)
    requests.inc(by=2, exemplar={"trace_id": "first"})
    app.clock.advance(0.125)
    requests.inc(by=3, exemplar={"trace_id": 'é"\n', "span": 7})
    requests.inc()
    (metric,) = families(app)["app_requests_total"]["metric"]
    exemplar = metric["counter"]["exemplar"]
    assert (metric["counter"]["value"], exemplar["value"]) == (6.0, 3.0)
    assert labels_of(exemplar) == {"trace_id": 'é"\n', "span": "7"}
    assert seconds(exemplar["timestamp"]) == EPOCH + START + 0.125


def test_a_bucket_shows_the_last_exemplar_that_fell_into_it(app: MetricsCollector) -> None:
    sizes = app.histogram("sizes", labels=("kind",), buckets=(1, 10))
    for value, trace in ((0.5, "a"), (0.75, "b"), (5, None), (10.5, "c"), (11, None)):
        sizes.observe("x", value, exemplar=trace and {"trace_id": trace})
    found = [bucket.get("exemplar") for bucket in one_histogram(app)["bucket"]]
    assert [one and (labels_of(one), one["value"]) for one in found] == [
        ({"trace_id": "b"}, 0.75), None, ({"trace_id": "c"}, 10.5)
    ]  # fmt: skip


def test_an_exemplar_of_a_timer_is_in_seconds(app: MetricsCollector) -> None:
    app.timer("wait").observe(20, exemplar={"trace_id": "x"})
    (exemplar,) = [bucket["exemplar"] for bucket in one_histogram(app)["bucket"] if "exemplar" in bucket]
    assert exemplar["value"] == pytest.approx(0.02, rel=1e-15)


@given(st.dictionaries(st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True), st.text(max_size=40), max_size=3))
def test_an_exemplar_is_shown_whole_or_not_at_all(labels: dict[str, str]) -> None:
    app = MetricsRegistry("", clock=ManualClock()).collector("app")
    app.counter("c").inc(exemplar=labels)
    counter = families(app)["app_c_total"]["metric"][0]["counter"]
    expected = {name: label_value(value) for name, value in labels.items()}
    fits = sum(map(len, chain(expected, expected.values()))) <= MAX_CHARACTERS
    assert counter["value"] == 1.0
    assert (labels_of(counter["exemplar"]) if fits else counter.get("exemplar")) == (expected if fits else None)


# -- classic buckets -------------------------------------------------------------------------------------------------------


def test_classic_buckets_are_cumulative_and_end_in_infinity(app: MetricsCollector) -> None:
    sizes = app.histogram("sizes", "Sizes of things", buckets=(1, 2, 5))
    for size in (0.5, 1, 1.5, 4, 100):
        sizes.observe(size)
    assert families(app)["app_sizes"]["type"] == "HISTOGRAM"
    histogram = one_histogram(app)
    assert [(bucket["upper_bound"], bucket["cumulative_count"]) for bucket in histogram["bucket"]] == [
        (1, 2), (2, 3), (5, 4), (math.inf, 5)
    ]  # fmt: skip
    assert (histogram["sample_count"], histogram["sample_sum"]) == (5, 107)
    assert seconds(histogram["created_timestamp"]) == EPOCH + START


def test_a_timer_is_a_histogram_of_seconds_with_clean_bounds(app: MetricsCollector) -> None:
    app.timer("wait").observe(20)
    family = families(app)["app_wait_seconds"]
    assert (family["type"], family["unit"]) == ("HISTOGRAM", "seconds")
    histogram = one_histogram(app)
    assert [bucket["upper_bound"] for bucket in histogram["bucket"]] == [
        0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, math.inf
    ]  # fmt: skip
    assert [bucket["cumulative_count"] for bucket in histogram["bucket"]] == [0, 0] + [1] * 10
    assert histogram["sample_sum"] == pytest.approx(0.02, rel=1e-15)


bounds = st.lists(st.integers(min_value=-50, max_value=50).map(float), min_size=1, max_size=6, unique=True).map(sorted)


@given(bounds, st.lists(st.one_of(st.integers(-60, 60).map(float), observations), min_size=1))
def test_a_classic_bucket_counts_what_is_not_above_its_bound(upper_bounds: list[float], values: list[float]) -> None:
    app = MetricsRegistry("", clock=ManualClock()).collector("app")
    for value in values:
        app.histogram("h", buckets=upper_bounds).observe(value)
    buckets = one_histogram(app)["bucket"]
    assert [(bucket["upper_bound"], bucket["cumulative_count"]) for bucket in buckets] == [
        (upper, sum(value <= upper for value in values)) for upper in (*upper_bounds, math.inf)
    ]


# -- native buckets --------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(gaps, observations), min_size=1))
def test_native_buckets_hold_every_observation_and_no_other(trace: list[tuple[float, float]]) -> None:
    clock = ManualClock(START)
    app = MetricsRegistry("", clock=clock).collector("app")
    sizes = app.histogram("sizes")
    for gap, value in trace:
        clock.advance(gap)
        sizes.observe(value)
    histogram = one_histogram(app)
    values = sorted(float(value) for _, value in trace)
    held = native(histogram)
    assert histogram["sample_count"] == len(held) == len(values)
    assert histogram["sample_count"] == histogram["bucket"][-1]["cumulative_count"]
    assert histogram["zero_count"] == values.count(0.0)
    for value, (low, high) in zip(values, held, strict=True):
        slack = EDGE * abs(value)
        assert low - slack <= value <= high + slack
    assert histogram["sample_sum"] == pytest.approx(math.fsum(values), rel=0, abs=1e-9 * max(map(abs, values)))


@given(st.lists(observations, min_size=1))
def test_negative_values_mirror_the_positive_ones(values: list[float]) -> None:
    clock = ManualClock()
    here, there = (MetricsRegistry("", clock=clock).collector("app") for _ in range(2))
    for value in values:
        here.record_histogram("h", value)
        there.record_histogram("h", -value)
    one, other = one_histogram(here), one_histogram(there)
    for these, those in (("positive", "negative"), ("negative", "positive")):
        assert native_counts(one[f"{these}_span"], one[f"{these}_delta"]) == native_counts(
            other[f"{those}_span"], other[f"{those}_delta"]
        )


@pytest.mark.parametrize(
    ("indices", "spans"),
    [
        ([0], [(0, 1)]),
        ([0, 1, 2], [(0, 3)]),
        ([0, 2], [(0, 3)]),
        ([0, 3], [(0, 4)]),
        ([0, 4], [(0, 1), (3, 1)]),
        ([-7, -6, 5, 9], [(-7, 2), (10, 1), (3, 1)]),
    ],
)
def test_short_gaps_are_written_out_and_long_ones_end_a_span(
    app: MetricsCollector, indices: list[int], spans: list[tuple[int, int]]
) -> None:
    for index in indices:
        app.record_histogram("h", 2 ** ((index - 0.5) * BASE_EXPONENT))
    histogram = one_histogram(app)
    assert [(span["offset"], span["length"]) for span in histogram["positive_span"]] == spans
    counted = native_counts(histogram["positive_span"], histogram["positive_delta"])
    assert [index for index, count in counted.items() if count] == indices


def test_a_power_of_two_is_the_upper_bound_of_its_bucket(app: MetricsCollector) -> None:
    for exponent in (-1074, -1, 0, 1, 1023):
        app.record_histogram("h", 2.0**exponent)
    histogram = one_histogram(app)
    counted = native_counts(histogram["positive_span"], histogram["positive_delta"])
    assert [index for index, count in counted.items() if count] == [16 * e for e in (-1074, -1, 0, 1, 1023)]


def test_a_histogram_of_zeros_and_one_of_negative_values_are_native_without_positive_buckets(app: MetricsCollector) -> None:
    app.record_histogram("zeros", 0)
    app.record_histogram("below", -1)
    both = {name: family["metric"][0]["histogram"] for name, family in families(app).items()}
    assert native(both["app_zeros"]) == [(0.0, 0.0)]
    assert native(both["app_below"]) == [(-1.0, -bound(-1))]


@pytest.mark.parametrize(("unit", "per_second"), [("milliseconds", 1e3), ("us", 1e6), ("seconds", 1.0)])
@given(data=st.data())
def test_native_buckets_in_seconds_are_within_4_4_percent(unit: str, per_second: float, data: st.DataObject) -> None:
    values = data.draw(st.lists(DECADES.filter(lambda value: abs(value) > 1e-290), min_size=1))
    app = MetricsRegistry("", clock=ManualClock()).collector("app")
    for value in values:
        app.timer("wait", unit=unit).observe(value)
    for value, (low, high) in zip(sorted(values), native(one_histogram(app)), strict=True):
        middle = math.copysign(math.sqrt(low / high) * abs(high), value)
        assert middle == pytest.approx(value / per_second, rel=0.044)


# -- what is there and what is not -----------------------------------------------------------------------------------------


def test_what_was_never_recorded_is_not_on_the_page(app: MetricsCollector) -> None:
    app.counter("c")
    app.gauge("g")
    app.histogram("h")
    app.timer("t", labels=("a",))
    app.callback_gauge("nothing_to_say", lambda: None)
    assert page(app) == b""


def test_a_family_whose_series_were_all_removed_is_not_on_the_page(app: MetricsCollector) -> None:
    sizes = app.histogram("sizes", labels=("kind",))
    sizes.observe("x", 1)
    sizes.remove("x")
    assert page(app) == b""


def test_a_handle_without_observations_is_a_native_histogram_all_the_same(app: MetricsCollector) -> None:
    app.histogram("h", labels=("kind",), buckets=(1,)).labels("x")
    histogram = one_histogram(app)
    assert histogram["positive_span"] == [{"offset": 0, "length": 0}]  # "a no-op span", says metrics.proto
    assert (histogram["sample_count"], histogram["zero_count"], native(histogram)) == (0, 0, [])
    assert [bucket["cumulative_count"] for bucket in histogram["bucket"]] == [0, 0]


def test_every_family_comes_once_with_all_its_series(app: MetricsCollector) -> None:
    for n in range(200):  # more than are written at once
        for one in (app.counter("c", labels=("n",)), app.counter("d", labels=("n",))):
            one.inc(n, by=n)
        app.timer("t", labels=("n",)).observe(n, n)
    read = read_families(page(app))
    assert [family["name"] for family in read] == ["app_c_total", "app_d_total", "app_t_seconds"]
    for family in read:
        assert [labels_of(one) for one in family["metric"]] == [{"n": str(n)} for n in range(200)]
    assert [one["counter"]["value"] for one in read[0]["metric"]] == list(range(200))
    assert [one["histogram"]["sample_sum"] for one in read[2]["metric"]] == pytest.approx([n / 1000 for n in range(200)])


def test_a_page_of_many_series_pauses_on_the_way(app: MetricsCollector) -> None:
    for n in range(1000):
        app.timer("t", labels=("n",)).observe(n, n)
    assert app.registry is not None
    assert len(list(render_protobuf(app.registry.snapshot()))) > 10


def test_names_beyond_ascii_are_as_they_are_for_those_who_read_them(app: MetricsCollector) -> None:
    app.gauge("größe").set(1)
    assert app.registry is not None
    for utf8, name in ((True, "app_größe"), (False, "app_gr__e")):
        (family,) = read_families(b"".join(render_protobuf(app.registry.snapshot(), utf8=utf8)))
        assert family["name"] == name


hostile = st.one_of(
    st.text(), st.text(alphabet='"\\\n\r\0{}=,# \ud800é\U0010ffff'), st.sampled_from(["x" * 1_000_000, "é" * 500_000])
)


@given(hostile, hostile, hostile)
def test_whatever_is_in_labels_and_descriptions_arrives_as_it_was(first: str, second: str, description: str) -> None:
    app = MetricsRegistry("", clock=ManualClock()).collector("app")
    labels = ("a", "b")
    app.counter("c", description, labels=labels).inc(first, second)
    app.gauge("g", description, labels=labels).set(first, second, 1.5)
    app.histogram("h", description, labels=labels).observe(first, second, 0.25)
    clean = description.encode("utf-8", "replace").decode()
    found = families(app)
    assert [family["help"] for family in found.values()] == [clean or name for name in ("c", "g", "h")]
    wanted = {"a": label_value(first), "b": label_value(second)}
    assert [labels_of(metric) for family in found.values() for metric in family["metric"]] == [wanted] * 3
    assert found["app_c_total"]["metric"][0]["counter"]["value"] == 1.0
    assert found["app_g"]["metric"][0]["gauge"]["value"] == 1.5
    assert found["app_h"]["metric"][0]["histogram"]["sample_sum"] == 0.25


# -- what went wrong once ----------------------------------------------------------------------------------------------------


def test_a_machine_whose_clock_says_1969_is_scraped_all_the_same() -> None:
    app = MetricsRegistry("", clock=ManualClock(START, epoch=-START - 1.5)).collector("app")
    app.increment("c")
    (metric,) = families(app)["app_c_total"]["metric"]
    assert seconds(metric["counter"]["created_timestamp"]) == -1.5


def test_what_happened_once_has_the_same_time_on_every_page() -> None:
    class Jittery(ManualClock):
        """No two clocks are read at the same moment: their difference moves a little."""

        drift = 0.0

        def wall(self) -> float:
            self.drift += 1e-6
            return super().wall() + self.drift

    app = MetricsRegistry("", clock=Jittery(START)).collector("app")
    app.counter("c").inc(exemplar={"trace_id": "x"})
    app.record_histogram("h", 1)
    assert page(app) == page(app)


@pytest.mark.untraced
def test_classic_and_native_buckets_agree_while_a_thread_records(app: MetricsCollector) -> None:
    sizes = app.histogram("sizes", buckets=(1,)).labels()
    sizes.observe(1.0)
    ended, interval = threading.Event(), sys.getswitchinterval()

    def record() -> None:
        while not ended.is_set():
            sizes.observe(1.0)

    thread = threading.Thread(target=record)
    sys.setswitchinterval(1e-6)
    thread.start()
    try:
        for _ in range(2000):
            histogram = one_histogram(app)
            assert (
                histogram["sample_count"]
                == histogram["sample_sum"]
                == histogram["bucket"][-1]["cumulative_count"]
                == sum(native_counts(histogram["positive_span"], histogram["positive_delta"]).values())
            )
    finally:
        ended.set()
        thread.join()
        sys.setswitchinterval(interval)
