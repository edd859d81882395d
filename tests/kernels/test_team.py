"""The threads in C: each promise of `team.c`. What could hang runs in a process with a limit."""

from __future__ import annotations

import os
import sys
import textwrap
import threading
import time
from collections.abc import Iterator

import pytest

from normscope.engine import openmp, threads
from normscope.engine.threads import set_num_threads
from team_kernels import Call, in_process, library, nested, run

MANY = Call(items=60, nap=1000)


@pytest.fixture(autouse=True)
def _own_pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if torch were not loaded, which other tests of the same process do."""
    monkeypatch.setattr(openmp, "of_torch", lambda: None)
    yield
    set_num_threads(None)


def helpers() -> int:
    return threads._team().helpers()


def alone(code: str, *options: str) -> str:
    """What a process prints that has the test kernels."""
    given = "from team_kernels import *\nfrom normscope import set_num_threads\n"
    return in_process(given + textwrap.dedent(code), *options)


@pytest.mark.parametrize("number", [1, 2, 8])
def test_all_work_is_done_once(number: int) -> None:
    set_num_threads(number)
    run(MANY)
    assert MANY.done == 60
    assert MANY.inside == 0
    assert MANY.most <= number
    assert number == 1 or MANY.most > 1


def test_a_call_ends_when_nobody_is_inside_any_more() -> None:
    set_num_threads(4)
    for nap in (0, 10, 300):
        for _ in range(200 if nap < 100 else 20):
            call = run(Call(items=7, nap=nap))
            assert (call.done, call.inside) == (7, 0)


def test_helpers_that_are_busy_elsewhere_do_not_hold_up_a_caller() -> None:
    set_num_threads(2)
    busy = threading.Thread(target=run, args=(Call(items=2, nap=500_000),))
    busy.start()
    time.sleep(0.05)
    began = time.monotonic()
    assert run(Call(items=3)).done == 3
    assert time.monotonic() - began < 0.3
    busy.join()


def test_there_is_stack_for_the_scratch_memory_of_kernels() -> None:
    set_num_threads(4)
    assert run(Call(items=40, nap=1000, stack=1 << 20), "deep").most > 1


def test_a_kernel_that_is_run_inside_a_kernel_has_one_thread() -> None:
    set_num_threads(4)
    inner = Call(items=3)
    outer = run(nested(inner, items=200), "nesting")
    assert (outer.done, inner.done, inner.inside) == (200, 600, 0)
    assert inner.most <= 4


def test_sixteen_callers_at_once() -> None:
    set_num_threads(3)
    wrong = []

    def call_often() -> None:
        call = Call(items=5, nap=10)
        for _ in range(60):
            if run(call).done != 5 or call.inside or call.most > 3:
                wrong.append(call)

    callers = [threading.Thread(target=call_often) for _ in range(24)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(30)
    assert not wrong
    assert helpers() <= 2


def test_threads_that_are_no_longer_wanted_end() -> None:
    set_num_threads(20)
    run(MANY)
    assert helpers() == 19
    set_num_threads(4)
    assert helpers() == 3
    assert 1 < run(MANY).most <= 4
    set_num_threads(1)
    assert helpers() == 0
    set_num_threads(2)
    run(MANY)
    assert helpers() == 1


def test_a_thread_at_work_ends_afterwards() -> None:
    set_num_threads(3)
    call = Call(items=3, nap=900_000)
    busy = threading.Thread(target=run, args=(call,))
    busy.start()
    while call.inside < 3:
        time.sleep(0.001)
    began = time.monotonic()
    set_num_threads(1)
    assert time.monotonic() - began < 0.6
    assert helpers() == 2
    busy.join()
    end = time.monotonic() + 5
    while helpers() and time.monotonic() < end:
        time.sleep(0.001)
    assert helpers() == 0
    set_num_threads(3)
    assert run(MANY).most > 1  # others are made in their place


def test_the_number_may_change_while_others_call() -> None:
    code = """
    import random, threading, time
    wrong = []
    end = time.monotonic() + 1
    def call_often():
        call = Call(items=6, nap=20)
        while time.monotonic() < end:
            if run(call).done != 6 or call.inside:
                wrong.append(call)
    callers = [threading.Thread(target=call_often) for _ in range(4)]
    for caller in callers:
        caller.start()
    while time.monotonic() < end:
        set_num_threads(random.randint(1, 9))
    for caller in callers:
        caller.join()
    set_num_threads(2)
    print(len(wrong), threads._team().helpers() <= 1)
    """
    assert alone(code) == "0 True\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only Unix forks")
def test_a_forked_process_has_threads_of_its_own() -> None:
    code = """
    import os, threading, time
    set_num_threads(4)
    call = Call(items=60, nap=1000)
    assert run(call).most > 1
    busy = threading.Thread(target=run, args=(Call(items=4, nap=300_000),))
    busy.start()
    time.sleep(0.1)
    child = os.fork()
    assert run(call).done == 60
    if not child:
        assert call.most > 1
        assert threads._team().helpers() == 3
        set_num_threads(1)
        assert threads._team().helpers() == 0
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    busy.join()
    print("both")
    """
    assert alone(code) == "both\n"


def test_a_process_ends_while_threads_wait_or_work() -> None:
    code = """
    import threading, time
    set_num_threads(4)
    run(Call(items=60, nap=100))
    threading.Thread(target=run, args=(Call(items=8, nap=900_000),), daemon=True).start()
    time.sleep(0.1)
    print("end")
    """
    assert alone(code) == "end\n"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="cores are told on Linux alone")
def test_the_cores_that_a_caller_may_use_are_kept() -> None:
    code = """
    import os, time
    def allowed():
        return [os.sched_getaffinity(int(task)) for task in os.listdir("/proc/self/task")]
    whole = os.sched_getaffinity(0)
    set_num_threads(3)
    def apart():
        for _ in range(5):
            time.sleep(0.002)
            run(Call(items=3, nap=200))
    apart()
    assert all(each <= whole for each in allowed()), allowed()
    one = {min(whole)}
    os.sched_setaffinity(0, one)
    apart()
    assert all(each == one for each in allowed()), allowed()
    assert os.sched_getaffinity(0) == one
    os.sched_setaffinity(0, whole)
    apart()
    assert os.sched_getaffinity(0) == whole
    print("kept")
    """
    assert alone(code) == "kept\n"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux alone has such clocks")
def test_whether_another_thread_is_running_is_seen() -> None:
    end, asked = threading.Event(), library().running

    def work() -> None:
        while not end.is_set():
            sum(range(1000))

    working, waiting = threading.Thread(target=work), threading.Thread(target=end.wait)
    for thread in (working, waiting):
        thread.start()
    time.sleep(0.05)
    assert not any(asked(waiting.native_id) for _ in range(50))
    until = time.monotonic() + 10  # other programs may have the cores, at times
    while not (seen := asked(working.native_id)) and time.monotonic() < until:
        time.sleep(0.001)
    end.set()
    assert seen
    for thread in (working, waiting):
        thread.join()
    time.sleep(0.1)  # the system is told of an end a moment later
    assert not any(asked(thread.native_id) for thread in (working, waiting))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only Unix has such signals")
def test_signals_go_to_threads_of_the_program() -> None:
    code = """
    import os, signal, time
    came = []
    signal.signal(signal.SIGUSR1, lambda *_: came.append(run(Call(items=2)).done))
    set_num_threads(4)
    run(Call(items=60, nap=100))
    for task in os.listdir("/proc/self/task") if os.path.exists("/proc/self/task") else []:
        blocked = open(f"/proc/self/task/{task}/status").read().split("SigBlk:")[1].split()[0]
        assert (int(task) == os.getpid()) == (int(blocked, 16) == 0), (task, blocked)
    for _ in range(20):
        os.kill(os.getpid(), signal.SIGUSR1)
        run(Call(items=4, nap=100))
    print(len(came), set(came))
    """
    assert alone(code) == "20 {2}\n"
