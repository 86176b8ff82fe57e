"""Fitting: texts as a chat service takes them, no longer than it allows, with nothing in them that it reads as a command."""

import re
from collections.abc import Sequence
from itertools import accumulate
from typing import Final
from urllib.parse import quote

from kailash_monitor.channels.text import one_line

__all__ = ["cut", "cut_lines", "escape_links", "escape_markdown", "link", "safe_lines", "units"]

_SHORTEST: Final = 60
"""Units of a line in a list that is too long: enough to recognise an alert by."""

_LONGEST_LINK: Final = 2_000
"""Characters: browsers and services take no longer address, and half a one leads nowhere."""

_ADDRESS: Final = r"https?://[\w.:/?#@!$&'+,;=%~-]+"
"""An address on its own, in characters none of which begins a mark: it stays whole, since it is no link with a backslash."""

_LINKS: Final = re.compile(rf"{_ADDRESS}|<|\](?=[(:\[])")
_MARKS: Final = re.compile(rf"{_ADDRESS}|[\\`*_~|<>]|\](?=[(:\[])")
"""Brackets are left alone where no address follows: what lists messages without their formatting shows the backslashes."""

_LINE_MARK: Final = re.compile(r"^([^\S\n]*\d{0,9})([-+#.)])(?=[-#\s]|$)", re.MULTILINE)
"""What makes a list, a heading or a rule of a line that begins with it."""


def safe_lines(text: str) -> str:
    """Give `text` in its lines, each without control characters (see `one_line`), and no empty ones around it."""
    return "\n".join(map(one_line, text.replace("\r\n", "\n").split("\n"))).strip()


def escape_markdown(text: str) -> str:
    """Give `text` so that Markdown shows it as it is: no emphasis, links, mentions, code, lists or headings."""
    return _LINE_MARK.sub(r"\1\\\2", _MARKS.sub(_escaped, text))


def escape_links(text: str) -> str:
    """Give `text` in its own Markdown, but for links that hide their address, and mentions."""
    return _LINKS.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    return found[0] if len(found[0]) > 1 else f"\\{found[0]}"


def units(text: str) -> int:
    """Count `text` as chat services do, in UTF-16 code units; those that count characters allow more than that."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def cut(text: str, limit: int) -> str:
    """Give `text` in at most `limit` units, with "…" where something was left out."""
    if units(text) <= limit:
        return text
    if limit < 1:
        return ""
    beginning = text.encode("utf-16-le", "surrogatepass")[: 2 * (limit - 1)].decode("utf-16-le", "ignore")
    return beginning.rstrip("\\ \n") + "…"  # a backslash at the end may have escaped what is gone


def cut_lines(lines: Sequence[str], total: int, limit: int, *, joint: str = "\n") -> str:
    """Give the lines about `total` alerts in at most `limit` units: shorter ones, then fewer and "and 7 more"."""
    whole = joint.join(lines)
    if units(whole) <= limit or not lines:
        return whole
    each = max(_SHORTEST, limit // len(lines) - units(joint))
    shorter = [cut(line, each) for line in lines]
    if units(joint.join(shorter)) <= limit:
        return joint.join(shorter)
    sizes = accumulate(units(line) + units(joint) for line in shorter)
    kept = sum(size <= limit - units(f"and {total} more") for size in sizes)
    return joint.join([*shorter[:kept], f"and {total - kept} more"])


def link(url: str | None) -> str | None:
    """Give `url` in characters that no service stumbles over; None where there is none, or it is too long to be one."""
    if url is None:
        return None
    quoted = quote(one_line(url), safe=":/?#[]@!$&'()*+,;=%-._~")
    return quoted if len(quoted) <= _LONGEST_LINK else None
