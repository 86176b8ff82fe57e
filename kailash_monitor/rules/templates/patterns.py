"""Regular expressions in templates: where one matches in a text, and what the text is with every match replaced."""

from typing import Final

from kailash_monitor.promql.quoting import quoted
from kailash_monitor.promql.regex import Captures, capturing, expand, fits
from kailash_monitor.rules.templates.formatting import Output
from kailash_monitor.rules.templates.signatures import CallFailed

__all__ = ["matches", "replaced"]

_MOST_READ: Final = 300_000
"""Characters that are read to replace all matches: for each, the rest of the text is read once."""


def matches(pattern: str, text: str) -> bool:
    """Whether a regular expression matches anywhere in a text. A CallFailed says what is wrong with it."""
    try:
        fits(pattern)
        return fits(f".*(?-s:{pattern}).*")(text)
    except ValueError as error:
        raise CallFailed(str(error)) from None


def replaced(pattern: str, replacement: str, text: str) -> str:
    """Give `text` with every match replaced, where `$1` or `${name}` stands for a group (Go's ReplaceAllString)."""
    try:
        fits(pattern)
        return _replaced(pattern, replacement, text)
    except ValueError as error:
        shown = f"`{pattern}`" if "`" not in pattern and pattern.isprintable() else quoted(pattern)
        raise CallFailed(f"regexp: Compile({shown}): {error}") from None


def _replaced(pattern: str, replacement: str, text: str) -> str:
    first, further = capturing(f"(.*?)((?-s:{pattern}))(.*)"), capturing(f".(.*?)((?-s:{pattern}))(.*)")
    out = Output()
    place = done = read = 0
    while place <= len(text):
        # The character before the place is read along: it tells whether a line or a word begins there.
        found = further(text[place - 1 :]) if place else first(text)
        read += len(text) - place
        if read > _MOST_READ:
            raise CallFailed(f"more than {_MOST_READ} characters to read")
        if found is None:
            break
        start = place + len(found.texts[1] or "")
        end = start + len(found.texts[2] or "")
        out.add(text[done:start])
        if end > done or start == 0:  # an empty match right after another is none
            out.add(expand(replacement, Captures(found.texts[2:-1], found.names[2:-1])))
        done = end
        place = max(place + 1, end)
    out.add(text[done:])
    return out.text()
