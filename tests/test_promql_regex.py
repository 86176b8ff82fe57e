"""Regular expressions of RE2: what they fit, what their groups hold, how they are refused, and that none of them runs away."""

import re
from collections.abc import Callable, Iterator
from time import thread_time

import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from kailash_monitor.promql.regex import Captures, capturing, expand, fits
from kailash_monitor.promql.regex_characters import _CASED, ANY, NOTHING, Characters, category, folded, spanning, union
from kailash_monitor.promql.regex_literals import literal_fits, plain_texts
from kailash_monitor.promql.regex_machine import Machine
from kailash_monitor.promql.regex_syntax import (
    Alternation,
    Assertion,
    Capture,
    Chars,
    Concatenation,
    Kind,
    Node,
    Repeat,
    parse,
)
from kailash_monitor.promql.regex_translation import translated

Fits = Callable[[str], bool]


def ways_to_fit(pattern: str) -> dict[str, Fits]:
    """All ways to judge values that there are for the expression."""
    expression = parse(pattern)
    ways: dict[str, Fits] = {"chosen": fits(pattern), "machine": Machine(expression, pattern).fits}
    capture = capturing(pattern)
    ways["capturing"] = lambda value: capture(value) is not None
    if (as_literals := literal_fits(expression.tree)) is not None:
        ways["literals"] = as_literals
    if (compiled := translated(expression.tree, captures=False)) is not None:
        ways["re"] = lambda value: compiled.fullmatch(value) is not None
    return ways


# what is fitted

