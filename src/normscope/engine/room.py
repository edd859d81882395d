"""Where workers are while they run a job, and the lock that a caller waits for.

A lock of `threading` cannot wait through signals. The interpreter's own lock under it can; it is
reached through ctypes, which only calls on several threads need.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable

Job = Callable[[], object]

_python = ctypes.PyDLL("python", handle=ctypes.pythonapi._handle)
_new_lock = _python.PyThread_allocate_lock
_new_lock.argtypes, _new_lock.restype = (), ctypes.c_void_p
_acquire = _python.PyThread_acquire_lock
_acquire.argtypes, _acquire.restype = (ctypes.c_void_p, ctypes.c_int), ctypes.c_int
_release, _free = _python.PyThread_release_lock, _python.PyThread_free_lock
for _function in (_release, _free):
    _function.argtypes, _function.restype = (ctypes.c_void_p,), None
# a library loaded this way lets other threads run while a function of it is waited for
wait = ctypes.CDLL("python", handle=ctypes.pythonapi._handle).PyThread_acquire_lock
wait.argtypes, wait.restype = (ctypes.c_void_p, ctypes.c_int), ctypes.c_int


class Room:
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
