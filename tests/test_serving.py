"""Which process answers requests, and that a manager runs there once."""

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kailash_monitor.blocking import AlertManager
from kailash_monitor.integrations import serving
from kailash_monitor.integrations.serving import Role, Upkeep, current_role, role_of
from kailash_monitor.metrics import MetricsRegistry

from newcomers import Newcomers  # isort: skip

SERVING, WAITING, NOT_SERVING = Role.SERVING, Role.WAITING, Role.NOT_SERVING
APP = ("site.app", "importlib", "importlib._bootstrap")
FLASK = (*APP, "flask.cli", "click.core", "__main__")
MANAGE = ("site.apps", "django.apps.config", "django", "django.core.management", "__main__")
WORKER = (*APP, "gunicorn.util", "gunicorn.app.wsgiapp", "gunicorn.workers.base", "gunicorn.arbiter", "gunicorn.app.base")
MASTER = (*APP, "gunicorn.util", "gunicorn.app.wsgiapp", "gunicorn.app.base", "gunicorn.arbiter", "__main__")
WERKZEUG_CHILD = {"WERKZEUG_RUN_MAIN": "true"}
DJANGO_CHILD = {"RUN_MAIN": "true"}


@pytest.mark.parametrize(
    ("line", "environ", "callers", "role"),
    [
        # a plain script, whose server may follow
        ("app.py", {}, ("__main__",), WAITING),
        ("", {}, ("__main__",), WAITING),
        ("app.py", WERKZEUG_CHILD, ("__main__",), SERVING),
        ("manage.py run", {}, ("__main__",), WAITING),
        # flask
        ("/bin/flask run", {}, FLASK, SERVING),
        ("/x/flask/__main__.py run", {}, FLASK, SERVING),
        (r"C:\Scripts\flask.exe run", {}, FLASK, SERVING),
        ("flask --app site run --port 80", {}, FLASK, SERVING),
        ("flask --app=site run", {}, FLASK, SERVING),
        ("flask -e run -A shell run", {}, FLASK, SERVING),
        ("manage.py run", {}, FLASK, SERVING),
        ("flask run --debug", {}, FLASK, NOT_SERVING),
        ("flask run --debug", WERKZEUG_CHILD, FLASK, SERVING),
        ("flask --debug run --no-reload", {}, FLASK, SERVING),
        ("flask --debug run", {}, FLASK, NOT_SERVING),
        ("flask run", {"FLASK_DEBUG": "1"}, FLASK, NOT_SERVING),
        ("flask run", {"FLASK_DEBUG": "0"}, FLASK, SERVING),
        ("flask run --no-debug", {"FLASK_DEBUG": "1"}, FLASK, SERVING),
        ("flask run --reload", {}, FLASK, NOT_SERVING),
        ("flask run --reload", WERKZEUG_CHILD, FLASK, SERVING),
        ("flask run", {"FLASK_RUN_RELOAD": "true"}, FLASK, NOT_SERVING),
        ("flask run --debug", {"FLASK_RUN_RELOAD": "false"}, FLASK, SERVING),
        ("flask shell", {}, FLASK, NOT_SERVING),
        ("flask shell", WERKZEUG_CHILD, FLASK, NOT_SERVING),
        ("flask db upgrade", {}, FLASK, NOT_SERVING),
        ("flask --app run shell", {}, FLASK, NOT_SERVING),
        ("flask", {}, FLASK, NOT_SERVING),
        ("own-command run", {}, FLASK, SERVING),
        ("own-command import-users", {}, FLASK, NOT_SERVING),
        # gunicorn
        ("gunicorn site:app", {}, WORKER, SERVING),
        ("gunicorn site:app", WERKZEUG_CHILD, WORKER, SERVING),
        ("gunicorn --preload site:app", {}, MASTER, WAITING),
        ("/x/gunicorn/__main__.py --preload site:app", {}, MASTER, WAITING),
        ("gunicorn site:app", {}, ("site.app", "threading"), WAITING),
        ("gunicorn -k uvicorn.workers.UvicornWorker site:app", {}, ("uvicorn.workers", *WORKER), SERVING),
        ("gunicorn -k uvicorn.workers.UvicornWorker --preload site:app", {}, MASTER, WAITING),
        # servers of one process, or that load it in their workers alone
        ("uvicorn site:app", {}, (*APP, "uvicorn.importer", "uvicorn.config", "uvicorn.server"), SERVING),
        ("/x/uvicorn/__main__.py site:app --reload", {}, APP, SERVING),
        ("main.py", {}, (*APP, "uvicorn.importer", "uvicorn.config"), SERVING),
        ("main.py", {}, ("__mp_main__", "runpy", "multiprocessing.spawn"), WAITING),
        ("daphne site.asgi:application", {}, (*APP, "daphne.cli"), SERVING),
        ("waitress-serve site:app", {}, (*APP, "waitress.runner"), SERVING),
        ("waitress-serve.exe site:app", {}, APP, SERVING),
        ("mod_wsgi", {}, ("_mod_wsgi_1234",), SERVING),
        ("", {}, ("site.app", "_mod_wsgi_1234"), SERVING),
        ("uwsgi", {}, ("uwsgi_file_app",), WAITING),
        # django
        ("manage.py runserver", {}, MANAGE, NOT_SERVING),
        ("manage.py runserver", DJANGO_CHILD, MANAGE, SERVING),
        ("manage.py runserver --noreload", {}, MANAGE, SERVING),
        ("manage.py runserver_plus", {}, MANAGE, NOT_SERVING),
        ("manage.py runserver_plus", WERKZEUG_CHILD, MANAGE, SERVING),
        ("django-admin runserver --noreload 0:80", {}, MANAGE, SERVING),
        ("/x/django/__main__.py migrate", {}, MANAGE, NOT_SERVING),
        *((f"manage.py {command}", {}, MANAGE, NOT_SERVING) for command in ("migrate", "test", "shell", "check", "own")),
        ("manage.py migrate", DJANGO_CHILD, MANAGE, NOT_SERVING),
        ("manage.py", {}, MANAGE, NOT_SERVING),
        # where code of a web program runs, and no requests come
        ("celery -A site worker", {}, (*APP, "celery.bin.celery"), NOT_SERVING),
        ("worker.py", {}, ("site.tasks", "celery.app.base"), NOT_SERVING),
        ("/x/celery/__main__.py -A site beat", {}, APP, NOT_SERVING),
        ("pytest", {}, ("tests.conftest", "_pytest.python", "pluggy"), NOT_SERVING),
        ("/x/pytest/__main__.py -q", WERKZEUG_CHILD, ("tests.test_app", "threading"), NOT_SERVING),
        ("python -m unittest", {}, ("tests.test_app", "unittest.case"), NOT_SERVING),
        ("ipykernel_launcher.py", {}, ("__main__", "IPython.core.interactiveshell"), NOT_SERVING),
    ],
)
def test_the_role_of_a_process(line: str, environ: dict[str, str], callers: tuple[str, ...], role: Role) -> None:
    assert role_of(line.split(" "), environ, callers) is role