FITTING: list[tuple[str, list[str], list[str]]] = [
    # literals
    ("", [""], ["a"]),
    ("a", ["a"], ["", "b", "aa", "A", "ba"]),
    ("foo|bar|", ["foo", "bar", ""], ["fo", "foobar", "foo|bar"]),
    (r"a\.b|c\|d", ["a.b", "c|d"], ["axb", "c", "d"]),
    ("(foo|b(a|o)r)s?", ["foo", "foos", "bar", "bors"], ["fos", "br"]),
    ("^foo$", ["foo"], ["foo\n", "xfoo"]),
    (r"\Afoo\z", ["foo"], ["foo\n"]),
    ("^a|b$", ["a", "b"], ["ab", ""]),
    (r"\Qa.b*\E+", ["a.b*", "a.b**"], ["a.b", "axb*"]),
    (r"\Qa\\Eb", ["a\\b"], ["ab"]),
    ("a{,2}", ["a{,2}"], ["aa", ""]),
    ("a{01}", ["a{01}"], ["a"]),
    ("x{2,1", ["x{2,1"], ["xx"]),
    ("]}", ["]}"], []),
    # texts with anything in between
    (".*", ["", "a", "a\nb"], []),
    (".+", ["a", "\n"], [""]),
    ("foo.*", ["foo", "foo\nx"], ["fo", "xfoo"]),
    ("foo.+", ["foox"], ["foo"]),
    (".*foo", ["foo", "xfoo"], ["foox"]),
    (".+foo", ["xfoo"], ["foo"]),
    (".*foo.*", ["foo", "xfoox"], ["fo", "fxoo"]),
    (".+foo.+", ["xfoox", "foofoofoo"], ["foo", "xfoo", "foox", "foofoo"]),
    ("a.*b.+c.*d", ["abxcd", "axbxxcxd"], ["abcd", "abxc", "ad"]),
    ("ab.*bc", ["abbc", "abxbc"], ["abc"]),
    (".*ab.*ab.*", ["abab", "xabxabx"], ["aba", "ab"]),
    ("foo.*|.*bar|x.{2,}", ["foo", "foox", "bar", "xbar", "xyz", "xfoo"], ["yfoo", "barx", "xy"]),
    ("foo.*|bar.*", ["foo1", "bar"], ["fo", "xbar"]),
    (".{3,}", ["abc", "abcd"], ["ab"]),
    (".*.+.*", ["a"], [""]),
    # counts
    ("a{2}", ["aa"], ["a", "aaa"]),
    ("a{2,}", ["aa", "aaaaa"], ["a"]),
    ("a{1,3}?b", ["ab", "aaab"], ["b", "aaaab"]),
    ("(?:ab){0,2}c", ["c", "abc", "ababc"], ["abababc"]),
    ("a{0}b", ["b"], ["ab"]),
    ("5..", ["500", "5xx", "5\n\n"], ["50", "5000", "400"]),
    (r"\d+(\.\d+){3}:\d+", ["10.0.0.1:80"], ["10.0.0:80", "10.0.0.1:"]),
    ("(a*)*", ["", "aaa"], ["b"]),
    ("(a|b*)+c", ["c", "abbac"], ["ab"]),
    ("(|a)+", ["", "aa"], ["b"]),
    ("(a?){3}", ["", "a", "aaa"], ["aaaa"]),
    ("(?:^a|b)*", ["", "abb", "bb"], ["ba"]),
    # classes
    ("[a-c]+", ["abcba"], ["", "d", "a-c"]),
    ("[^a-c]", ["d", "\n", "é"], ["a", "b", ""]),
    ("[]a]+", ["]a"], ["b"]),
    ("[^]a]", ["b"], ["]", "a"]),
    ("[a-]+", ["a-a"], ["b"]),
    ("[a-c-e]+", ["b-e"], ["d"]),
    (r"[\]\-x]+", ["]-x"], ["\\"]),
    (r"[\d_]+", ["1_2"], ["a"]),
    (r"[^\D]+", ["12"], ["a"]),
    ("[[:alpha:]]+", ["aZ"], ["1", "é"]),
    ("[[:^alpha:][:space:]a]+", ["1 a\v"], ["b"]),
    ("[[:word:]]+", ["a_1"], ["-"]),
    ("[[:punct:]]+", ["!/:@[`{~"], ["a", " ", "0"]),
    ("[[:foo]+", ["[:fo"], ["b"]),
    (r"\d", ["7"], ["\u0663", "a"]),
    (r"\D", ["\u0663", "a"], ["7"]),
    (r"\w+", ["aZ_9"], ["é", "-", "ſ"]),
    (r"\s+", [" \t\n\f\r"], ["\v", "\u00a0"]),
    (r"\S", ["\v", "\u00a0", "a"], [" "]),
    (r"\pL+", ["aéω字"], ["1", "_"]),
    (r"\p{Lu}", ["A", "Ω"], ["a", "ω"]),
    (r"\PL", ["1"], ["a"]),
    (r"\p{^L}", ["1"], ["a"]),
    (r"\P{^Lu}", ["A"], ["a"]),
    (r"[\p{Nd}x]+", ["1\u0663x"], ["y"]),
    (r"\p{Any}", ["a", "\n"], [""]),
    # escapes
    (r"\x41\x{1F600}\101\0", ["A😀A\0"], ["A"]),
    (r"\a\f\n\r\t\v", ["\a\f\n\r\t\v"], []),
    (r"\.\*\_\-", [".*_-"], ["a*_-"]),
    # flags
    ("(?i)foo", ["foo", "FOO", "fOo"], ["fo"]),
    ("(?i)k", ["k", "K", "\u212a"], ["c"]),
    ("(?i)[s-t]", ["S", "T", "ſ"], ["r"]),
    ("(?i)[^s]", ["t"], ["s", "S", "ſ"]),
    (r"(?i)\w", ["ſ", "\u212a"], ["é"]),
    (r"(?i)\W", ["é"], ["ſ"]),
    ("(?i)É", ["é", "É"], ["e"]),
    ("(?i)σ", ["Σ", "ς"], ["s"]),
    ("(?i)ß", ["ß", "ẞ"], ["ss"]),
    ("(?i)ı", ["ı"], ["i", "I"]),
    (r"(?i)\p{Lu}", ["a", "A"], ["1"]),
    ("a(?i)b|c", ["ab", "aB", "C"], ["Ab"]),
    ("(?i:a)b", ["Ab"], ["AB"]),
    ("((?i)a)b", ["Ab"], ["AB"]),
    ("(?i)a(?-i)b", ["Ab"], ["AB"]),
    ("(?-s).", ["a"], ["\n"]),
    ("(?-s:.).", ["a\n"], ["\na"]),
    ("(?s-i:.)(?)", ["\n"], []),
    ("(?m)a$\n^b", ["a\nb"], ["ab"]),
    ("a$\n^b", [], ["a\nb"]),
    (r"(?m)a\z\n\Ab", [], ["a\nb"]),
    ("(?U)a+b", ["aab"], ["b"]),
    # places
    (r".*\bfoo\b.*", ["foo", "a foo b", "éfooé", "-foo-"], ["foot", "afoo"]),
    (r".*\Boo", ["foo"], ["oo", "-oo"]),
    (r"\B", [""], ["a"]),
    (r"\b", [], ["", "a"]),
    ("$a|b", ["b"], ["a"]),
    ("^*a", ["a"], []),
    # bytes that are no UTF-8 count as U+FFFD
    (".", ["\udcff", "\ufffd"], ["\udcff\udcff"]),
    ("[^a]", ["\udcff"], []),
    ("[a-z]|é|.x", ["\udcffx"], ["\udcff"]),
    (r"\x{fffd}|a+b", ["\udc80", "\udcff", "\ufffd"], ["\ufffe"]),
    (r"[^\x{fffd}]", ["a"], ["\udc80", "\ufffd"]),
    (r"\x{d800}", [], ["\ud800", "\udcff"]),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "fitting", "others"), FITTING, ids=[repr(pattern) for pattern, _, _ in FITTING])
