"""What a channel is given by people and by the other side, checked before it is used; secrets do not show themselves."""

import asyncio
import base64
import math
import os
import re
import stat
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Generic, Self, TypeVar
from urllib.parse import unquote, urlsplit

from kailash_monitor.errors import ChannelError
from kailash_monitor.model.durations import Duration, format_duration, parse_duration

__all__ = [
    "Hidden",
    "Secret",
    "SecretUnreadable",
    "headers_of",
    "seconds_of",
    "secrets_in",
    "starred",
    "text_of",
    "timeout_of",
]

_LONGEST: Final = 60.0
"""Seconds that one attempt may take: nobody waits a minute for a page, and a worker that hangs sends nothing else."""

_LONGEST_PAUSE: Final = 86_400.0
"""Seconds: whoever asks for a longer pause than a day has miscounted, and a day is what a message lives."""

_MAX_SECRET: Final = 8_192
"""Characters of a secret file: keys and tokens have dozens; a file of megabytes was named by mistake."""


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Hidden(Generic[T]):
    """Something with secrets in it, such as an address or headers, that shows itself as stars; `value` is the thing itself.

    >>> Hidden("https://hooks.slack.com/services/T0/B0/key")
    ***
    """

    value: T

    def __repr__(self) -> str:
        return "***"


class SecretUnreadable(Exception):
    """The file of a secret cannot be read now, or holds none. The text names the file and the reason, never the content."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A token or a password: given, or read from its file each time, so that a new one is used without a restart.

    >>> Secret.of("abc", None, field="token", where="telegram channel")
    ***
    """

    _value: str | None = field(repr=False)
    _file: Path | None = field(repr=False)

    @classmethod
    def of(cls, value: str | None, file: str | os.PathLike[str] | None, *, field: str, where: str) -> Self:
        """Take either `value` or `file`; a ChannelError where both or neither are given, or the value is empty.

        The file need not be there yet: that shows at the first `reveal`.
        """
        if (value is None) == (file is None):
            raise ChannelError(
                where,
                field=field,
                seen=f"neither {field} nor {field}_file" if value is None else f"both {field} and {field}_file",
                expected="give one of them",
            )
        if file is not None:
            return cls(None, _path(file, f"{field}_file", where))
        if not isinstance(value, str):
            raise ChannelError(where, field=field, seen=f"a {type(value).__name__} as {field}", expected="use a text")
        if why := _wrong(value):
            raise ChannelError(where, field=field, seen=f"a {field} {why}", expected=_RIGHT)
        return cls(value, None)

    def __repr__(self) -> str:
        return "***"

    def reveal(self) -> str:
        """Give the secret, without the line break at its end. This may read a file: see `fetch` for use in a coroutine.

        SecretUnreadable where the file cannot be read, or what it holds cannot be a secret.
        """
        if self._file is None:
            return self._value or ""
        try:
            if not stat.S_ISREG(self._file.stat().st_mode):  # opening a pipe would wait for its writer
                raise SecretUnreadable(f"{self._file} is no file")
            with self._file.open(encoding="utf-8", newline="") as file:
                value = file.read(_MAX_SECRET + 1)
        except UnicodeDecodeError:
            raise SecretUnreadable(f"{self._file} holds a secret that is no UTF-8 text") from None
        except OSError as error:
            raise SecretUnreadable(f"{self._file} cannot be read: {error.strerror or type(error).__name__}") from None
        value = value.removesuffix("\n").removesuffix("\r")
        if why := _wrong(value):
            raise SecretUnreadable(f"{self._file} holds a secret {why}; {_RIGHT}")
        return value

    async def fetch(self) -> str:
        """Give the secret like `reveal`; a file is read beside the event loop."""
        return self.reveal() if self._file is None else await asyncio.to_thread(self.reveal)


