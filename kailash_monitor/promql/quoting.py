"""Quoted texts: PromQL's string literals, which are Go's.

A literal can hold bytes that are no UTF-8 (`"\\xff"`). Such a byte is kept as a lone surrogate, as `surrogateescape` has it.
"""

from typing import Final

__all__ = ["quoted", "unquoted"]

_NAMED: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}
_DIGITS: Final = {"x": (2, 16), "u": (4, 16), "U": (8, 16), **dict.fromkeys("01234567", (3, 8))}


def unquoted(literal: str) -> str:
    """Give the text that `literal`, with its quotes, stands for. A ValueError says which escape is wrong."""
    quote, body = literal[0], literal[1:-1]
    if quote == "`" or "\\" not in body:
        return body
    parts: list[str] = []
    place = 0
    while (slash := body.find("\\", place)) >= 0:
        text, end = _escape(body, slash + 1, quote)
        parts += (body[place:slash], text)
        place = end
    parts.append(body[place:])
    return "".join(parts).encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


def _escape(body: str, place: int, quote: str) -> tuple[str, int]:
    """What the escape whose backslash stands before `place` means, and where it ends."""
    letter = body[place : place + 1]
    if letter == quote:
        return quote, place + 1
    if letter in _NAMED:
        return _NAMED[letter], place + 1
    if letter not in _DIGITS:
        raise ValueError(f"unknown escape sequence {_rune(letter)}" if letter else "escape sequence not terminated")
    count, base = _DIGITS[letter]
    first = place if base == 8 else place + 1
    digits = body[first : first + count]
    for digit in digits:
        if digit not in "0123456789abcdefABCDEF" or int(digit, 16) >= base:
            raise ValueError(f"illegal character {_rune(digit)} in escape sequence")
    if len(digits) < count:
        raise ValueError(f"illegal character {_rune(quote)} in escape sequence")
    return _character(int(digits, base), is_byte=letter not in "uU"), first + count


def _character(code: int, *, is_byte: bool) -> str:
    if code > (0xFF if is_byte else 0x10FFFF) or 0xD800 <= code < 0xE000:
        raise ValueError("escape sequence is an invalid Unicode code point")
    return chr(code + 0xDC00) if is_byte and code >= 0x80 else chr(code)


def _rune(character: str) -> str:
    return f"U+{ord(character):04X} '{character}'"


_SHORT: Final = {'"': '\\"'} | {text: f"\\{letter}" for letter, text in _NAMED.items()}


def quoted(text: str) -> str:
    """Give `text` as a literal in double quotes, which `unquoted` reads; what cannot be printed is escaped."""
    if text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return f'"{"".join(map(_printable, text))}"'


def _printable(character: str) -> str:
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    if character.isprintable():
        return character
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if 0xD800 <= code < 0xE000:
        return "\ufffd"  # half a character, which no text of Prometheus can hold
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
