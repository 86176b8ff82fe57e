"""Forks find nothing locked, and threads begin as long as Python lets them."""

import gc
import os
import subprocess
import sys
import textwrap
import threading
import weakref

import pytest

from kailash_monitor import threads
from kailash_monitor.threads import begin, guarded, inherited


def _python(script: str) -> str:
    """Give what a script prints."""
    script = "import os, threading, time, warnings\nwarnings.simplefilter('ignore')\n" + textwrap.dedent(script)
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=30)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


@forks
def test_a_fork_waits_until_what_is_guarded_is_whole() -> None:
    printed = _python("""
        from kailash_monitor.threads import guarded

        lock, pair = guarded(threading.RLock()), [0, 0]

        def change():
            while True:
                with lock:
                    pair[0] += 1
                    time.sleep(0.001)
                    pair[1] += 1
                time.sleep(0.001)

        threading.Thread(target=change, daemon=True).start()
        for _ in range(20):
            time.sleep(0.002)
            if (child := os.fork()) == 0:
                os._exit(not lock.acquire(timeout=1) or pair[0] != pair[1])
            assert os.waitpid(child, 0)[1] == 0
        print("well")
    """)
    assert printed == "well\n"


@forks
def test_a_lock_that_is_never_let_go_of_is_free_in_the_child_and_what_it_guards_begins_anew() -> None:
    printed = _python("""
        from kailash_monitor.threads import guarded, inherited

        class Thing:
            anew = False
            def _after_fork(self): self.anew = True

        inherited(thing := Thing())
        locks = [guarded(kind()) for kind in (threading.Lock, threading.RLock)]
        threading.Thread(target=lambda: ([lock.acquire() for lock in locks], time.sleep(20)), daemon=True).start()
        while locks[1].acquire(blocking=False):
            locks[1].release()
        begun = time.monotonic()
        if (child := os.fork()) == 0:
            print(thing.anew, [lock.acquire(timeout=1) for lock in locks], flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        print(time.monotonic() - begun < 2, thing.anew, locks[0].acquire(blocking=False))
    """)
    assert printed == "True [True, True]\nTrue False False\n"


@forks
def test_who_forks_may_hold_the_lock_itself() -> None:
    printed = _python("""
        from kailash_monitor.threads import guarded

        lock = guarded(threading.RLock())
        with lock:
            child = os.fork()
            with lock:
                pass
        if child == 0:
            os._exit(0)
        print(os.waitpid(child, 0)[1])
    """)
    assert printed == "0\n"


@forks
def test_many_threads_may_fork_at_once() -> None:
    printed = _python("""
        from kailash_monitor.threads import guarded

        locks = [guarded(threading.RLock()) for _ in range(100)]

        def fork():
            for _ in range(5):
                if (child := os.fork()) == 0:
                    os._exit(not all(lock.acquire(timeout=1) for lock in locks))
                assert os.waitpid(child, 0)[1] == 0

        threads = [threading.Thread(target=fork) for _ in range(4)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        print(all(lock.acquire(blocking=False) for lock in locks))
    """)
    assert printed == "True\n"


def test_what_is_guarded_or_inherited_is_not_kept_by_that() -> None:
    class Thing:
        def _after_fork(self) -> None: ...

    inherited(thing := Thing())
    gone = [weakref.ref(thing), weakref.ref(lock := guarded(threading.RLock()))]
    del thing, lock
    gc.collect()
    assert [each() for each in gone] == [None, None]


def test_where_python_lets_no_thread_begin_any_more_the_work_is_done_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(why: str) -> None:
        def start(thread: threading.Thread) -> None:
            raise RuntimeError(why)

        monkeypatch.setattr(threads.threading.Thread, "start", start)

    done: list[int] = []
    refuse("can't create new thread at interpreter shutdown")
    begin(lambda: done.append(threading.get_ident()), "work")
    assert done == [threading.get_ident()]
    refuse("can't start new thread")
    with pytest.raises(RuntimeError, match="can't start new thread"):
        begin(lambda: done.append(0), "work")
