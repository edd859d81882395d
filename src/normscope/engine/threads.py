"""A small pool of threads for kernels, which release the interpreter lock.

A *job* is a function that takes numbers from a counter until none is left, so it does not matter
how many threads run it, nor when they begin: with a busy pool the calling thread does all of it.

Whatever a job writes into belongs to the caller, so a call ends when its last worker has: also if
a signal handler raises in the calling thread, and another one, and another while the first is on
its way. A lock of `threading` cannot wait for that, as a signal ends its wait. The interpreter's
own lock under it waits through signals; see `run`.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import threading
import time
from collections.abc import Callable
from numbers import Integral
from queue import Empty, SimpleQueue

Job = Callable[[], object]

PATIENCE = 0.2
"""Seconds that threads which are no longer wanted have for ending before they are let go."""

_python = ctypes.PyDLL("python", handle=ctypes.pythonapi._handle)
_new_lock = _python.PyThread_allocate_lock
_new_lock.argtypes, _new_lock.restype = (), ctypes.c_void_p
_acquire = _python.PyThread_acquire_lock
_acquire.argtypes, _acquire.restype = (ctypes.c_void_p, ctypes.c_int), ctypes.c_int
_release, _free = _python.PyThread_release_lock, _python.PyThread_free_lock
for _function in (_release, _free):
    _function.argtypes, _function.restype = (ctypes.c_void_p,), None
# a library loaded this way lets other threads run while a function of it is waited for
_wait = ctypes.CDLL("python", handle=ctypes.pythonapi._handle).PyThread_acquire_lock
_wait.argtypes, _wait.restype = (ctypes.c_void_p, ctypes.c_int), ctypes.c_int


class _Room:
    """Where workers are while they run a job. They share one lock, and who has it may be inside.

    The caller takes the lock when nobody is inside, and keeps it: then nobody comes in any more.

    Attributes:
        job: what is run inside; None once nothing is left to do.
        lock: the address of the lock.
        error: what the job raised in a worker.
    """

    __slots__ = ("_counting", "_inside", "error", "job", "lock")

    def __init__(self, job: Job) -> None:
        self.job: Job | None = job
        self.error: BaseException | None = None
        self._inside = 0
        self._counting = threading.Lock()  # of workers alone: no signal is handled there
        self.lock = _new_lock()
        if not self.lock:
            raise MemoryError

    def __del__(self, free: Callable[[int], None] = _free) -> None:
        if lock := getattr(self, "lock", None):  # there is none if a signal ended `__init__`
            free(lock)

    def visit(self) -> None:
        """Run the job in a worker, unless the caller has finished it."""
        job = self.job
        if job is None:
            return
        with self._counting:
            if self._inside == 0 and not _acquire(self.lock, 0):
                return
            self._inside += 1
        try:
            job()
        except BaseException as error:
            self.error = error
        finally:
            with self._counting:
                self._inside -= 1
                if self._inside == 0:
                    _release(self.lock)


class _Pool:
    """Threads that wait for rooms to visit. They are made when first needed.

    Attributes:
        rooms: what is to be visited, each as often as it has use for a worker; None: one leaves.
        started: how many threads there are, without those that were told to leave.
    """

    def __init__(self) -> None:
        self.rooms: SimpleQueue[_Room | None] = SimpleQueue()
        self.started = 0
        self._left: SimpleQueue[threading.Thread] = SimpleQueue()
        self._lock = threading.RLock()  # a signal handler may normalize, too

    def invite(self, room: _Room, helpers: int) -> None:
        """Let so many workers visit a room."""
        for _ in range(helpers):
            if self.started < helpers:
                with self._lock:
                    if self.started < helpers:
                        self._start()
            if self.started:
                self.rooms.put(room)

    def shrink(self, most: int) -> None:
        """Let threads leave until there are at most so many; one that works does so afterwards."""
        with self._lock:
            surplus = max(0, self.started - most)
            self.started -= surplus
            for _ in range(surplus):
                self.rooms.put(None)
        end = time.monotonic() + PATIENCE
        for _ in range(surplus):
            try:
                thread = self._left.get(timeout=max(0, end - time.monotonic()))
            except Empty:
                return
            thread.join(max(0, end - time.monotonic()))

    def _start(self) -> None:
        self.started += 1
        thread = threading.Thread(target=self._work, name=f"normscope-{self.started}", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # there are no more threads to be had: fewer do the same work
            self.started -= 1

    def _work(self) -> None:
        rooms = self.rooms
        while True:
            room = rooms.get()
            if room is None:
                self._left.put(threading.current_thread())
                return
            room.visit()
            del room  # what it refers to must not live until the next one comes


_pool = _Pool()
_number: int | None = None


def _renew() -> None:
    """After a fork the child has none of the threads, and locks may be held by nobody."""
    global _pool
    _pool = _Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
atexit.register(lambda: _pool.shrink(0))


def num_threads() -> int:
    """How many threads a large call uses: those set, or the cores this process may use."""
    if _number is not None:
        return _number
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def set_num_threads(number: int | None) -> None:
    """Set how many threads a large call uses, the calling one included.

    Results do not depend on it: they are bitwise the same for any number. Threads are made when
    they are first needed; those that a smaller number has no use for end.

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
    _pool.shrink(num_threads() - 1)


def run(job: Job, most: int) -> None:
    """Run a job on up to `most` threads, one of them the calling one.

    Args:
        job: takes its work from a counter until nothing is left.
        most: no more threads than this would find work.

    Raises:
        BaseException: what the job raised, or a signal handler meanwhile; no thread is at work any
            more.
    """
    helpers = min(num_threads(), most) - 1
    if helpers <= 0:
        job()
        return
    room = _Room(job)
    try:
        _pool.invite(room, helpers)
        job()
        room.job = None
    finally:
        # CPython looks for signals, and so raises what their handlers raise, after a call, at a
        # jump backwards and at the beginning of a Python function. There is none of these between
        # the block above, however it is left, and this call, which no signal ends.
        _wait(room.lock, 1)
        room.job = None  # the pool may still hold the room, which must not hold arrays
    if room.error is not None:
        raise room.error