def test_what_an_expression_fits(pattern: str, fitting: list[str], others: list[str]) -> None:
    """Each way to judge says so."""
    for name, judge in ways_to_fit(pattern).items():
        assert [judge(value) for value in fitting + others] == [True] * len(fitting) + [False] * len(others), name


@pytest.mark.parametrize(
    "pattern", ["a|b", "(foo|bar)s?", "^a$", ".*", "a.*", ".*a", ".*a.*b.+", "foo.*|.*bar", r"a\.b.*", "(?i)ab"]
)
def test_literals_need_no_machine(pattern: str) -> None:
    assert plain_texts(pattern) or literal_fits(parse(pattern).tree)


@pytest.mark.parametrize(
    "pattern",
    ["5..", "[0-9]+", "prod-(eu|us)-[0-9]+.*", "[^:]+:9100", "(foo|far)-.*", ".*-[a-z]{3}", "(.*):.*", "(.*)-([0-9]+)", r"(.*)-(\d+).*",
     "(?:a*b)*c", "foo.*[0-9]|.*[a-c]x", "([^:]+):(.*)"],
)  # fmt: skip
def test_python_is_trusted_with_what_cannot_run_away(pattern: str) -> None:
    assert translated(parse(pattern).tree, captures=True)


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+b", "(a|aa)+", "(.*)*x", ".*a.*[bc]", "a*a*b", "(?:.*a|b)c", "(a*)*", "(a|b)*", ".*a[a-z]*c", 12 * "[ab]?" + "c"],
)  # fmt: skip
def test_python_is_not_trusted_with_what_could(pattern: str) -> None:
    assert translated(parse(pattern).tree, captures=True) is None


def test_what_an_expression_is_compiled_to_is_kept() -> None:
    assert fits("a+b?") is fits("a+b?")
    assert capturing("a+b?") is capturing("a+b?")


# groups


