"""What a channel is given by people and by the other side, checked before it is used; secrets do not show themselves."""

import asyncio
import math
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from kailash_monitor.errors import ChannelError
from kailash_monitor.model.durations import Duration, format_duration, parse_duration

__all__ = ["Secret", "SecretUnreadable", "seconds_of", "text_of", "timeout_of"]

_LONGEST: Final = 60.0
"""Seconds that one attempt may take: nobody waits a minute for a page, and a worker that hangs sends nothing else."""

_LONGEST_PAUSE: Final = 86_400.0
"""Seconds: whoever asks for a longer pause than a day has miscounted, and a day is what a message lives."""

_MAX_SECRET: Final = 8_192
"""Characters of a secret file: keys and tokens have dozens; a file of megabytes was named by mistake."""


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
