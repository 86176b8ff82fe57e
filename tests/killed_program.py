"""A program with alerts that can be killed at any time: what it sees is a function of the time, and goes on without it.

    python killed_program.py STORE URL SEED

reads orders, one a line, and says how each ended: `kill 0.25` has the program run and kills it after so many seconds;
`end firing` and `end clear` have it run, with a script that stands still, until everybody has been told, and stop. Each
program is a process of its own, forked from this one so that it need not import everything anew.
"""

import asyncio
import logging
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import aiohttp  # noqa: F401 - so that the programs have it

from kailash_monitor.alerting.route import Route
from kailash_monitor.alerts import AlertManager, AlertRule, WebhookNotificationChannel
from kailash_monitor.metrics import MetricsCollector, MetricsRegistry

RATES = {"ops": (1000.0, 1000), "pager": (1000.0, 1000), "phone": (6.0, 3)}
"""What the channels take: the phone too little, so that it hears of most things in digests."""

STEP = 0.01
"""Seconds of the script."""

LEVEL = 1_000_000
"""What is recorded tells when: a million for each level, and the number of the step."""

LIMIT = 30.0
"""Seconds after which a program that is to end by itself has failed."""


@dataclass(frozen=True)
class Role:
    """One alert's part in the script: every `phase` steps it is clear or breached at random, and at the end as `last` says.

    One that `lingers` fires on for a while when it is clear; one that `flaps` is told as such.
    """

    alert_id: str
    metric: str
    phase: int
    last: int
    labels: dict[str, str] = field(default_factory=dict)
    levels: tuple[int, ...] = (0, 1)
    lingers: bool = False
    flaps: bool = False

    def level(self, seed: str, step: int) -> int:
        """Give how grave it is at one step."""
        return random.Random(f"{seed} {self.alert_id} {step // self.phase}").choice(self.levels)

    def severity(self, level: int) -> str:
        """Give how the alert is called at a level above zero."""
        return ("warning", "critical")[level - 1] if max(self.levels) > 1 else "error"


ROLES = (
    Role("hasty_app", "hasty", 4, last=0),
    Role("slow_app", "slow", 60, last=1),
    Role("held_app", "held", 17, last=1, lingers=True),
    Role("nervous_app", "nervous", 8, last=0, flaps=True),
    Role("uneasy_app", "uneasy", 21, last=1, flaps=True),
    Role("lasting_app", "lasting", 200, last=0),
    Role('hosts_app{host="a"}', "load", 9, last=2, labels={"host": "a"}, levels=(0, 1, 2)),
    Role('hosts_app{host="b"}', "load", 23, last=0, labels={"host": "b"}, levels=(0, 1, 2)),
    Role('hosts_app{host="c"}', "load", 50, last=1, labels={"host": "c"}, levels=(0, 1, 2)),
)


def rules() -> Iterator[AlertRule]:
    """Give what judges them: all that an alert can do, in a short time."""
    for name, more in {
        "hasty": {"notification_interval": 0, "on_write": True},
        "slow": {"notification_interval": 0.15},
        "held": {"notification_interval": 0.3, "hold": 0.04, "keep_firing": 0.04},
        "nervous": {"notification_interval": 0, "flapping": (4, 0.7)},
        "uneasy": {"notification_interval": 0.3, "flapping": (4, 0.7)},
        "lasting": {"notification_interval": 0.5},
    }.items():
        yield AlertRule(name, "", "error", name, f"> {LEVEL / 2}", evaluation_interval=0.02, **more)  # type: ignore[arg-type]
    levels = {"warning": LEVEL / 2, "critical": 1.5 * LEVEL}
    yield AlertRule(
        "hosts",
        "",
        None,
        "load",
        ">",
        levels=levels,
        group_by=["host"],
        evaluation_interval=0.03,
        notification_interval=0.4,
    )


ROUTES = Route(
    routes=[
        Route(
            match={"alertname": "hosts"},
            channels=["pager"],
            group_by=["alertname"],
            wait=0.03,
            interval=0.06,
            continue_=True,
        ),
        Route(match={"alertname": "hosts"}, channels=["ops", "phone"]),
    ]
)
"""The pager hears of hosts in digests."""


@dataclass(frozen=True)
class Script:
    """What does not change from one program to the next."""

    store: str
    url: str
    seed: str
    began: float

    def record(self, app: MetricsCollector, last: str) -> None:
        """Have the program see what is true now, or at the end: firing or clear."""
        step = int((time.time() - self.began) / STEP)
        for role in ROLES:
            level = {"": role.level(self.seed, step), "firing": role.last, "clear": 0}[last]
            app.set_gauge(role.metric, level * LEVEL + step, labels=role.labels)

    def manager(self, registry: MetricsRegistry, number: int) -> AlertManager:
        """Give what the program is about."""
        manager = AlertManager(registry, store=self.store)
        for rule in rules():
            manager.add_rule(rule)
        for name, rate in RATES.items():
            channel = WebhookNotificationChannel(f"{self.url}/{name}", {"program": str(number)}, name=name)
            manager.add_notification_channel(channel, rate=rate)
        manager.set_routes(ROUTES)
        return manager


async def program(script: Script, number: int, last: str) -> None:
    """Be the program of this number, until it is killed or, with a `last` word, until everybody knows what is true."""
    registry, parent = MetricsRegistry(), os.getppid()
    app, manager = registry.collector("app"), script.manager(registry, number)
    expected = {(role.alert_id, role.severity(role.last)) for role in ROLES if role.last and last == "firing"}
    async with manager, asyncio.timeout(LIMIT):
        while True:
            script.record(app, last)
            await asyncio.sleep(STEP)
            if os.getppid() != parent:
                os._exit(1)  # nobody is there any more to kill it
            active = {(alert.id, alert.severity.value) for alert in manager.get_active_alerts()}
            if last and active == expected and not _untold(manager, last):
                return


def _untold(manager: AlertManager, last: str) -> bool:
    """Whether there is news to come. Of a storm the ends may wait for a minute, unless all that it told of is over."""
    flaps = any(case.flapping for case in manager.core.book)
    return flaps or any(last == "clear" or news.channel != "phone" for news in manager.untold())


def fork(script: Script, number: int, last: str) -> int:
    """Begin the program of this number, and give its process."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.close(0)
        asyncio.run(program(script, number, last))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def main(store: str, url: str, seed: str) -> None:
    """Carry out one order after the other."""
    logging.basicConfig(level=logging.ERROR)
    script = Script(store, url, seed, time.time())
    for number, line in enumerate(sys.stdin, 1):
        word, how = line.split()
        child = fork(script, number, "" if word == "kill" else how)
        if word == "kill":
            time.sleep(float(how))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main(*sys.argv[1:])