def secrets_in(url: str) -> tuple[str, ...]:
    """Give what of an address is not for everybody to see, as it stands there and as it is sent: all but the host."""
    parts = urlsplit(url)
    user_info = parts.netloc.rpartition("@")[0]
    basic = base64.b64encode(unquote(user_info).encode("utf-8", "replace")).decode()  # as the header has it
    return tuple(filter(None, (user_info, parts.password, basic, parts.path.strip("/"), parts.query)))


def starred(text: str, secrets: Iterable[str]) -> str:
    """Give what the other side said, with stars where it repeats a secret: some repeat all that they were sent."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):  # one can be a part of another
        text = text.replace(secret, "***")
    return text


_RIGHT: Final = "use one line of text that is not empty"


def _wrong(secret: str) -> str | None:
    """Say what keeps `secret` from being one, without showing it."""
    if not secret.strip():
        return "that is empty"
    if len(secret) > _MAX_SECRET:
        return f"of more than {_MAX_SECRET} characters"
    if any(ord(character) < 32 or ord(character) == 127 or "\ud800" <= character <= "\udfff" for character in secret):
        return "with line breaks or control characters"
    return None


def _path(file: str | os.PathLike[str], field: str, where: str) -> Path:
    path = os.fspath(file) if isinstance(file, str | os.PathLike) else None
    if not isinstance(path, str) or not path or "\0" in path:
        raise ChannelError(where, field=field, seen=f"{field} is no path", expected="name a file")
    return Path(path)


_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""What the name of a header is made of (RFC 9110, 5.6.2)."""

_UNSENDABLE: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")


def headers_of(headers: Mapping[str, str], where: str, *, ours: Collection[str] = ()) -> Hidden[dict[str, str]]:
    """Give headers by their names in lower case; a ChannelError, which shows no value, where one of them cannot be sent.

    Those that are `ours` follow from the message.
    """
    if not isinstance(headers, Mapping):
        raise ChannelError(
            where, field="headers", seen=f"a {type(headers).__name__} as headers", expected="use a mapping of names to texts"
        )
    return Hidden({_header(name, value, where, ours).lower(): value for name, value in headers.items()})


def _header(name: str, value: str, where: str, ours: Collection[str]) -> str:
    """Check a header, and give its name."""
    if not isinstance(name, str) or not _TOKEN.fullmatch(name):
        shown = str(name).partition(":")[0]  # whoever writes the whole header there writes a secret after the colon
        raise ChannelError(
            where, field="headers", seen=f"the header name {shown!r}", expected="letters, digits and hyphens, no space"
        )
    if name.lower() in ours:
        raise ChannelError(
            where, field="headers", seen=f"the header {name!r}", expected="leave it out, it follows from the message"
        )
    if not isinstance(value, str) or _UNSENDABLE.search(value):
        raise ChannelError(where, field="headers", seen=f"the value of the header {name!r}", expected="a text on one line")
    return name


def timeout_of(value: Duration, where: str) -> float:
    """Give the seconds that one attempt may take; a ChannelError unless it is a duration above 0 and at most a minute."""
    try:
        seconds = parse_duration(value)
    except ValueError as error:
        raise ChannelError(where, field="timeout", seen=f"the timeout {value!r}", expected=str(error)) from None
    if not 0 < seconds <= _LONGEST:
        raise ChannelError(
            where,
            field="timeout",
            seen=f"the timeout {value!r}",
            expected=f"use more than 0 and at most {format_duration(_LONGEST)}, such as '10s'",
        )
    return seconds


def text_of(value: str | None, field: str, where: str, *, longest: int) -> str | None:
    """Give a short text on one line, or None as it is; a ChannelError for anything else."""
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip() or not value.isprintable() or len(value) > longest:
        raise ChannelError(
            where, field=field, seen=f"{field} {value!r}", expected=f"use one line of 1 to {longest} characters"
        )
    return value


def seconds_of(value: object) -> float | None:
    """Give a pause that stands in the body of an answer, at most a day; None where it is no number of seconds."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        return None
    return float(min(value, _LONGEST_PAUSE))