def test_without_arguments_it_is_not_known() -> None:
    assert role_of([], {}, []) is WAITING


def test_this_is_a_test() -> None:
    assert current_role() is NOT_SERVING


def eventually(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 5
    while not true():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.005)


@pytest.fixture
def manager() -> AlertManager:
    return AlertManager(MetricsRegistry())


@pytest.mark.parametrize(
    ("role", "after_set_up", "after_a_request"),
    [(SERVING, True, True), (WAITING, False, True), (NOT_SERVING, False, False)],
)
def test_a_manager_starts_when_the_role_says(
    role: Role, after_set_up: bool, after_a_request: bool, manager: AlertManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "current_role", lambda: role)
    upkeep, before = Upkeep(manager), Newcomers()
    try:
        upkeep.set_up()
        assert (before.count > 0) is after_set_up
        upkeep.asked()
        assert (before.count > 0) is after_a_request
        if after_a_request:
            eventually(lambda: manager.running)
    finally:
        upkeep.stop()
    upkeep.asked()
    eventually(lambda: before.count == 0)


def test_many_requests_at_once_start_it_once(manager: AlertManager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "current_role", lambda: WAITING)
    upkeep, before = Upkeep(manager), Newcomers()
    upkeep.set_up()
    together = threading.Barrier(8)

    def ask() -> None:
        together.wait()
        upkeep.asked()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    eventually(lambda: manager.running)
    eventually(lambda: before.ours == ["kailash-monitor"])
    upkeep.stop()


