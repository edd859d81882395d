from __future__ import annotations

import _thread
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator

import pytest

from normscope.engine import threads
from normscope.engine.threads import num_threads, run, set_num_threads


@pytest.fixture(autouse=True)
def _default() -> Iterator[None]:
    yield
    set_num_threads(None)


def counting(total: int, seen: list[str]):  # type: ignore[no-untyped-def]
    lock = threading.Lock()
    left = [total]

    def job() -> None:
        while True:
            with lock:
                if left[0] == 0:
                    return
                left[0] -= 1
                seen.append(threading.current_thread().name)
            time.sleep(0.001)

    return job


@pytest.mark.parametrize("number", [1, 2, 8])
def test_all_work_is_done_once(number: int) -> None:
    set_num_threads(number)
    seen: list[str] = []
    run(counting(100, seen), 100)
    assert len(seen) == 100
    assert len(set(seen)) <= number
    assert number == 1 or len(set(seen)) > 1


def test_no_more_threads_than_useful() -> None:
    set_num_threads(8)
    seen: list[str] = []
    run(counting(50, seen), 2)
    assert len(set(seen)) <= 2


def test_a_busy_pool_does_not_hold_up_the_caller() -> None:
    set_num_threads(2)
    stop = threading.Event()
    blocker = threading.Thread(target=run, args=(stop.wait, 2))
    blocker.start()
    seen: list[str] = []
    began = time.monotonic()
    run(counting(3, seen), 3)
    assert time.monotonic() - began < 5
    assert len(seen) == 3
    stop.set()
    blocker.join()


def test_an_error_of_any_thread_arrives() -> None:
    set_num_threads(2)
    caller = threading.current_thread()

    def job() -> None:
        if threading.current_thread() is not caller:
            raise RuntimeError("in the helper")
        time.sleep(0.2)

    with pytest.raises(RuntimeError, match="in the helper"):
        run(job, 2)
    run(lambda: None, 2)


@pytest.mark.parametrize("number", [0, -1, 1.5, True, "2", 5000])
def test_a_number_that_makes_no_sense_is_refused(number: object) -> None:
    with pytest.raises(ValueError, match="number of threads"):
        set_num_threads(number)  # type: ignore[arg-type]


def test_the_default_is_the_cores_of_this_process() -> None:
    assert num_threads() >= 1
    assert threads._number is None


def test_a_thread_that_cannot_be_started_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_pool", threads._Pool())
    real = threading.Thread.start
    names: list[str] = []

    def start(self: threading.Thread) -> None:
        names.append(self.name)
        if len(names) == 2:
            raise RuntimeError("can't start new thread")
        real(self)

    monkeypatch.setattr(threading.Thread, "start", start)
    set_num_threads(8)
    seen: list[str] = []
    run(counting(60, seen), 60)
    assert len(seen) == 60
    assert len(names) > 2
    threads._pool.shrink(0)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="only Unix has timers that interrupt")
def test_a_signal_does_not_leave_threads_behind() -> None:
    """What they write into may be freed as soon as the call has ended, however it ended."""

    class StopError(Exception):
        pass

    def stop(*_: object) -> None:
        raise StopError

    set_num_threads(2)
    before = signal.signal(signal.SIGALRM, stop)
    stopped = 0
    try:
        for _ in range(40):
            running: list[int] = []
            begun = threading.Event()

            def job(running: list[int] = running, begun: threading.Event = begun) -> None:
                if threading.current_thread() is threading.main_thread():
                    begun.wait(1)
                    return
                running.append(1)
                begun.set()
                time.sleep(0.02)
                running.pop()

            try:
                signal.setitimer(signal.ITIMER_REAL, 0.005)
                run(job, 2)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except StopError:
                stopped += 1
            assert not running
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert stopped > 0


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="only Unix has so many signals")
def test_several_signals_at_once_do_not_leave_threads_behind() -> None:
    """The handlers run one after the other, each where the exception of the one before has come."""

    class StopError(Exception):
        pass

    armed = True

    def stop(*_: object) -> None:
        if armed:
            raise StopError

    signals = [signal.SIGALRM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGVTALRM, signal.SIGPROF]
    before = {number: signal.signal(number, stop) for number in signals}
    begun, running = threading.Event(), [1]

    def job() -> None:
        if threading.current_thread() is threading.main_thread():
            begun.wait(1)
            list(map(_thread.interrupt_main, signals))  # one call, so all are there at once
            return
        begun.set()
        time.sleep(0.3)
        running.pop()

    set_num_threads(2)
    try:
        run(job, 2)
    except StopError:
        armed = False  # at once: the next handler is waiting
    try:
        assert not armed
        assert not running
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


