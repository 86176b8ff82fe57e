"""Matchers: what they read, what they match, and that their text says all of them."""

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kailash_monitor.errors import ConfigurationError
from kailash_monitor.model.labels import Labels, label_value
from kailash_monitor.model.matcher import NO_MATCHERS, Matcher, Matchers, Operator

EQUAL, NOT_EQUAL, REGEX, NOT_REGEX = Operator

names = st.from_regex(r"[a-zA-Z][a-zA-Z0-9_]{0,5}", fullmatch=True)
texts = st.text(alphabet=st.sampled_from('ab"\\\n,{}= é'), max_size=8) | st.text(max_size=8)
expressions = texts.map(lambda text: "".join(f"\\{c}" if not c.isalnum() else c for c in text)) | st.sampled_from(
    ["", ".*", ".+", "a|b", r"\d+", "(?i)x"]
)
matcher_objects = st.builds(Matcher, names, st.sampled_from([EQUAL, NOT_EQUAL]), texts) | st.builds(
    Matcher, names, st.sampled_from([REGEX, NOT_REGEX]), expressions
)


@pytest.mark.parametrize(
    ("text", "labels", "expected"),
    [
        ('a="x"', {"a": "x"}, True),
        ('a="x"', {"a": "xy"}, False),
        ('a="x"', {}, False),
        ('a=""', {}, True),
        ('a=""', {"a": ""}, True),
        ('a!="x"', {"a": "y"}, True),
        ('a!="x"', {"a": "x"}, False),
        ('a!="x"', {}, True),
        ('a!=""', {}, False),
        ('a=~"warn"', {"a": "warning"}, False),
        ('a=~"warn.*"', {"a": "warning"}, True),
        ('a=~"x|y"', {"a": "xy"}, False),
        ('a=~"x|y"', {"a": "y"}, True),
        ('a=~"x"', {"a": "x\n"}, False),
        ('a=~".*"', {}, True),
        ('a=~".+"', {}, False),
        ('a!~"x|y"', {"a": "y"}, False),
        ('a!~"x|y"', {"a": "z"}, True),
        ('a!~"x|y"', {}, True),
        ('a!~".*"', {}, False),
    ],
)  # fmt: skip
def test_a_matcher_compares_the_whole_value_and_an_absent_label_is_empty(
    text: str, labels: dict[str, str], expected: bool
) -> None:
    assert Matcher.parse(text).matches(labels) is expected
    assert Matcher.parse(text).matches(Labels(labels)) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('foo="bar"', Matcher("foo", EQUAL, "bar")),
        ("foo=bar", Matcher("foo", EQUAL, "bar")),
        (" foo  !=  bar ", Matcher("foo", NOT_EQUAL, "bar")),
        ('foo =~ "bar.*"', Matcher("foo", REGEX, "bar.*")),
        ("foo!~(a|b).*", Matcher("foo", NOT_REGEX, "(a|b).*")),
        ('status=~"5.."', Matcher("status", REGEX, "5..")),
        ('foo=""', Matcher("foo", EQUAL, "")),
        ('foo="a,b"', Matcher("foo", EQUAL, "a,b")),
        (r'q="She said: \"Hi, ladies!\""', Matcher("q", EQUAL, 'She said: "Hi, ladies!"')),
        (r'p="C:\\new\n"', Matcher("p", EQUAL, "C:\\new\n")),
        (r'code=~"\d+"', Matcher("code", REGEX, r"\d+")),
        ('two="a\nb"', Matcher("two", EQUAL, "a\nb")),
        ('{foo="}"}', Matcher("foo", EQUAL, "}")),
        ("a=b,", Matcher("a", EQUAL, "b")),
    ],
)  # fmt: skip
def test_a_matcher_is_read_as_alertmanager_reads_it(text: str, expected: Matcher) -> None:
    assert Matcher.parse(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "matcher: 0 matchers in ''; one"),
        ("a=b,c=d", "matcher: 2 matchers in 'a=b,c=d'; one"),
        ("severity", """'severity' in the matchers 'severity'; write name="value", or != =~ !~ in place of ="""),
        ("job=", "'job=' in the matchers"),
        ('job="value', "'job=\"value' in the matchers"),
        ('job=value"', "'job=value\"' in the matchers"),
        ("job=two words", "'job=two words' in the matchers"),
        ("job==x", "'job==x' in the matchers"),
        (r"job=a\d", "in the matchers"),
        ('{job="x"', "'{job=\"x\"' in the matchers"),
        ('job="x"}', "'job=\"x\"}' in the matchers"),
        ('a-b="x"', "the label name 'a-b'; letters, digits and underscores, no digit first"),
        ('__a="x"', "the label name '__a'"),
        ('a=~"b(c"', r"the regular expression 'b\(c' for a: missing \), unterminated subpattern at position 1; one that"),
        ('a!~"*"', r"the regular expression '\*' for a: nothing to repeat at position 0"),
        ('a=~"b{99999999999}"', r"the regular expression 'b\{99999999999\}' for a: the repetition number is too large"),
    ],
)  # fmt: skip
def test_a_matcher_that_cannot_be_read_says_what_was_seen_and_what_is_right(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Matcher.parse(text)


@pytest.mark.parametrize(
    ("name", "operator", "value", "message"),
    [
        (5, EQUAL, "x", "the label name 5"),
        ("a", "=", "x", "the operator '='; an Operator"),
        ("a", EQUAL, None, "the value None for a; a text"),
        ("a", REGEX, 5, "the value 5 for a; a text"),
    ],
)  # fmt: skip
def test_a_matcher_checks_itself(name: str, operator: Operator, value: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Matcher(name, operator, value)


@given(matcher_objects)
def test_the_text_of_a_matcher_reads_as_the_same_matcher(matcher: Matcher) -> None:
    assert Matcher.parse(str(matcher)) == matcher


@given(st.lists(matcher_objects, max_size=4))
def test_the_text_of_matchers_reads_as_the_same_matchers_in_braces_or_not(given: list[Matcher]) -> None:
    matchers = Matchers.of(given)
    assert Matchers.of(str(matchers)) == Matchers.of(f"{{{matchers}}}") == matchers
    assert hash(Matchers.of(str(matchers))) == hash(matchers)


@given(matcher_objects, st.dictionaries(names, texts))
def test_one_of_two_opposites_matches(matcher: Matcher, labels: dict[str, str]) -> None:
    opposite = {EQUAL: NOT_EQUAL, NOT_EQUAL: EQUAL, REGEX: NOT_REGEX, NOT_REGEX: REGEX}
    negation = Matcher(matcher.name, opposite[matcher.operator], matcher.value)
    assert matcher.matches(labels) is not negation.matches(labels)


@given(st.lists(matcher_objects, max_size=4), st.dictionaries(names, texts))
def test_matchers_match_what_each_of_them_matches(given: list[Matcher], labels: dict[str, str]) -> None:
    assert Matchers.of(given).matches(labels) is all(matcher.matches(labels) for matcher in given)


@given(st.dictionaries(names, texts))
def test_labels_match_themselves_as_a_dictionary_of_values(labels: dict[str, str]) -> None:
    assert Matchers.of(labels).matches({**labels, "more": "x"} | labels)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (None, ""),
        ("", ""),
        ("{}", ""),
        ([], ""),
        ({}, ""),
        ({"service": "x", "code": 500}, 'service="x",code="500"'),
        ('service="x", severity!="info"', 'service="x",severity!="info"'),
        ('{ foo = "bar", dings != bums, }', 'foo="bar",dings!="bums"'),
        (["a=b", Matcher("c", NOT_EQUAL, "d"), "e=f,g=h"], 'a="b",c!="d",e="f",g="h"'),
        (Matchers.of("a=b"), 'a="b"'),
        ((text for text in ("a=b", "c=d")), 'a="b",c="d"'),
    ],
)  # fmt: skip
def test_matchers_are_read_as_people_write_them(given: object, text: str) -> None:
    assert str(Matchers.of(given)) == text  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (5, "route: the matchers 5; a dictionary of labels, a text or a list of texts"),
        (b"a=b", "the matchers b'a=b'"),
        ([5], "route: 5 in a list of matchers; write name="),
        (["a=b", "c"], "route: 'c' in the matchers 'c'; write name="),
        ("a=b c=d", "route: 'a=b c=d' in the matchers"),
        ("a=b,,c=d", "route: ',c=d' in the matchers 'a=b,,c=d'"),
        ({"a": None}, "route: the value None for a; a text"),
        ({"a": ["x"]}, r"route: the value \['x'\] for a; a text"),
        ({"a-b": "x"}, "route: the label name 'a-b'"),
        ({5: "x"}, "route: the label name 5"),
        (Matcher("a", EQUAL, "b"), "route: the matchers <Matcher a=\"b\">"),
    ],
)  # fmt: skip
def test_anything_else_is_refused_where_it_stands(given: object, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as refused:
        Matchers.of(given, where="route", field="match")  # type: ignore[arg-type]
    assert refused.value.field == "match"


def test_matchers_hold_only_matchers() -> None:
    with pytest.raises(ConfigurationError, match="'a=b' among the matchers; Matcher objects; Matchers.of reads texts"):
        Matchers(("a=b",))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "everything"),
    [
        ("", True),
        ('a=""', True),
        ('a=~".*",b!="x"', True),
        ("a=b", False),
        ('a=~".*",b=x', False),
        ('a!=""', False),
        ("a=~.+", False),
    ],
)  # fmt: skip
def test_matchers_that_the_empty_value_meets_match_everything(text: str, everything: bool) -> None:
    matchers = Matchers.of(text)
    assert matchers.matches_everything is everything
    assert all(matcher.matches_empty for matcher in matchers) is everything


def test_a_value_over_the_limit_of_labels_matches_the_label_that_was_cut_from_it() -> None:
    long = "x" * 5000
    assert Matchers.of({"a": long}).matches({"a": label_value(long)})


def test_matchers_are_small_collections_with_short_names() -> None:
    matchers = Matchers.of("a=b,c!=d")
    assert (len(matchers), [matcher.name for matcher in matchers], bool(NO_MATCHERS)) == (2, ["a", "c"], False)
    assert repr(matchers) == '<Matchers a="b",c!="d">'
    assert repr(Matcher.parse("a=~b")) == '<Matcher a=~"b">'


def test_matchers_can_be_copied_and_pickled() -> None:
    matchers = Matchers.of('a=b,c=~"d.*"')
    for twin in (copy.deepcopy(matchers), pickle.loads(pickle.dumps(matchers))):
        assert twin == matchers
        assert twin.matches({"a": "b", "c": "dd"})
