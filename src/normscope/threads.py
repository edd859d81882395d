"""A small pool of threads for kernels, which release the interpreter lock.

A *job* is a function that takes numbers from a counter until none is left, so it does not matter
how many threads run it, nor when they begin: with a busy pool the calling thread does all of it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from numbers import Integral
from queue import SimpleQueue

Job = Callable[[], object]


class _Share:
    """One thread's part in a job: it is started by a worker, or withdrawn before that."""

    __slots__ = ("_done", "_ended", "_taken", "error", "job")

    def __init__(self, job: Job) -> None:
        self.job = job
        self.error: BaseException | None = None
        self._taken: dict[str, str] = {}  # `setdefault` decides, once, who has the share
        self._ended = False
        self._done = threading.Lock()
        self._done.acquire()

    def run(self) -> None:
        """Run the job, unless it was withdrawn."""
        if self._taken.setdefault("by", "worker") != "worker":
            return
        try:
            self.job()
        except BaseException as error:
            self.error = error
        finally:
            self._ended = True
            self._done.release()

    def finish(self) -> None:
        """Withdraw the share if it has not begun, else wait for its end; may be called again."""
        if self._taken.setdefault("by", "caller") == "worker" and not self._ended:
            self._done.acquire()


class _Pool:
    """Threads that wait for shares. They are made when first needed, and end with the process."""

    def __init__(self) -> None:
        self.shares: SimpleQueue[_Share] = SimpleQueue()
        self.started = 0
        self.lock = threading.Lock()

    def submit(self, share: _Share, most: int) -> None:
        if self.started < most:
            with self.lock:
                if self.started < most:
                    self._start()
        self.shares.put(share)

    def _start(self) -> None:
        name = f"normscope-{self.started + 1}"
        try:
            threading.Thread(target=self._work, name=name, daemon=True).start()
        except RuntimeError:  # there are no more threads to be had: fewer do the same work
            return
        self.started += 1

    def _work(self) -> None:
        shares = self.shares
        while True:
            share = shares.get()
            share.run()
            del share  # what it refers to must not live until the next one comes


_pool = _Pool()
_number: int | None = None


def _renew() -> None:
    """After a fork the child has none of the threads, and locks may be held by nobody."""
    global _pool
    _pool = _Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


def num_threads() -> int:
    """How many threads a large call uses: those set, or the cores this process may use."""
    if _number is not None:
        return _number
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def set_num_threads(number: int | None) -> None:
    """Set how many threads a large call uses, the calling one included.

    Results do not depend on it: they are bitwise the same for any number.

    Args:
        number: 1 or more; None: as many as there are cores that this process may use.

    Raises:
        ValueError: the number is not a positive integer.

    Example:
        >>> set_num_threads(1)
        >>> num_threads()
        1
        >>> set_num_threads(None)
    """
    global _number
    if number is not None and (
        not isinstance(number, Integral) or isinstance(number, bool) or not 1 <= number <= 1024
    ):
        raise ValueError(f"the number of threads is an integer from 1 to 1024, not {number!r}")
    _number = None if number is None else int(number)


def run(job: Job, most: int) -> None:
    """Run a job on up to `most` threads, one of them the calling one.

    Args:
        job: takes its work from a counter until nothing is left.
        most: no more threads than this would find work.

    Raises:
        Exception: what the job raised.
    """
    helpers = min(num_threads(), most) - 1
    if helpers <= 0:
        job()
        return
    shares = [_Share(job) for _ in range(helpers)]
    pool = _pool
    try:
        for share in shares:
            pool.submit(share, helpers)
        job()
    finally:
        _finish(shares)


def _finish(shares: list[_Share]) -> None:
    """Wait for all shares, even if a signal interrupts that: they write into memory of the caller.

    Raises:
        BaseException: what a signal handler raised meanwhile, or what a share raised.
    """
    interrupted: BaseException | None = None
    number = 0
    while number < len(shares):
        try:
            shares[number].finish()
            number += 1
        except BaseException as error:
            interrupted = error
    if interrupted is not None:
        raise interrupted
    for share in shares:
        if share.error is not None:
            raise share.error