@pytest.mark.parametrize(
    ("pattern", "value", "expected"),
    [
        ("(.*)", "abc", ["abc"]),
        ("(.*):(.*)", "a:b:c", ["a:b", "c"]),
        ("(.*?):(.*)", "a:b:c", ["a", "b:c"]),
        ("(?U)(.*):(.*)", "a:b:c", ["a", "b:c"]),
        ("(?U)(.*?):(.*)", "a:b:c", ["a:b", "c"]),
        ("(.*)-(.*)-(.*)", "a-b-c-d", ["a-b", "c", "d"]),
        ("([^:]+):.*", "host:9100", ["host"]),
        (r"(.*)-(\d+).*", "a-1-23x", ["a-1", "23"]),
        ("(a|ab)(c|bcd)(d*)", "abcd", ["a", "bcd", ""]),
        ("(a+)(a*)", "aaa", ["aaa", ""]),
        ("(a+?)(a*)", "aaa", ["a", "aa"]),
        ("(a{1,2})(a{1,2})", "aaa", ["aa", "a"]),
        ("(a{1,2}?)(a{1,2})", "aaa", ["a", "aa"]),
        ("(a)|(b)", "b", [None, "b"]),
        ("(?:(a)|b)*", "ab", ["a"]),
        ("(?:(a)|(b))*", "aba", ["a", "b"]),
        ("(a|b)*", "ab", ["b"]),
        ("((a)|b)+", "ab", ["b", "a"]),
        ("(a*)*", "", [""]),
        ("(a*)+", "aa", ["aa"]),
        ("(a*)*", "aa", ["aa"]),
        ("(|a)*", "aa", ["a"]),
        ("(|a)+", "aa", ["a"]),
        ("(a|b*){2}", "ab", ["b"]),
        ("(a){0}b", "b", [None]),
        ("(a?)b?", "b", [""]),
        ("(a)?b", "b", [None]),
        (r"(\b\w+\b).*", "foo bar", ["foo"]),
        ("(?i)(Ä)(.)", "ä\udcff", ["ä", "\udcff"]),
        ("a", "b", None),
        ("(a)*b*c|(x)+", "aabb", None),
        (r".*\d(\d*)|\b.*", "a1b23", [""]),
    ],
)
def test_what_groups_hold_is_what_perl_finds_first(pattern: str, value: str, expected: list[str | None] | None) -> None:
    captures = capturing(pattern)(value)
    assert (captures and captures.texts) == (None if expected is None else (value, *expected))
    spans = Machine(parse(pattern), pattern).spans(value)
    assert (spans and [span and value[slice(*span)] for span in spans]) == (None if expected is None else [value, *expected])


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("", ""), ("x", "x"), ("$1", "left"), ("${1}", "left"), ("$1-$2", "left-right"), ("$0", "left:right"), ("$1x", ""), ("${1}x", "leftx"),
        ("$1_", ""), ("$10", ""), ("$3", ""), ("$01", ""), ("$name", "right"), ("${name}s", "rights"), ("$names", ""), ("$$1", "$1"),
        ("$$$1", "$left"), ("$", "$"), ("a$", "a$"), ("$-$1", "$-left"), ("${1", "${1"), ("${}", "${}"), ("${1-}", "${1-}"), ("$$", "$"),
        ("$é$1", "left"), ("$1é", ""), ("$1²", "left²"), ("$4", ""), ("$99999999999999999999", ""), ("\n$1\n", "\nleft\n"),
    ],
)  # fmt: skip
def test_a_template_is_expanded_as_go_does(template: str, expected: str) -> None:
    captures = capturing("(.*):(?P<name>.*)|(x)")("left:right")
    assert captures is not None
    assert expand(template, captures) == expected


def test_the_first_group_of_a_name_that_had_part_is_the_one() -> None:
    captures = capturing("(?P<n>a)|(?<n>b)")("b")
    assert captures == Captures(("b", None, "b"), ("", "n", "n"))
    assert expand("$n", captures) == "b"


