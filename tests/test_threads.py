from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator

import pytest

from normscope import threads
from normscope.threads import num_threads, run, set_num_threads


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
