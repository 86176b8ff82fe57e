"""Serving: whether this process answers requests, so that a manager runs where it does, and only there.

A web program is loaded by many processes: by a server's master and its workers, by the parent of a reloader and its child,
by management commands and tests. Nobody says which one it is; it shows by what is being run and by who imports it.
"""

import atexit
import concurrent.futures.thread  # noqa: F401  # what is registered for the end of threads after it, is called before it
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from functools import partial
from pathlib import PurePath
from types import FrameType
from typing import Final

from kailash_monitor.blocking import AlertManager
from kailash_monitor.errors import LifecycleError, StoreError

__all__ = ["Role", "Upkeep", "current_role", "role_of"]

FIRST_PAUSE: Final = 1.0
"""Seconds until a start is tried again where the store is in use: by a worker that ends, most likely."""

LONGEST_PAUSE: Final = 300.0
"""Seconds between two such starts in the end."""

_logger = logging.getLogger("kailash_monitor.integrations")


class Role(Enum):
    """What a process is to the requests of a program."""

    SERVING = "serving"
    """It answers them: a manager is to be started now."""
    WAITING = "waiting"
    """It is not known, as in a master that forks its workers, or in a script with a server: the first request tells."""
    NOT_SERVING = "not_serving"
    """It does not: a command, a shell, a test, the parent of a reloader. Nothing is to be started, but by hand."""


def role_of(argv: Sequence[str], environ: Mapping[str, str], callers: Sequence[str]) -> Role:
    """Say what a process is, by its arguments, its environment and the names of the modules on its stack, in any order."""
    program, arguments = _program(argv), list(argv[1:])
    packages = {caller.partition(".")[0] for caller in callers}
    if any(caller.startswith("gunicorn.workers.") for caller in callers):
        return Role.SERVING  # its master has none of these
    if program in _NO_SERVERS or packages & _NO_SERVERS:
        return Role.NOT_SERVING
    if program in _SERVERS or packages & _SERVERS or any(caller.startswith("_mod_wsgi_") for caller in callers):
        return Role.SERVING
    if any(caller.startswith("django.core.management") for caller in callers):
        return _django_role(arguments, environ)
    if program == "flask" or "flask.cli" in callers:
        return _flask_role(arguments, environ)
    if environ.get(_WERKZEUG_CHILD) == "true":
        return Role.SERVING
    return Role.WAITING


_NO_SERVERS: Final = frozenset(
    {
        "celery",
        "dramatiq",
        "rq",
        "pytest",
        "py.test",
        "_pytest",
        "unittest",
        "IPython",
        "ipython",
        "ipykernel",
        "ipykernel_launcher",
    }
)
"""Programs and packages that run code of a web program where no requests come."""

_SERVERS: Final = frozenset({"uvicorn", "daphne", "waitress", "waitress-serve", "mod_wsgi"})
"""Servers that load a program in no other process than the one that serves."""

_WERKZEUG_CHILD: Final = "WERKZEUG_RUN_MAIN"
_DJANGO_CHILD: Final = "RUN_MAIN"
"""What the reloaders say to the process that they start, and that serves: "true"."""


def _program(argv: Sequence[str]) -> str:
    """Give the name of what is run; for `python -m package`, whose file is `package/__main__.py`, that of the package."""
    path = PurePath(argv[0].replace("\\", "/") if argv else "")
    name = path.parent.name if path.name == "__main__.py" else path.name
    return name.removesuffix(".exe").removesuffix(".py").removesuffix("-script")


def _django_role(arguments: Sequence[str], environ: Mapping[str, str]) -> Role:
    """Say it of `manage.py …`: the command comes first; the server has a reloader unless told otherwise."""
    if arguments[:1] not in (["runserver"], ["runserver_plus"]):
        return Role.NOT_SERVING
    is_child = "true" in (environ.get(_DJANGO_CHILD), environ.get(_WERKZEUG_CHILD))
    return Role.SERVING if is_child or "--noreload" in arguments else Role.NOT_SERVING


def _flask_role(arguments: Sequence[str], environ: Mapping[str, str]) -> Role:
    """Say it of `flask …`: the command comes after the options of flask itself; debugging includes the reloader."""
    command, *rest = [*_from_command_on(arguments), ""]
    if command != "run":
        return Role.NOT_SERVING
    debug = _last(arguments, "debug", _is_on(environ, "FLASK_DEBUG"))
    reloads = _last(rest, "reload", _is_on(environ, "FLASK_RUN_RELOAD", otherwise=debug))
    return Role.NOT_SERVING if reloads and environ.get(_WERKZEUG_CHILD) != "true" else Role.SERVING