# what is refused


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(a", "missing closing ): `(a`"),
        ("a)", "unexpected ): `a)`"),
        ("a)|(b", "unexpected ): `a)|(b`"),
        ("[a", "missing closing ]: `[a`"),
        ("x[]", "missing closing ]: `[]`"),
        (r"[a\]", r"missing closing ]: `[a\]`"),
        ("[z-a]", "invalid character class range: `z-a`"),
        ("[[:foo:]]", "invalid character class range: `[:foo:]`"),
        ("*", "missing argument to repetition operator: `*`"),
        ("a|*?", "missing argument to repetition operator: `*?`"),
        ("(+)", "missing argument to repetition operator: `+`"),
        (r"\Q\E*", "missing argument to repetition operator: `*`"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("a+*?b", "invalid nested repetition operator: `+*?`"),
        ("a{1}{2}", "invalid nested repetition operator: `{1}{2}`"),
        ("a{1001}", "invalid repeat count: `{1001}`"),
        ("a{2,1}", "invalid repeat count: `{2,1}`"),
        ("a{9999999999,}", "invalid repeat count: `{9999999999,}`"),
        ("(?:a{4}){0,251}?", "invalid repeat count: `{0,251}?`"),
        ("(((x{100}){5}){2}){2}", "invalid repeat count: `{2}`"),
        ("a\\", "trailing backslash at end of expression: ``"),
        (r"\1", r"invalid escape sequence: `\1`"),
        (r"(a)\8", r"invalid escape sequence: `\8`"),
        (r"\y", r"invalid escape sequence: `\y`"),
        (r"\é", r"invalid escape sequence: `\é`"),
        (r"\C", r"invalid escape sequence: `\C`"),
        (r"\Z", r"invalid escape sequence: `\Z`"),
        (r"[\b]", r"invalid escape sequence: `\b`"),
        (r"\x", r"invalid escape sequence: `\x`"),
        (r"\xg0", r"invalid escape sequence: `\xg0`"),
        (r"\x{zz}", r"invalid escape sequence: `\x{z`"),
        (r"\x{}", r"invalid escape sequence: `\x{}`"),
        (r"\x{12", r"invalid escape sequence: `\x{12`"),
        ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
        ("(?!a)", "invalid or unsupported Perl syntax: `(?!`"),
        ("(?>a)", "invalid or unsupported Perl syntax: `(?>`"),
        ("(?P=a)", "invalid or unsupported Perl syntax: `(?P`"),
        ("(?i-)", "invalid or unsupported Perl syntax: `(?i-)`"),
        ("(?i--s:a)", "invalid or unsupported Perl syntax: `(?i--`"),
        ("(?x)", "invalid or unsupported Perl syntax: `(?x`"),
        ("(?", "invalid or unsupported Perl syntax: `(?`"),
        ("(?<=a)b", "invalid named capture: `(?<=a)b`"),
        ("(?P<a", "invalid named capture: `(?P<a`"),
        ("(?P<>a)", "invalid named capture: `(?P<>`"),
        ("(?<x y>a)", "invalid named capture: `(?<x y>`"),
        (r"\p{Foo}", r"invalid character class range: `\p{Foo}` (general categories are known, scripts are not)"),
        (r"\pX", r"invalid character class range: `\pX` (general categories are known, scripts are not)"),
        (r"\p{L", r"invalid character class range: `\p{L`"),
        ("(a\udcff)", "invalid UTF-8: `\ufffd)`"),
        (101 * "(" + 101 * ")", f"expression nests too deeply: `{101 * '(' + 101 * ')'}`"),
        ("a" + 101 * "*(?i)", f"expression nests too deeply: `{'a' + 101 * '*(?i)'}`"),
        (f"(?:{20 * '(?:xx?)*'}){{500}}", f"expression too large: `(?:{20 * '(?:xx?)*'}){{500}}`"),
    ],
)  # fmt: skip
def test_what_is_refused_is_so_in_the_words_of_go(pattern: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"error parsing regexp: {message}") + r"\Z"):
        fits(pattern)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(a", "missing closing ): `^(?s:(a)$`"), ("*", "missing argument to repetition operator: `*`"), ("a)", "unexpected ): `^(?s:a))$`"),
        ("a)|(b", "unexpected ): `a)|(b`"), ("[a", "missing closing ]: `[a)$`"), ("a\\", r"missing closing ): `^(?s:a\)$`"),
        (f"(?:{20 * '(?:xx?)*'}){{500}}", f"expression too large: `^(?s:(?:{20 * '(?:xx?)*'}){{500}})$`"),
    ],
)  # fmt: skip
def test_where_groups_are_asked_for_the_error_shows_what_prometheus_compiles(pattern: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"error parsing regexp: {message}") + r"\Z"):
        capturing(pattern)


def test_nesting_is_read_to_the_limit() -> None:
    deep = 24 * "(?:a|(b" + 24 * "))*"
    for judge in ways_to_fit(deep).values():
        assert judge(24 * "b")


# sets of characters


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 10)), max_size=4), st.lists(st.integers(0, 60), max_size=3))
def test_sets_of_characters_are_sets(stretches: list[tuple[int, int]], codes: list[int]) -> None:
    own = union(spanning(first, first + more) for first, more in stretches)
    plain = {code for first, more in stretches for code in range(first, first + more + 1)}
    other = union(map(spanning, codes))
    assert {code for code in range(100) if code in own} == plain
    assert {code for code in range(100) if code in own.complement} == set(range(100)) - plain
    assert own.complement.complement == own
    assert own.count == len(plain)
    assert own.isdisjoint(other) == plain.isdisjoint(codes)
    assert {code for code in range(100) if code in union([own, other])} == plain | set(codes)


def test_all_and_nothing_are_each_others_complement() -> None:
    assert ANY.complement == NOTHING
    assert NOTHING.complement == ANY


def test_categories_are_those_of_unicode() -> None:
    control, letters = category("Cc"), category("L")
    assert control == Characters((0, 0x20, 0x7F, 0xA0))
    assert letters is not None
    assert all((chr(code) in "abc") == (code in letters) for code in map(ord, "abc123 -_"))
    private = category("Co")
    assert private is not None
    assert all(code in private for code in (0xE000, 0xF8FF, 0xF0000, 0xFFFFD, 0x100000, 0x10FFFD))
    assert 0xFFFFE not in private
    assert category("Cn") is category("") is category("Greek") is None