def test_a_store_in_use_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "FIRST_PAUSE", 0.01)
    old = AlertManager(MetricsRegistry(), store=tmp_path / "alerts.db")
    new = AlertManager(MetricsRegistry(), store=tmp_path / "alerts.db")
    upkeep = Upkeep(new)
    with old:
        upkeep.start()
        eventually(lambda: new.failure)
        assert "another store of this program uses it" in str(new.failure)
    eventually(lambda: new.running)
    upkeep.stop()


def test_while_it_waits_for_a_store_it_can_be_stopped(tmp_path: Path) -> None:
    before = Newcomers()
    upkeep = Upkeep(new := AlertManager(MetricsRegistry(), store=tmp_path / "alerts.db"))
    with AlertManager(MetricsRegistry(), store=tmp_path / "alerts.db"):
        upkeep.start()
        eventually(lambda: new.failure)
        upkeep.stop()
    eventually(lambda: before.count == 0)
    assert not new.running


PROGRAM = """
    import os, sys, time
    from kailash_monitor.alerts import AlertRule
    from kailash_monitor.blocking import AlertManager
    from kailash_monitor.integrations.serving import Upkeep
    from kailash_monitor.metrics import MetricsRegistry

    registry = MetricsRegistry()
    registry.collector("app").gauge("queue").set(9)
    manager = AlertManager(registry)
    manager.add_rule(AlertRule("long", "d", "error", "queue", "> 3"))

    async def tell(alert, context):
        import asyncio
        await asyncio.sleep(0.3)
        print(await asyncio.to_thread(lambda: "told"), context["kind"], flush=True)

    manager.add_notification_channel(tell)
    upkeep = Upkeep(manager)
    upkeep.set_up()
    upkeep.asked()
    while not manager.get_active_alerts():
        time.sleep(0.01)
"""


def run(program: str, how: str, *, python: str = sys.executable) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [python, "-c", textwrap.dedent(program) + textwrap.dedent(how)],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
    )


@pytest.mark.parametrize(
    "end",
    [
        "",
        "sys.exit(0)",
        "raise SystemExit",
        "import signal; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); os.kill(os.getpid(), signal.SIGTERM); time.sleep(9)",
    ],
)
def test_at_the_end_of_the_process_what_is_under_way_is_told(end: str) -> None:
    """Threads and pools are there as ever, so that every channel works."""
    ended = run(PROGRAM, end)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "told firing\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_child_of_multiprocessing_tells_at_its_end_as_well() -> None:
    start = PROGRAM.replace("upkeep.set_up()", "def work():\n        upkeep.set_up()").replace(
        "    upkeep.asked()\n    while not manager.get_active_alerts():\n        time.sleep(0.01)\n",
        "        upkeep.asked()\n        while not manager.get_active_alerts():\n            time.sleep(0.01)\n",
    )
    how = """
    import multiprocessing
    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join()
    print(child.exitcode, manager.running)
    """
    ended = run(start, how)
    assert (ended.stdout, ended.stderr) == ("told firing\n0 False\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_child_that_is_forked_from_where_it_runs_starts_none_by_a_request() -> None:
    how = """
    import warnings
    warnings.simplefilter("ignore")
    if (child := os.fork()) == 0:
        upkeep.asked()
        time.sleep(0.1)
        os._exit(manager.running)
    print(os.waitpid(child, 0)[1])
    """
    ended = run(PROGRAM, how)
    assert (ended.stdout, ended.stderr) == ("0\ntold firing\n", "")
