"""The labels under which Alertmanager knows an alert, and the fingerprint that it makes of them."""

from collections.abc import Mapping
from typing import Final

from kailash_monitor.model.alert import Alert

__all__ = ["alertmanager_labels", "fingerprint"]

_OFFSET: Final = 0xCBF2_9CE4_8422_2325
_PRIME: Final = 0x100_0000_01B3
_BITS: Final = 0xFFFF_FFFF_FFFF_FFFF
"""FNV-1a with 64 bits, http://www.isthe.com/chongo/tech/comp/fnv."""

_SEPARATOR: Final = b"\xff"
"""A byte that no text in UTF-8 has."""


def alertmanager_labels(alert: Alert) -> dict[str, str]:
    """Give the alert's labels with `alertname` and `severity`. Those without text are left out, as Alertmanager does.

    A lone surrogate, which no encoding has, becomes "\\ufffd".
    """
    labels = {**alert.labels, "alertname": alert.rule_name, "severity": alert.severity.value}
    return {_text(name): _text(value) for name, value in labels.items() if value}


def fingerprint(labels: Mapping[str, str]) -> str:
    """Give what Alertmanager shows as the fingerprint of `labels`: 16 hexadecimal digits (prometheus/common, model)."""
    digest = _OFFSET
    for name, value in sorted((_utf8(name), _utf8(value)) for name, value in labels.items()):
        for byte in name + _SEPARATOR + value + _SEPARATOR:
            digest = (digest ^ byte) * _PRIME & _BITS
    return f"{digest:016x}"


def _text(text: str) -> str:
    return _utf8(text).decode()


def _utf8(text: str) -> bytes:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
