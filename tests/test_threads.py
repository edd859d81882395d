from __future__ import annotations

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
