"""An ordeal: a program that tells three channels of its alerts is killed again and again.

What its receivers got, and what each kill left in its store, is kept; the laws judge it.
"""

import asyncio
import json
import random
import shutil
import sqlite3
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any

from killed_program import LEVEL

Json = dict[str, Any]  # Any: what JSON can hold

PROGRAM = Path(__file__).with_name("killed_program.py")


class Answer(Enum):
    """What the receiver makes of a request."""

    TAKEN = "taken"
    LOST = "taken, and the connection lost before the answer"
    LATE = "taken, and no answer for as long as the program lives"
    REFUSED = "refused with 500"
    CUT = "not taken, and the connection lost"

    @property
    def taken(self) -> bool:
        """Whether the people behind the receiver have read it."""
        return self in (Answer.TAKEN, Answer.LOST, Answer.LATE)


ANSWERS = [*[Answer.TAKEN] * 42, *[Answer.LOST] * 3, Answer.LATE, *[Answer.REFUSED] * 3, Answer.CUT]
DELAYS = (0.0, 0.0, 0.002, 0.01, 0.05)


@dataclass(frozen=True)
class News:
    """What a message says of one alert; `level` and `step` are those of its value.

    `fires` is whether the alert fires by what is said; `missed` how many incidents it sums up, where it says so, and `upto`
    the last that is over by then.
    """

    kind: str
    alert_id: str
    incident: int
    severity: str
    level: int
    step: int
    fires: bool
    upto: int
    missed: int | None

    @classmethod
    def of(cls, kind: str, alert: Json, missed: int | None) -> "News":
        """Read what stands in a message."""
        level, step = divmod(int(alert["value"]), LEVEL)
        upto = alert["incident"] - (alert["resolved_at"] is None)
        fires = alert["status"] == "firing"
        return cls(kind, alert["id"], alert["incident"], alert["severity"], level, step, fires, upto, missed)


@dataclass
class Reception:
    """One request as it came, and from which of the programs."""

    program: int
    channel: str
    message_id: str
    body: bytes
    answer: Answer
    at: float

    @cached_property
    def news(self) -> list[News]:
        """What it says, one alert after the other."""
        document = json.loads(self.body)
        context = document["context"]
        items = context.get("items") or [{**context, "alert": document["alert"]}]
        return [News.of(item["kind"], item["alert"], item.get("missed")) for item in items]

    def __str__(self) -> str:
        told = ", ".join(f"{one.kind} {one.alert_id} #{one.incident}" for one in self.news)
        return f"program {self.program} told {self.channel} in {self.message_id[:8]} {told}: {self.answer.value}"


@dataclass
class Receiver:
    """A real HTTP server that outlives the programs, keeps what it is sent, and is not always well. `calm` makes it so."""

    luck: random.Random
    url: str = ""
    calm: bool = False
    received: list[Reception] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        try:
            await self._exchange(reader, writer)
        except (OSError, EOFError):
            pass  # the program was killed
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = await reader.readexactly(int(headers["content-length"]))
        channel, answer = request.split()[1].removeprefix("/"), self._answer()
        program, message_id = int(headers["program"]), headers["webhook-id"]
        self.received.append(Reception(program, channel, message_id, body, answer, time.monotonic()))
        if answer is Answer.LATE:
            await reader.read()
        elif answer in (Answer.TAKEN, Answer.REFUSED):
            await asyncio.sleep(0.0 if self.calm else self.luck.choice(DELAYS))
            status = "200 OK" if answer is Answer.TAKEN else "500 Internal Server Error"
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            await writer.drain()

    def _answer(self) -> Answer:
        return Answer.TAKEN if self.calm else self.luck.choice(ANSWERS)


@asynccontextmanager
async def receiving(luck: random.Random) -> AsyncIterator[Receiver]:
    """Have a receiver listen."""
    receiver = Receiver(luck)
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield receiver
    finally:
        server.close()


@dataclass(frozen=True)
class Doubt:
    """An attempt of whose outcome the store knows nothing."""

    channel: str
    message_id: str
    alert_ids: frozenset[str]


@dataclass(frozen=True)
class Remains:
    """What was in the store when the program of this number had ended.

    `begun` counts attempts that had been begun and not ended, as far as it knows; `unfinished` are the ids of messages that
    are not done with; `told` are channel, alert and incident of what a channel is known to have heard; `numbers` gives the
    last incident of each alert; `integrity` is sqlite's own word.
    """

    program: int
    integrity: str = "ok"
    doubts: tuple[Doubt, ...] = ()
    begun: int = 0
    unfinished: frozenset[str] = frozenset()
    told: frozenset[tuple[str, str, int]] = frozenset()
    numbers: dict[str, int] = field(default_factory=dict)


