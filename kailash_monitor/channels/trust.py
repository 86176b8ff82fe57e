"""Trust: whose certificates are accepted."""

import os
import ssl
from dataclasses import dataclass, field

__all__ = ["Trust"]


@dataclass(slots=True)
class Trust:
    """Whose certificates are accepted: the system's authorities, or those in `ca_file` and no others.

    The file is read again when it changes. Mutable: what was read last, by whoever asks.
    """

    ca_file: str | None = None
    _last: tuple[int, ssl.SSLContext] | None = field(default=None, repr=False)

    def context(self) -> ssl.SSLContext:
        """Give the context of a connection. It reads files: not to be called in the event loop. OSError where it cannot."""
        changed_at = 0 if self.ca_file is None else os.stat(self.ca_file).st_mtime_ns
        if self._last is None or self._last[0] != changed_at:
            self._last = changed_at, ssl.create_default_context(cafile=self.ca_file)
        return self._last[1]