STORM = """
import random, signal, sys, threading, time
from functools import partial
import numpy as np
from normscope import fit, gradients, normalize, set_buffer_limit, set_num_threads
from normscope.engine import threads

class StopError(Exception):
    pass

def handler(*_):
    if armed:
        raise StopError

armed = False
inside = []
real = threads.run

def run(job, most):
    def seen():
        if threading.current_thread() is threading.main_thread():
            return job()
        inside.append(1)
        try:
            job()
        finally:
            inside.pop()
    real(seen, most)

threads.run = run
set_num_threads(2)
x = np.random.default_rng(0).standard_normal((1000, 4096)).astype("f4")
out = np.empty_like(x)
known = {"mean": np.zeros(1000), "rstd": np.ones(1000)}
calls = [
    partial(normalize, x, "b [c]", out=out),
    partial(normalize, x, "[b] c"),
    partial(gradients, x, x, "b [c]", **known, out=out),
    lambda: fit("b [c]", (piece for piece in [x, x])),
]
for call in calls:
    call()
signal.signal(signal.SIGALRM, handler)
choice = random.Random(1)
interrupted = late = 0
end = time.monotonic() + 4
while time.monotonic() < end:
    call = choice.choice(calls)
    signal.setitimer(signal.ITIMER_REAL, choice.uniform(0.0002, 0.006), 0.0002)
    try:
        armed = True
        call()
        armed = False
    except StopError:
        armed = False  # first of all: a signal may be waiting
        interrupted += 1
    late += len(inside)
    signal.setitimer(signal.ITIMER_REAL, 0)
signal.signal(signal.SIGALRM, signal.SIG_IGN)
print(interrupted, late)
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="only Unix has timers that interrupt")
def test_a_storm_of_signals_does_not_leave_threads_behind() -> None:
    command = [sys.executable, "-c", STORM]
    stormed = subprocess.run(command, capture_output=True, text=True, check=True)
    interrupted, late = map(int, stormed.stdout.split())
    assert interrupted > 20
    assert late == 0
    assert "AttributeError" not in stormed.stderr  # of what a signal left half made


def workers() -> int:
    return sum(thread.name.startswith("normscope-") for thread in threading.enumerate())


def test_threads_that_are_no_longer_wanted_end() -> None:
    set_num_threads(20)
    run(counting(200, []), 20)
    assert workers() == 19
    set_num_threads(4)
    assert workers() == 3
    seen: list[str] = []
    run(counting(100, seen), 20)
    assert len(seen) == 100
    assert 1 < len(set(seen)) <= 4
    set_num_threads(1)
    assert workers() == 0
    set_num_threads(2)
    run(counting(20, []), 2)
    assert workers() == 1


def test_a_thread_at_work_ends_afterwards() -> None:
    set_num_threads(3)
    stop = threading.Event()
    at_work = threading.Semaphore(0)

    def job() -> None:
        at_work.release()
        stop.wait(60)

    blocker = threading.Thread(target=run, args=(job, 3), daemon=True)
    blocker.start()
    for _ in range(3):
        assert at_work.acquire(timeout=20)
    began = time.monotonic()
    set_num_threads(1)
    took, left = time.monotonic() - began, workers()
    stop.set()
    blocker.join()
    assert took < 5
    assert left == 2
    end = time.monotonic() + 5
    while workers() and time.monotonic() < end:
        time.sleep(0.001)
    assert workers() == 0


def test_a_job_without_workers_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a job refers to, such as large arrays, is let go when the call ends."""
    monkeypatch.setattr(threads, "_pool", threads._Pool())

    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    set_num_threads(8)

    def job() -> None:
        pass

    gone = weakref.ref(job)
    run(job, 8)
    del job
    assert gone() is None
    assert threads._pool.rooms.empty()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only Unix forks")
def test_a_forked_process_and_the_end_of_one() -> None:
    code = """
import atexit, os, threading, time
atexit.register(lambda: print(named()))  # what is registered first is called last
from normscope import set_num_threads
from normscope.engine.threads import run
def named():
    return [t.name for t in threading.enumerate() if t.name.startswith("normscope-")]
set_num_threads(8)
run(lambda: time.sleep(0.05), 8)
assert len(named()) == 7
child = os.fork()
run(lambda: time.sleep(0.05), 8)
assert len(named()) == 7
set_num_threads(2)
assert len(named()) == 1
if child:
    _, status = os.waitpid(child, 0)
    assert status == 0, status
"""
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "[]\n[]\n", "")
