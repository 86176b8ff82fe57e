"""Tokens of PromQL: what a text is cut into, numbers and strings as Go reads them, and what is refused."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kailash_monitor.promql.durations import duration_text, parse_duration
from kailash_monitor.promql.lexer import DURATION, END, ERROR, NAME, NUMBER, RULE_NAME, STRING, Token, tokens
from kailash_monitor.promql.numbers import number_text, parse_number
from kailash_monitor.promql.quoting import quoted, unquoted


def cut(text: str) -> list[tuple[str, str]]:
    """The kinds and texts of the tokens, without the end."""
    found = list(tokens(text))
    assert found[-1].kind in (END, ERROR)
    return [(token.kind, token.text) for token in found if token.kind != END]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("up", [(NAME, "up")]),
        ("job:up:sum", [(RULE_NAME, "job:up:sum")]),
        (":", [(RULE_NAME, ":")]),
        ("1 1. .5 1.5e-3 0x1F 0755 1_000 1e1_0", [(NUMBER, n) for n in ("1", "1.", ".5", "1.5e-3", "0x1F", "0755", "1_000", "1e1_0")]),
        ("inf NaN Inf", [(NUMBER, "inf"), (NUMBER, "NaN"), (NUMBER, "Inf")]),
        ("5m 1h30m 100ms 1y2w3d", [(DURATION, d) for d in ("5m", "1h30m", "100ms", "1y2w3d")]),
        ("1.5h 5x", [(DURATION, "1.5h"), (ERROR, 'bad number or duration syntax: "5"')]),
        ("'a' \"b\" `c\\n`", [(STRING, "'a'"), (STRING, '"b"'), (STRING, "`c\\n`")]),
        ("`two\nlines`", [(STRING, "`two\nlines`")]),
        (r'"a\"b" "\\"', [(STRING, r'"a\"b"'), (STRING, r'"\\"')]),
        ("a # b\n+ # c\r c", [(NAME, "a"), ("+", "+"), (NAME, "c")]),
        ("== != <= >= < > =", [(sign, sign) for sign in ("==", "!=", "<=", ">=", "<", ">", "=")]),
        ("a{b=~'x',c!~'y'}", [(NAME, "a"), ("{", "{"), (NAME, "b"), ("=~", "=~"), (STRING, "'x'"), (",", ","), (NAME, "c"), ("!~", "!~"), (STRING, "'y'"), ("}", "}")]),
    ],
)  # fmt: skip
def test_a_text_is_cut_into_tokens(text: str, expected: list[tuple[str, str]]) -> None:
    assert cut(text) == expected


def test_keywords_are_read_in_any_case_and_keep_their_text() -> None:
    assert cut("SUM By oR Offset") == [("sum", "SUM"), ("by", "By"), ("or", "oR"), ("offset", "Offset")]


def test_keywords_in_braces_are_names() -> None:
    assert cut("{by='x'}")[1] == (NAME, "by")


@pytest.mark.parametrize(
    ("text", "kind"), [("fill", NAME), ("fill + 1", NAME), ("fill(0)", "fill"), ("fill_left # x\n (0)", "fill_left")]
)
def test_fill_is_a_keyword_only_before_a_parenthesis(text: str, kind: str) -> None:
    assert cut(text)[0][0] == kind


def test_brackets_hold_durations_and_the_few_words_they_know() -> None:
    assert [kind for kind, _ in cut("a[1 + step() :min_of(5m,Range())]")] == [
        NAME, "[", NUMBER, "+", "step", "(", ")", ":", "min_of", "(", DURATION, ",", "range", "(", ")", ")", "]",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message", "start"),
    [
        ("a $ b", "unexpected character: '$'", 2),
        (".", "unexpected character: '.'", 0),
        ("a =~ b", "unexpected character after '=': '~'", 2),
        ("a ! b", "unexpected character after '!': ' '", 2),
        ("(1))", "unexpected right parenthesis ')'", 4),
        ("((1)", "unclosed left parenthesis", 4),
        ("a]", "unexpected right bracket ']'", 1),
        ("a[5m", "unclosed left bracket", 4),
        ("(a[5m", "unclosed left parenthesis", 5),
        ("a[5m +", "unexpected end of input in duration expression", 6),
        ("a[x]", "unexpected character in duration expression: 'x'", 2),
        ("{", "unexpected end of input inside braces", 1),
        ("{{", "unexpected left brace '{'", 1),
        ("{a!b}", "unexpected character after '!' inside braces: 'b'", 2),
        ("{a>1}", "unexpected character inside braces: '>'", 2),
        ('"a', "unterminated quoted string", 0),
        ("'a\n'", "unterminated quoted string", 0),
        ("`a", "unterminated raw string", 0),
        ("'\ud800'", "invalid UTF-8 rune", 0),
        ("2.5.", 'bad number or duration syntax: "2.5."', 0),
        ("0deadbeef", 'bad number or duration syntax: "0de"', 0),
        ("1__0", 'bad number or duration syntax: "1__0"', 0),
    ],
)
def test_what_is_no_token_is_an_error_at_its_place_and_the_last_token(text: str, message: str, start: int) -> None:
    *_, last = tokens(text)
    assert (last.kind, last.text, last.start) == (ERROR, message, start)


@given(st.text())
def test_any_text_has_tokens_in_order_up_to_one_end(text: str) -> None:
    found = list(tokens(text))
    assert [token.kind for token in found if token.kind in (END, ERROR)] == [found[-1].kind]
    for token in found[:-1]:
        assert text[token.start : token.end] == token.text != ""
    assert all(one.end <= other.start for one, other in pairwise(found))


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (Token(NAME, "up", 0, 2), 'identifier "up"'),
        (Token(RULE_NAME, "a:b", 0, 3), 'metric identifier "a:b"'),
        (Token(STRING, '"x"', 0, 3), r'string "\"x\""'),
        (Token(STRING, "'0123456789'", 0, 12), 'string "\'012345678"...'),
        (Token("and", "AND", 0, 3), "<op:AND>"),
        (Token("sum", "sum", 0, 3), "<aggr:sum>"),
        (Token("by", "by", 0, 2), "<by>"),
        (Token("start", "start", 0, 5), '"start"'),
        (Token("(", "(", 0, 1), '"("'),
        (Token(END, "", 0, 0), "end of input"),
    ],
)
def test_a_token_is_named_as_prometheus_names_it(token: Token, expected: str) -> None:
    assert token.described() == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0), ("1.5", 1.5), (".5", 0.5), ("5.", 5), ("1e3", 1000), ("0x1f", 31), ("0X_Ff", 255), ("0755", 493), ("089", 89),
        ("1_000", 1000), ("1_000.5", 1000.5), ("Inf", math.inf), ("1e-400", 0),
    ],
)  # fmt: skip
def test_numbers_are_read_as_go_reads_them(text: str, value: float) -> None:
    assert parse_number(text) == value


def test_nan_is_a_number() -> None:
    assert math.isnan(parse_number("nAn"))


@pytest.mark.parametrize("text", ["1e400", "9" * 310, "0x" + "f" * 300, "0" + "7" * 400])
def test_a_number_past_all_floats_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"error parsing number: strconv.ParseFloat: .* value out of range"):
        parse_number(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, "1"), (0.1, "0.1"), (1e-7, "0.0000001"), (1e21, "1" + "0" * 21), (-0.0, "-0"), (math.inf, "+Inf"), (-math.inf, "-Inf"), (math.nan, "NaN")],
)  # fmt: skip
def test_numbers_are_written_without_exponents(value: float, text: str) -> None:
    assert number_text(value) == text


@given(st.floats(min_value=0, allow_nan=False, allow_infinity=False))
def test_a_number_is_read_back_as_it_was(value: float) -> None:
    assert parse_number(number_text(value)) == value


@pytest.mark.parametrize(
    ("text", "seconds"), [("5m", 300), ("1h30m", 5400), ("100ms", 0.1), ("1y", 31_536_000), ("1w2d", 777_600), ("0s", 0)]
)
def test_durations_are_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1.5h", 'not a valid duration string: "1.5h"'),
        ("1m1h", 'not a valid duration string: "1m1h"'),
        ("1m1m", 'not a valid duration string: "1m1m"'),
        ("5hs", 'unknown unit "hs" in duration "5hs"'),
        ("300y", "duration out of range"),
        ("9" * 30 + "s", "duration out of range"),
        ("", 'not a valid duration string: ""'),
    ],
)
def test_a_wrong_duration_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # compared below
        parse_duration(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (300, "5m"), (90 * 86400, "90d"), (14 * 86400, "2w"), (365 * 86400, "1y"), (-5400.25, "-1h30m250ms"), (0.0001, None), (1e12, None), (math.nan, None)],
)  # fmt: skip
def test_seconds_are_written_as_a_duration_where_that_is_exact(seconds: float, text: str | None) -> None:
    assert duration_text(seconds) == text


@given(st.integers(min_value=0, max_value=9 * 10**12))
def test_a_duration_is_read_back_as_it_was(milliseconds: int) -> None:
    text = duration_text(milliseconds / 1000)
    assert text is not None
    assert parse_duration(text) == milliseconds / 1000


@pytest.mark.parametrize(
    ("literal", "text"),
    [
        ('"a"', "a"), ("'a\"'", 'a"'), (r"'\''", "'"), (r'"\""', '"'), (r"`\n`", r"\n"), (r'"\a\b\f\n\r\t\v\\"', "\a\b\f\n\r\t\v\\"),
        (r'"\101\x41\u0041\U00000041"', "AAAA"), (r'"\xc3\xa9"', "é"), (r'"\xff"', "\udcff"), ('"𝄞"', "𝄞"), ('""', ""),
    ],
)  # fmt: skip
def test_strings_are_read_as_go_reads_them(literal: str, text: str) -> None:
    assert unquoted(literal) == text


@pytest.mark.parametrize(
    ("literal", "message"),
    [
        (r'"\q"', "unknown escape sequence U+0071 'q'"),
        (r'"' + r"\'" + '"', "unknown escape sequence U+0027 '''"),
        (r'"\xg0"', "illegal character U+0067 'g' in escape sequence"),
        (r'"\08"', "illegal character U+0038 '8' in escape sequence"),
        (r'"\x1"', "illegal character U+0022 '\"' in escape sequence"),
        (r'"\400"', "escape sequence is an invalid Unicode code point"),
        (r'"\ud800"', "escape sequence is an invalid Unicode code point"),
        (r'"\U00110000"', "escape sequence is an invalid Unicode code point"),
    ],
)
def test_a_wrong_escape_says_what_is_wrong(literal: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # compared below
        unquoted(literal)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "literal"),
    [("é a", '"é a"'), ('"\\\n', r'"\"\\\n"'), ("a\udcc5z", r'"a\xc5z"'), ("\0\x7f", r'"\x00\x7f"'), ("\u2028\U000e0001", r'"\u2028\U000e0001"')],
)  # fmt: skip
def test_texts_are_quoted_as_go_quotes_them(text: str, literal: str) -> None:
    assert quoted(text) == literal


@given(st.binary() | st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_a_quoted_text_is_read_back_as_it_was(given_text: bytes | str) -> None:
    text = given_text if isinstance(given_text, str) else given_text.decode("utf-8", "surrogateescape")
    assert unquoted(quoted(text)) == text