def _from_command_on(arguments: Sequence[str]) -> Sequence[str]:
    """Give the arguments from the first on that is no option, and no option's value."""
    is_value = False
    for n, argument in enumerate(arguments):
        if not (is_value or argument.startswith("-")):
            return arguments[n:]
        is_value = not is_value and argument in ("-A", "--app", "-e", "--env-file")
    return []


def _last(arguments: Sequence[str], option: str, otherwise: bool) -> bool:
    """Say whether the last `--option` or `--no-option` is the former."""
    given = [argument for argument in arguments if argument in (f"--{option}", f"--no-{option}")]
    return given[-1] == f"--{option}" if given else otherwise


def _is_on(environ: Mapping[str, str], name: str, *, otherwise: bool = False) -> bool:
    """Say it as flask and click do."""
    value = environ.get(name, "").lower()
    return value not in ("0", "false", "no", "off", "n", "f") if value else otherwise


def current_role() -> Role:
    """Say what this process is, as far as it shows now: to be asked where the program is set up."""
    return role_of(getattr(sys, "argv", []), os.environ, list(_callers()))  # an embedded Python may have no arguments


def _callers() -> Iterator[str]:
    frame: FrameType | None = sys._getframe(1)  # private by its name, and documented: there is no other way that is as quick
    while frame is not None:
        yield str(frame.f_globals.get("__name__", ""))
        frame = frame.f_back


class Upkeep:
    """Has a manager run in the process that serves requests, from the time that its role says until its end.

    Say `set_up` once the program is, and `asked` at each request: at most one of them starts it, once in a process, and not
    in one that was forked from where it runs. It starts in a thread of its own, so that nobody waits for a store that
    hangs; what goes wrong is logged, never raised. Where the store is in use it is tried again: in a server's new worker,
    until the old one has ended. It is stopped when the process ends in good order, and drains then.

    Mutable: by whichever thread starts or stops it.
    """

    def __init__(self, manager: AlertManager) -> None:
        self._manager = manager
        self._role = Role.NOT_SERVING
        self._over: dict[int, threading.Event] = {}  # by process: an attempt to start it ends with it

    def set_up(self) -> None:
        """Take note that the program is set up, and start where it serves. Other roles begin to be waited for."""
        role = current_role()
        if self._role is not Role.SERVING:
            self._role = role
        if role is Role.SERVING:
            self.start()

    def asked(self) -> None:
        """Take note of a request: where it was not known before, this process serves."""
        if self._role is Role.WAITING and not self._over:
            self.start()

    def start(self) -> None:
        """Start now, whatever the role; nothing where this process has started it before, and not stopped it."""
        over = threading.Event()
        if self._over.setdefault(os.getpid(), over) is not over:
            return
        try:
            _at_exit(self.stop)
            threading.Thread(target=partial(self._start, over), name="kailash-monitor start", daemon=True).start()
        except RuntimeError:  # there can be no thread any more, mostly since Python is ending
            _logger.exception("the alert manager could not start")

    def stop(self) -> None:
        """Stop within the manager's time; nothing where it was not started in this process. `start` may come again."""
        over = self._over.pop(os.getpid(), None)
        if over is not None:
            self._role = Role.NOT_SERVING
            over.set()
            self._manager.stop()

    def _start(self, over: threading.Event) -> None:
        pause = FIRST_PAUSE
        try:
            while not (over.is_set() or self._started()):
                over.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            if over.is_set():
                self._manager.stop()
        except Exception:  # the top of a thread: the program goes on
            _logger.exception("the alert manager could not start")

    def _started(self) -> bool:
        """Start; whether trying again is of no use."""
        try:
            self._manager.start()
        except LifecycleError:  # it is in the log
            return not isinstance(self._manager.failure, StoreError)
        return True


def _at_exit(function: Callable[[], None]) -> None:
    """Call `function` when the process ends in good order, while there are threads and pools as ever, if that can be had.

    At the time of `atexit` they are gone; before it they are, too, in the children of multiprocessing, which have no atexit.
    """
    register = getattr(threading, "_register_atexit", atexit.register)  # private; concurrent.futures builds on it as well
    register(function)