def test_letters_that_come_in_cases_stand_where_they_are_looked_for() -> None:
    place = 0
    for first, after in (*_CASED, (0x110000, 0x110000)):
        between = "".join(chr(code) for code in range(place, first) if not 0xD800 <= code < 0xE000)
        assert between == between.lower() == between.upper()
        place = after


@pytest.mark.parametrize(
    "letters", ["aA", "kK\u212a", "sSſ", "σςΣ", "ßẞ", "åÅ\u212b", "µμΜ", "ǆǅǄ", "ꭰᎠ", "𐐨𐐀", "ı", "İ", "ᾳᾼ"]
)
def test_folding_adds_the_other_cases(letters: str) -> None:
    for letter in letters:
        assert folded(spanning(ord(letter))) == union(spanning(ord(each)) for each in letters)


# none of them runs away


@pytest.mark.parametrize(
    ("pattern", "value"),
    [
        ("(a+)+b", "a" * 1000), ("(a|aa)+$", "a" * 1000), ("(.*)*x", "a" * 1000), ("(a|a)*b", "a" * 1000), ("(a*)*b", "a" * 1000),
        ("(.*)-(.*)-(.*)-(.*)x", "-" * 1000), ("(x+x+)+y", "x" * 1000), (".*.*.*.*=[0-9]", "a" * 1000), ("([a-z]+)*[0-9]", "a" * 1000),
        ("(a?){20}a{20}", "a" * 20), ("(.*a){12}[xy]", "a" * 1000), ("(.*)([0-9]+)([0-9]+)z", "0" * 1000), (r"(\w+\s?)*!", "word " * 200),
        ("[a-z]*[a-z]{3}x", "a" * 1000), (".*-[a-z]*[0-9]", "-a" * 500), ("(.*?),(.*?),(.*?);", "," * 1000), ("(?i)(ab|AB|aB)*c", "aB" * 500),
        ("a.*|b.*c.*d[0-9]", "b" + "c" * 998), ("x*" * 60, "x" * 999 + "y"), ("(?:a|b)*a(?:a|b){10}[cd]", "ab" * 500),
        (".*[a-c].{14}[x-z]{2}", "abc" * 333), ("(.*)[:].*[:].*x", ":" * 1000),
    ],
)  # fmt: skip
def test_no_expression_takes_long_on_a_long_value(pattern: str, value: str) -> None:
    start = thread_time()
    fits.__wrapped__(pattern)(value)
    capturing.__wrapped__(pattern)(value)
    assert thread_time() - start < 0.5  # 50 ms each on a calm machine; with backtracking it would be years


def test_a_machine_forgets_before_it_remembers_too_much() -> None:
    """An expression whose reading backwards has thousands of states."""
    pattern = "[ab]*?b[ab]{11}(?:[ab]*b)*"
    machine = Machine(parse(pattern), pattern)
    judge = re.compile("[ab]*b[ab]{11}(?:[ab]*b)?").fullmatch
    number = 1
    for _ in range(300):
        number = number * 6364136223846793005 % 2**64 + 1442695040888963407
        value = f"{number:b}".translate({48: "a", 49: "b"})
        assert machine.fits(value) == (judge(value) is not None)
        assert (machine.spans(value) is not None) == (judge(value) is not None)
        assert len(machine._known) < 5000


# laws


def _chained(parts: list[str]) -> str:
    return "".join(parts)


ATOMS = st.sampled_from(
    ["a", "b", "c", ".", "[ab]", "[^a]", "x", "^", "$", r"\b", r"\B", "(?i:A)", "(?-s:.)", "(?m:^)", "(?m:$)", "\n"]
)
SIGNS = st.sampled_from(["*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{0,2}?", "{2,}", "{0}"])
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(_chained),
        st.lists(inner, min_size=1, max_size=3).map(lambda branches: f"(?:{'|'.join(branches)})"),
        st.lists(inner, min_size=1, max_size=3).map(lambda branches: f"({'|'.join(branches)})"),
        st.tuples(inner, SIGNS).map(lambda both: f"(?:{both[0]}){both[1]}"),
    ),
    max_leaves=8,
)
VALUES = st.text(alphabet="abcxA\n\udcff", max_size=7)


