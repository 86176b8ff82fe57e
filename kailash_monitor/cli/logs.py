"""Where log records go: lines on standard output or standard error, or the live view.

Records are written by a thread of their own: a reader that has stopped reading must not hold up the event loop.
"""

import json
import logging
import os
import queue
import sys
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from logging.handlers import QueueHandler, QueueListener
from typing import Final

from kailash_monitor.channels.text import one_line

__all__ = ["LogView", "log_to_stderr", "log_to_stdout", "log_to_view"]

WAITING: Final = 10_000
"""Records that wait to be written; what comes on top of them is dropped."""

_LINE: Final = "%(asctime)s %(levelname)-8s %(message)s"

_FIELDS: Final = ("alert_id", "alert_kind", "severity", "value", "labels")


class LogView(logging.Handler):
    """Keeps the last lines to be shown in the live view."""

    def __init__(self, lines: int = 5) -> None:
        super().__init__()
        self.lines: deque[str] = deque(maxlen=lines)
        self.setFormatter(_TextLines("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the first line of the record."""
        self.lines.append(self.format(record).partition("\n")[0])


class _TextLines(logging.Formatter):
    """A line a record, whatever is in its message; a traceback follows on lines of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's name
        return one_line(super().formatMessage(record))


class _JsonLines(logging.Formatter):
    """A JSON object a line, with the fields of alerts beside the message."""

    def format(self, record: logging.LogRecord) -> str:
        document: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        document.update({field: getattr(record, field) for field in _FIELDS if hasattr(record, field)})
        if record.exc_info:
            document["exception"] = self.formatException(record.exc_info)
        return json.dumps(document, default=str)


class _Lines(logging.StreamHandler):  # type: ignore[type-arg]  # generic only in the stubs
    """Writes lines for as long as somebody reads them."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        """Go quiet once the reader has gone away; the monitoring goes on."""
        if isinstance(sys.exc_info()[1], BrokenPipeError):
            self.setStream(open(os.devnull, "w"))  # noqa: SIM115  # for the rest of the process
        else:
            super().handleError(record)


def log_to_stdout(*, as_json: bool) -> Callable[[], None]:
    """Write all records from INFO up to standard output; gives what ends it."""
    lines = _Lines(sys.stdout)
    lines.setFormatter(_JsonLines() if as_json else _TextLines(_LINE))
    waiting: queue.Queue[logging.LogRecord] = queue.Queue(WAITING)
    listener = QueueListener(waiting, lines)
    listener.start()
    handler = _Queue(waiting)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)

    def end() -> None:
        logging.getLogger().removeHandler(handler)
        listener.stop()

    return end


class _Queue(QueueHandler):
    """Hands records on as they are: the thread that writes them is in this process."""

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        """Drop what finds the queue full: whoever does not read for so long does not miss it."""


def log_to_view(view: LogView) -> Callable[[], None]:
    """Keep records from INFO up for the live view; gives what ends it."""
    logging.basicConfig(level=logging.INFO, handlers=[view], force=True)
    return lambda: logging.getLogger().removeHandler(view)


def log_to_stderr() -> Callable[[], None]:
    """Write all records from INFO up to standard error, beside what a short command shows; gives what ends it."""
    lines = _Lines(sys.stderr)
    lines.setFormatter(_TextLines(_LINE))
    logging.basicConfig(level=logging.INFO, handlers=[lines], force=True)
    return lambda: logging.getLogger().removeHandler(lines)
