"""Runs: which programs of this user run here, where they serve, and the token that each of them takes.

Each writes a file into the folder `runs` of the state folder, and keeps it locked for as long as it lives. The lock goes
with the process, however that ends: so the file of one that was killed is told from that of a living one, also where process
ids mean different things in different containers.
"""

import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from kailash_monitor.cli.failure import Failure, WrongUse
from kailash_monitor.cli.state import is_ours, make_private
from kailash_monitor.web import Listen

__all__ = ["Announcement", "Run", "announce", "choose", "runs_in"]

LONGEST: Final = 65_536
"""Bytes that are read of a file: one of ours has 150."""

_FOLDER: Final = "runs"


@dataclass(frozen=True, slots=True)
class Run:
    """One running program. With `token`, whoever has it may silence alerts; None where it is not known."""

    address: Listen
    pid: int | None = None
    token: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return str(self.address) if self.pid is None else f"{self.address} (process {self.pid})"


class Announcement:
    """The file that makes a run known, to be withdrawn when it ends. It is locked for as long as it is open here."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path: Final = path
        self._file = file

    def withdraw(self) -> None:
        """Remove the file, if it is still ours. Nothing where that was done; never raises."""
        if not self._file.closed:
            with self._file, suppress(OSError):
                if os.path.samestat(os.fstat(self._file.fileno()), self.path.stat()):
                    self.path.unlink()


def announce(folder: Path, run: Run) -> Announcement:
    """Write the run's file, which nobody else can read, into the state folder; an OSError where that cannot be done."""
    runs = folder / _FOLDER
    make_private(runs)
    runs_in(folder)  # what was killed is cleared away
    unready, path = runs / f".{run.pid}", runs / f"{run.address.port}-{run.pid}.json"
    unready.unlink(missing_ok=True)  # of a process of this number that was killed at this very point
    file = open(os.open(unready, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=0)  # noqa: SIM115
    try:
        _lock(file.fileno(), shared=False)
        file.write(json.dumps({"address": str(run.address), "token": run.token, "pid": run.pid}).encode())
        unready.replace(path)
    except BaseException:
        file.close()
        unready.unlink(missing_ok=True)
        raise
    return Announcement(path, file)


def runs_in(folder: Path) -> list[Run]:
    """Give the programs that run, by address, and remove the files of those that do no more.

    An OSError where the folder cannot be read.
    """
    try:
        names = os.listdir(folder / _FOLDER)
    except FileNotFoundError:
        return []
    found = [_read(folder / _FOLDER / name) for name in names if name.endswith(".json")]
    return sorted((run for run in found if run is not None), key=lambda run: (run.address.port, run.address.host))


def _read(path: Path) -> Run | None:
    """Give the run of this file; None where it has ended, or the file is no run of ours."""
    try:
        with path.open("rb") as file:
            if not is_ours(os.fstat(file.fileno())):
                return None
            if _lock(file.fileno(), shared=True):  # whoever wrote it holds it no more
                path.unlink(missing_ok=True)
                return None
            return _run(file.read(LONGEST))
    except (FileNotFoundError, IsADirectoryError):  # it has ended this moment, or was never a run's
        return None


def _run(text: bytes) -> Run | None:
    try:
        document = json.loads(text)
        run = Run(Listen.parse(document["address"]), document["pid"], document["token"])
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return run if isinstance(run.pid, int) and isinstance(run.token, str) else None


def _lock(descriptor: int, *, shared: bool) -> bool:
    """Take the lock if it is free; whether it was. Where there are no locks it never is, and every file is believed."""
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def choose(runs: Sequence[Run], address: Listen | None, port: int | None, *, answers: Callable[[Run], bool]) -> Run:
    """Give the run at this address or port; where neither is stated, the only one there is, or the only one that answers.

    An address where none of them serves is believed: it may be on another machine, and is read without a token. Where the
    choice is not clear, a Failure lists what there is.
    """
    if address is not None:
        same = [run for run in runs if _same(run.address, address)]
        return same[0] if same else Run(address)
    if port is not None:
        runs = [run for run in runs if run.address.port == port]
        if not runs:
            raise Failure(f"no program that `kailash-monitor run` has started serves on port {port}; try --address")
    if not runs:
        raise Failure("nothing runs: start `kailash-monitor run`, or state the --address of another program")
    candidates = runs if len(runs) == 1 else [run for run in runs if answers(run)]
    if len(candidates) == 1:
        return candidates[0]
    listed = ", ".join(map(str, candidates or runs))
    if candidates:
        raise WrongUse(f"several programs run: {listed}; choose one by --address or --port")
    raise Failure(f"several programs run, and none of them answers: {listed}")


def _same(one: Listen, other: Listen) -> bool:
    return _named(one) == _named(other)


def _named(address: Listen) -> Listen:
    there = address.reachable
    return Listen("127.0.0.1", there.port) if there.host == "localhost" else there