def read_remains(program: int, store: Path, folder: Path) -> Remains:
    """Read a copy of the store, in a folder of its own, so that the next program finds what this one left."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path in store.parent.glob(f"{store.name}*"):
        if path.name.removeprefix(store.name) in ("", "-wal", "-journal"):
            shutil.copy(path, folder)
    if not (folder / store.name).exists():
        return Remains(program)
    with closing(sqlite3.connect(folder / store.name)) as connection:
        (integrity,) = connection.execute("PRAGMA integrity_check").fetchone()
        alerts = list(_documents(connection, "alerts"))
        lanes = [lane for lane in _documents(connection, "lanes") if "message" in lane]
    incidents = [alert["incidents"][alert["incident"]] for alert in alerts]
    return Remains(
        program,
        integrity,
        tuple(_doubt(lane) for lane in lanes if lane["busy"] or lane["message"]["in_doubt"]),
        sum(lane["busy"] for lane in lanes),
        frozenset(lane["message"]["notice"]["id"] for lane in lanes),
        frozenset(told for alert in alerts for told in _told(alert)),
        {_alert_id(incident): incident["number"] for incident in incidents},
    )


def _documents(connection: sqlite3.Connection, table: str) -> Iterator[Json]:
    there = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    for (text,) in connection.execute(f"SELECT document FROM {table}") if there else ():
        yield json.loads(text)


def _doubt(lane: Json) -> Doubt:
    return Doubt(lane["channel"], lane["message"]["notice"]["id"], frozenset(alert_id for alert_id, *_ in lane["parts"]))


def _told(alert: Json) -> Iterator[tuple[str, str, int]]:
    for channel, entry in alert["ledger"].items():
        incident = alert["incidents"][entry["about"]]
        if entry["heard"] == "told":
            yield channel, _alert_id(incident), incident["number"]


def _alert_id(incident: Json) -> str:
    rule, collector, group = incident["key"]
    labels = ",".join(f'{name}="{value}"' for name, value in group.items())
    return f"{rule}_{collector}{{{labels}}}" if labels else f"{rule}_{collector}"


@dataclass
class Ordeal:
    """What happened: all requests in the order in which they came, when each program began, how it ended, what it left.

    The last two ended by themselves: the first of them with alerts that fired, and `at_rest` is how many requests there were
    by then; the second with none. `said` is what the programs wrote to stderr.
    """

    receptions: list[Reception]
    began: list[float] = field(default_factory=list)
    exits: list[int] = field(default_factory=list)
    remains: list[Remains] = field(default_factory=list)
    at_rest: int = 0
    said: str = ""

    @property
    def repeats(self) -> int:
        """How many requests brought a message that had been brought before."""
        return len(self.receptions) - len({reception.message_id for reception in self.receptions})

    @property
    def hits(self) -> int:
        """How many programs ended during an attempt, or before what came of it was in the store."""
        return sum(bool(remains.begun) for remains in self.remains)

    def first_messages(self) -> list[float]:
        """Give the seconds from the beginning of each program to its first message, of those that lived to send one."""
        first: dict[int, float] = {}
        for reception in self.receptions:
            first.setdefault(reception.program, reception.at - self.began[reception.program - 1])
        return list(first.values())

    def heard(self, requests: int | None = None) -> dict[tuple[str, str], list[News]]:
        """Give what each channel heard of each alert in the first requests, without repetitions of one message."""
        seen: set[str] = set()
        heard: dict[tuple[str, str], list[News]] = defaultdict(list)
        for reception in self.receptions[:requests]:
            if reception.answer.taken and reception.message_id not in seen:
                seen.add(reception.message_id)
                for one in reception.news:
                    heard[reception.channel, one.alert_id].append(one)
        return heard


async def undergo(kills: int, seed: str, folder: Path) -> Ordeal:
    """Kill a program so many times, let the last two end by themselves, and give what happened."""
    luck, store = random.Random(seed), folder / "alerts.db"
    async with receiving(random.Random(f"{seed} receiver")) as receiver, _launching(store, receiver.url, seed) as launcher:
        it = Ordeal(receiver.received)

        async def program(order: str) -> None:
            it.began.append(time.monotonic())
            it.exits.append(await launcher.carry_out(order))
            it.remains.append(await asyncio.to_thread(read_remains, len(it.exits), store, folder / "copy"))

        for _ in range(kills):
            await program(f"kill {_lifetime(luck):.6f}")
        receiver.calm = True
        await program("end firing")
        it.at_rest = len(it.receptions)
        await program("end clear")
        it.said = launcher.log.read_text()
    return it


def _lifetime(luck: random.Random) -> float:
    """Give the seconds that a program has: some end while they start, most while they are at work."""
    return luck.uniform(*luck.choice([(0.0, 0.06), (0.05, 0.4), (0.05, 0.4), (0.05, 0.4), (0.3, 1.0)]))


@dataclass
class Launcher:
    """The process that begins the programs and kills them."""

    process: asyncio.subprocess.Process
    log: Path

    async def carry_out(self, order: str) -> int:
        """Have one program run, and give how it ended."""
        pipe, answers = self.process.stdin, self.process.stdout
        assert pipe is not None
        assert answers is not None
        pipe.write(f"{order}\n".encode())
        return int(await answers.readline())


@asynccontextmanager
async def _launching(store: Path, url: str, seed: str) -> AsyncIterator[Launcher]:
    log, pipe = store.with_suffix(".log"), asyncio.subprocess.PIPE
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(PROGRAM), str(store), url, seed, stdin=pipe, stdout=pipe, stderr=stderr
        )
    try:
        yield Launcher(process, log)
    finally:
        if process.returncode is None:
            process.kill()  # its program sees that, and ends
        await process.wait()
