"""Labels."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kailash_monitor.model.labels import NO_LABELS, Labels, label_value, valid_label_name


def test_labels_are_equal_whatever_the_order() -> None:
    a, b = Labels({"x": "1", "y": "2"}), Labels({"y": 2, "x": 1})
    assert a == b
    assert hash(a) == hash(b)
    assert a != {"x": "1", "y": "2"}.items()


def test_labels_are_a_mapping_that_reads_well() -> None:
    labels = Labels({"path": 'a"b\\c\nd', "code": 200})
    assert dict(labels) == {"code": "200", "path": 'a"b\\c\nd'}
    assert (len(labels), labels["code"]) == (2, "200")
    assert repr(labels) == '{code="200",path="a\\"b\\\\c\\nd"}'


def test_picking_an_absent_label_gives_the_empty_value() -> None:
    assert Labels({"a": "1", "b": "2"}).pick(("b", "c")) == Labels({"b": "2", "c": ""})


def test_matching_treats_an_absent_label_as_empty() -> None:
    labels = Labels({"a": "1"})
    assert labels.matches({"a": "1", "b": ""})
    assert not labels.matches({"a": "2"})
    assert NO_LABELS.matches({})


def test_a_lone_surrogate_is_replaced() -> None:
    assert label_value("a\ud800b") == "a?b"


def test_long_values_are_cut_and_told_apart() -> None:
    a, b = label_value("x" * 5000 + "a"), label_value("x" * 5000 + "b")
    assert len(a.encode()) <= 1024
    assert a != b


@given(st.text(max_size=3000))
def test_any_text_becomes_a_bounded_value_that_can_be_encoded(text: str) -> None:
    assert len(label_value(text).encode()) <= 1024


@pytest.mark.parametrize(("name", "valid"), [("a", True), ("A_1", True), ("1a", False), ("a-b", False), ("", False), ("__a", False), ("ä", False)])  # fmt: skip
def test_label_names_are_those_of_prometheus(name: str, valid: bool) -> None:
    assert valid_label_name(name) is valid
