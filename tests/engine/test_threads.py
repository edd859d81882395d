from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from types import ModuleType

import pytest

import normscope
from normscope.engine import openmp, threads
from normscope.engine.threads import num_threads, set_num_threads
from team_kernels import Call, in_process, kernel, run

needs_torch = pytest.mark.skipif(
    not sys.platform.startswith("linux"),
    reason="the wheels of torch for Linux bring an OpenMP runtime that can be asked",
)


@pytest.fixture(autouse=True)
def _default() -> Iterator[None]:
    yield
    set_num_threads(None)


@pytest.mark.parametrize("number", [0, -1, 1.5, True, "2", 5000])
def test_a_number_that_makes_no_sense_is_refused(number: object) -> None:
    with pytest.raises(ValueError, match="number of threads"):
        set_num_threads(number)  # type: ignore[arg-type]


def test_the_default_is_the_cores_of_this_process() -> None:
    assert num_threads() >= 1
    assert threads._number == 0


def test_no_more_threads_than_items() -> None:
    set_num_threads(8)
    assert run(Call(items=2, nap=1000)).most <= 2


def test_a_small_job_is_done_by_its_caller() -> None:
    set_num_threads(8)
    for _ in range(20):
        call = Call(items=20, nap=20)
        threads.run(kernel("napping"), call, call.items, threads.SHARED - 1)
        assert (call.done, call.most) == (20, 1)


def test_which_threads_are_used_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openmp, "_found", None)
    monkeypatch.setattr(openmp, "_is_settled", True)
    set_num_threads(3)
    told = normscope.threads()
    assert (repr(told), told.number) == ("3 threads of normscope's own pool", 3)
    with pytest.raises(AttributeError):
        told.number = 2  # type: ignore[misc]
    set_num_threads(1)
    assert str(normscope.threads()) == "1 thread"
    set_num_threads(4)
    monkeypatch.setattr(threads, "kernels_built", lambda: False)
    assert str(normscope.threads()) == "1 thread"


def test_a_module_that_only_has_the_name_of_torch_is_no_team(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))
    monkeypatch.setattr(openmp, "_found", None)
    monkeypatch.setattr(openmp, "_is_settled", False)
    monkeypatch.setattr(openmp, "_LIBRARIES", {sys.platform: "libnothing_of_torch.so"})
    assert openmp.of_torch() is None
    assert num_threads() >= 1


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
    call = Call(items=6, nap=2000)
    try:
        for _ in range(40):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.003)
                run(call)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except StopError:
                stopped += 1
            assert not call.inside
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert stopped > 0


def test_little_is_added_to_a_call() -> None:
    call, nothing = Call(items=0), kernel("napping")
    best = min(_seconds_for(nothing, call) for _ in range(10))
    assert best < 6e-6  # it is 0.7 us; this is for slow machines


def _seconds_for(nothing: int, call: Call) -> float:
    began = time.process_time()
    for _ in range(1000):
        threads.run(nothing, call, 1, 100)
    return (time.process_time() - began) / 1000


WITH_TORCH = """
import os, threading
import numpy as np
import normscope as ns
from team_kernels import Call, nested, run

def bits():
    return ns.normalize(x, "b [c]").tobytes()

x = np.random.default_rng(0).standard_normal((1000, 768)).astype("f4")
ns.set_num_threads(1)
expected = bits()
ns.set_num_threads(None)
assert "pool" in str(ns.threads()) or ns.threads().number == 1

import torch

torch.set_num_threads(3)
ns.set_num_threads(3)
assert str(ns.threads()) == "3 threads of torch's OpenMP team (libgomp)", ns.threads()
for _ in range(3):
    torch.ones(1 << 20).add_(1)
    assert bits() == expected
    call = run(Call(items=30, nap=1000))
    assert (call.done, call.inside) == (30, 0)

# ours stays in charge: fewer, and more than torch has
ns.set_num_threads(2)
assert all(run(Call(items=30, nap=1000)).most <= 2 for _ in range(3))
ns.set_num_threads(4)
assert str(ns.threads()) == "4 threads of normscope's own pool"
assert bits() == expected
ns.set_num_threads(None)

# as few as torch, if nothing is said
torch.set_num_threads(1)
assert str(ns.threads()) == "1 thread"
torch.set_num_threads(3)

# inside a kernel on the team a kernel has one thread; many callers at once are safe
ns.set_num_threads(3)
inner = Call(items=3)
run(nested(inner, items=50), "nesting")
assert inner.done == 150
wrong = []
def often():
    for _ in range(10):
        if bits() != expected or run(Call(items=5)).done != 5:
            wrong.append(1)
callers = [threading.Thread(target=often) for _ in range(8)]
for caller in callers:
    caller.start()
for caller in callers:
    caller.join()
assert not wrong

# the team of a forked process would wait for threads that are not there
child = os.fork()
if not child:
    assert str(ns.threads()) == "3 threads of normscope's own pool"
    assert run(Call(items=60, nap=1000)).most > 1
    assert bits() == expected
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert bits() == expected

class Rows(torch.utils.data.Dataset):
    def __len__(self):
        return 4
    def __getitem__(self, i):
        same = bits() == expected
        return torch.tensor([same, ns.threads().number])

ns.set_num_threads(None)
loader = torch.utils.data.DataLoader(Rows(), num_workers=2, multiprocessing_context="fork")
print(sorted({tuple(map(int, row)) for batch in loader for row in batch}))
"""


@pytest.mark.framework
@needs_torch
def test_with_torch_there_is_one_team() -> None:
    assert in_process(WITH_TORCH) == "[(1, 1)]\n"


@pytest.mark.framework
@needs_torch
@pytest.mark.skipif(not hasattr(os, "fork"), reason="only Unix forks")
def test_a_process_that_was_forked_before_we_were_imported_keeps_to_its_own_pool() -> None:
    code = """
    import os
    import torch
    torch.set_num_threads(2)
    torch.ones(1 << 20).add_(1)
    child = os.fork()
    if not child:
        import numpy as np
        import normscope as ns
        ns.set_num_threads(2)
        ns.normalize(np.ones((1000, 768), "f4"), "b [c]")
        print(ns.threads(), flush=True)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    """
    assert in_process(code) == "2 threads of normscope's own pool\n"
