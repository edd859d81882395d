"""A small pool of threads for kernels, which release the interpreter lock.

A *job* is a function that takes numbers from a counter until none is left, so it does not matter
how many threads run it, nor when they begin: with a busy pool the calling thread does all of it.

Whatever a job writes into belongs to the caller, so a call ends when its last worker has: also if
a signal handler raises in the calling thread, and another one, and another while the first is on
its way: see `run`.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import threading
import time
from functools import cache
from numbers import Integral
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from normscope.engine.room import Room

PATIENCE = 0.2
"""Seconds that threads which are no longer wanted have for ending before they are let go."""


class _Pool:
    """Threads that wait for rooms to visit. They are made when first needed.

    Attributes:
        rooms: what is to be visited, each as often as it has use for a worker; None: one leaves.
        started: how many threads there are, without those that were told to leave.
    """

    def __init__(self) -> None:
        self.rooms: SimpleQueue[Room | None] = SimpleQueue()
        self.started = 0
        self._left: SimpleQueue[threading.Thread] = SimpleQueue()
        self._lock = threading.RLock()  # a signal handler may normalize, too

    def invite(self, room: Room, helpers: int) -> None:
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


def run(kernel: int, call: Any, items: int, size: int) -> None:
    """Run a kernel on a call of `normscope.kernels.calls`, in the calling thread alone.

    Args:
        kernel: its address.
        call: the structure that it is given.
        items: how many pieces the work has.
        size: bytes that are read and written.
    """
    counter = ctypes.c_int64(0)
    _function(kernel)(ctypes.byref(call), ctypes.byref(counter))


@cache
def _function(kernel: int) -> Any:
    return ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(kernel)
