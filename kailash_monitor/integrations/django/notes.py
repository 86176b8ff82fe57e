"""Notes: what is wrong in the settings, and what lacks a value there, each with its place."""

import difflib
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final, TypeAlias, TypeVar

from kailash_monitor.errors import ConfigurationError

__all__ = ["Notes", "Said", "below", "instead", "kind_of", "lowered"]

T = TypeVar("T")

Said: TypeAlias = dict[str, Any]  # Any: whatever somebody writes into their settings


class Notes:
    """Reads dictionaries and lists of the settings, and collects what is noted meanwhile.

    Mutable: `problems`, which say what is wrong, and `left_out`, which say what lacks a value and what becomes of it.
    """

    def __init__(self) -> None:
        self.problems: Final[list[str]] = []
        self.left_out: Final[list[str]] = []

    def wrong(self, place: str, text: str) -> None:
        """Note what is wrong there."""
        self.problems.append(f"{place}: {text}" if place else text)

    def refused(self, place: str, error: ConfigurationError, said: Collection[str] = ()) -> None:
        """Note a definition that was refused, at the field that is at fault where it is among what was said."""
        name = str(error.field)
        self.wrong(below(place, name) if name in said else place, f"{error.seen}; {error.expected}")

    def made(self, place: str, make: Callable[[], T], said: Collection[str] = ()) -> T | None:
        """Give what `make` makes; None, with a note, where that is refused."""
        try:
            return make()
        except ConfigurationError as error:
            self.refused(place, error, said)
        except (TypeError, ValueError, AttributeError) as error:  # a value of a kind that nobody has thought of
            self.wrong(place, f"it cannot be read ({type(error).__name__})")  # the text may hold a secret
        return None

    def spelt(self, place: str, given: object, case: Callable[[str], str] = str.lower) -> Said:
        """Give a dictionary by its names as we spell them; empty, with a note, where it is none."""
        if not isinstance(given, Mapping):
            self.wrong(place, f"{kind_of(given)}; use a dictionary")
            return {}
        said: Said = {}
        for key, value in given.items():
            name = case(key) if isinstance(key, str) else repr(key)
            if name in said:
                self.wrong(below(place, name), "a second time, in another case; leave one of them out")
            said[name] = value
        return said

    def only(self, place: str, said: Said, known: Collection[str]) -> Said:
        """Give what has one of the keys that are known, with a note of all others."""
        for key in [key for key in said if key not in known]:
            # without a blank after the colon, what follows may be a secret
            self.wrong(below(place, key.partition(":")[0]), f"an unknown key; {instead(key, known)}")
        return {key: value for key, value in said.items() if key in known}

    def flag(self, place: str, said: Said, key: str, *, otherwise: bool) -> bool:
        """Give what is said to be so or not."""
        value = said.get(key, otherwise)
        if isinstance(value, bool):
            return value
        self.wrong(below(place, key), f"saw {value!r}; use True or False")
        return otherwise

    def entries(self, said: Said, key: str) -> Iterator[tuple[str, Any]]:  # Any: as in Said
        """Give what stands in a list, each with its place."""
        entries = said.get(key)
        if entries is None:
            return
        if not isinstance(entries, list | tuple):
            self.wrong(key, f"{kind_of(entries)}; use a list")
            return
        for number, entry in enumerate(entries):
            yield f"{key}[{number}]", entry


def below(place: str, name: str) -> str:
    """Give the place of a key."""
    return f"{place}.{name}" if place else name


def lowered(given: Any) -> Any:  # Any: as in Said
    """Give a dictionary by its names in lower case, and anything else as it is."""
    if not isinstance(given, Mapping):
        return given
    return {key.lower() if isinstance(key, str) else key: value for key, value in given.items()}


def kind_of(value: object) -> str:
    """Say what a value is, but not which: it may be a secret."""
    return f"it is {'None' if value is None else f'of the type {type(value).__name__}'}"


def instead(name: str, known: Collection[str]) -> str:
    """Name what is close, else all there is."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(known)}"