def ends(node: Node, value: str, start: int) -> set[int]:
    """Where a part that begins at `start` may end: the meaning of expressions, in sets."""
    match node:
        case Chars():
            return {start + 1} if start < len(value) and ord(value[start]) in node.characters else set()
        case Assertion():
            return {start} if _holds(node.kind, value, start) else set()
        case Capture():
            return ends(node.inner, value, start)
        case Alternation():
            return {end for branch in node.branches for end in ends(branch, value, start)}
        case Concatenation():
            places = {start}
            for part in node.parts:
                places = {end for place in places for end in ends(part, value, place)}
            return places
        case Repeat():
            most = node.least + len(value) + 1 if node.most is None else node.most
            reached = [{start}]
            for _ in range(most):
                reached.append({end for place in reached[-1] for end in ends(node.inner, value, place)})
            return {end for places in reached[node.least :] for end in places}


def _holds(kind: Kind, value: str, place: int) -> bool:
    def is_word(at: int) -> bool:
        return 0 <= at < len(value) and bool(re.match("[0-9A-Za-z_]", value[at]))

    return {
        Kind.BEGIN_TEXT: place == 0,
        Kind.END_TEXT: place == len(value),
        Kind.BEGIN_LINE: place == 0 or value[place - 1 : place] == "\n",
        Kind.END_LINE: place == len(value) or value[place : place + 1] == "\n",
        Kind.WORD_BOUNDARY: is_word(place - 1) != is_word(place),
        Kind.NO_WORD_BOUNDARY: is_word(place - 1) == is_word(place),
    }[kind]


@settings(max_examples=examples(400), deadline=None)
@given(PATTERNS, st.lists(VALUES, min_size=1, max_size=4))
def test_all_ways_to_judge_agree_with_the_meaning(pattern: str, values: list[str]) -> None:
    tree = parse(pattern).tree
    ways = ways_to_fit(pattern)
    for value in values:
        expected = len(value) in ends(tree, value, 0)
        assert {name: judge(value) for name, judge in ways.items()} == dict.fromkeys(ways, expected)


def _parts(node: Node) -> Iterator[Node]:
    """The node and all that are in it."""
    yield node
    match node:
        case Capture() | Repeat():
            yield from _parts(node.inner)
        case Concatenation():
            yield from (each for part in node.parts for each in _parts(part))
        case Alternation():
            yield from (each for branch in node.branches for each in _parts(branch))
        case _:
            pass


@settings(max_examples=examples(400), deadline=None)
@given(PATTERNS, st.lists(VALUES, min_size=1, max_size=4))
def test_groups_are_those_of_python_where_it_means_the_same(pattern: str, values: list[str]) -> None:
    """That is where nothing that can be empty is repeated, and no group is in a repetition."""
    tree = parse(pattern).tree
    repeats = [part for part in _parts(tree) if isinstance(part, Repeat)]
    if any(part.inner.nullable or any(isinstance(each, Capture) for each in _parts(part)) for part in repeats):
        return
    machine, capture = Machine(parse(pattern), pattern), capturing(pattern)
    python = re.compile(
        pattern.replace(r"\B", r"(?!\b)").replace("$", r"\Z").replace("(?m:\\Z)", "(?m:$)"), re.DOTALL | re.ASCII
    )
    for value in values:
        match, spans, captures = python.fullmatch(value), machine.spans(value), capture(value)
        assert (match and [None if first < 0 else (first, last) for first, last in match.regs]) == spans
        assert (match and (value, *match.groups())) == (captures and captures.texts)


@settings(max_examples=examples(200), deadline=None)
@given(
    st.lists(
        st.sampled_from(["a", "b", "ab", ".*", ".+", ".{2,}", "(?:a|b)", "(ab)", "$", "^", "|", "a?", "(?i:a)"]), max_size=7
    ),
    VALUES,
)
def test_texts_with_gaps_fit_what_a_machine_fits(parts: list[str], value: str) -> None:
    pattern = "".join(parts)
    machine = Machine(parse(pattern), pattern)
    assert fits(pattern)(value) == machine.fits(value)


@settings(max_examples=examples(300), deadline=None)
@given(st.text(alphabet="ab(|)[]^$*+?{},12\\.-:QEdpLPxisU<>\udcff", max_size=14))
def test_whatever_is_no_expression_is_refused_with_a_sentence(pattern: str) -> None:
    try:
        judge = fits(pattern)
    except ValueError as error:
        assert str(error).startswith("error parsing regexp: ")
    else:
        assert judge("ab") in (True, False)
