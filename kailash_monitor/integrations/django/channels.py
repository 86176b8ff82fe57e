"""Channels: those of the settings, into a manager; where one lacks a value, nothing is lost silently."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from kailash_monitor.blocking import AlertManager
from kailash_monitor.channels import LogNotificationChannel, from_mapping
from kailash_monitor.channels.mapping import faults
from kailash_monitor.errors import ChannelError
from kailash_monitor.integrations.django.notes import Notes, Said, below, instead

__all__ = ["Channels"]

KEY: Final = "NOTIFICATION_CHANNELS"

_POLICY: Final = ("rate", "fallback", "fallback_after")
"""What may be said of any channel, beside the parameters of its class."""


@dataclass(slots=True)
class Channels:
    """The channels as they are being read. Mutable: the manager, which takes them on, and what is known of the others.

    A parameter that is None or empty, as a variable of the environment is that is not set, counts as not given. Where the
    channel cannot be without it, it is left out, and the site starts: the log is told in its place, under its name, if
    routes or another channel name it, or there is no other.
    """

    manager: AlertManager
    notes: Notes
    _absent: dict[str, str] = field(default_factory=dict[str, str])  # by name, what each lacks
    _refused: set[str] = field(default_factory=set[str])  # names of those that are wrong: who names one is not to blame

    def read(self, said: Said, named: Iterable[str]) -> None:
        """Take all of them on; `named` are those that routes mention."""
        fallbacks: dict[str, str] = {}
        for place, entry in self.notes.entries(said, KEY):
            if hasattr(entry, "send_notification") or callable(entry):
                self.notes.made(place, partial(self.manager.add_notification_channel, entry))
            elif channel := self.notes.spelt(place, entry):
                self._add(place, channel)
                if isinstance(channel.get("fallback"), str):
                    fallbacks[below(place, "fallback")] = channel["fallback"]
        self._stand_in({*fallbacks.values(), *named})
        for place, name in fallbacks.items():
            self.check(place, name)

    def check(self, place: str, name: str) -> None:
        """Note a name of which there is no channel."""
        known = [*self.manager.channels_by_name(), *self._refused]
        if name and name not in known:
            seen = f"the channel {name!r}, which is not there or switched off"
            self.notes.wrong(place, f"{seen}; {instead(name, known)}")

    def _add(self, place: str, said: Said) -> None:
        if not self.notes.flag(place, said, "enabled", otherwise=True):
            return
        said = {key: value for key, value in said.items() if key != "enabled"}
        empty = {key for key, value in said.items() if (value is None or value == "") and key != "type"}
        given = {key: value for key, value in said.items() if key not in empty and key not in _POLICY}
        wrong = [one for one in faults(said, beside=_POLICY) if one.field not in empty or "unknown key" in one.seen]
        lacking = [one for one in faults(given) if one.field in empty]
        channel = None
        if not (wrong or lacking):
            try:
                channel = from_mapping(given)
            except ChannelError as error:
                (lacking if error.field in empty else wrong).append(error)
        name = str(given.get("name") or given.get("type"))
        if channel is not None:
            policy = {key: said[key] for key in _POLICY if key in said and key not in empty}
            self.notes.made(place, lambda: self.manager.add_notification_channel(channel, **policy), said)
        elif wrong:
            self._refused.add(name)
            for one in wrong:
                self.notes.refused(place, one, said)
        else:
            self._absent[name] = below(place, str(lacking[0].field))

    def _stand_in(self, named: Collection[str]) -> None:
        """Have the log told where a channel that was left out would be missed, and where there is none at all."""
        for name, place in self._absent.items():
            missed = (
                name in named or not self.manager.notification_channels
            ) and name not in self.manager.channels_by_name()
            if missed:
                self.manager.add_notification_channel(LogNotificationChannel(name=name))
            told = "the log is told in its place" if missed else "the others are told"
            self.notes.left_out.append(f"{place}: it is not set, so the channel {name!r} is left out; {told}")
        if not self.manager.notification_channels:
            self.manager.add_notification_channel(LogNotificationChannel())
