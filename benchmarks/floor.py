"""The floor below which no call can come: a plain copy of the same array, and passes of reading."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from queue import SimpleQueue

import numpy as np

from benchmarks.machine import cores
from benchmarks.timing import Call, Time

SHARED = 1 << 20
"""Bytes from which a copy is also tried on all cores."""


class _Helpers:
    """Threads that do what is asked of them, beside the one that asks."""

    def __init__(self) -> None:
        self.asked: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self.done: SimpleQueue[None] = SimpleQueue()
        for _ in range(cores() - 1):
            threading.Thread(target=self._work, daemon=True).start()

    def run(self, jobs: list[Callable[[], object]]) -> None:
        """Do all of them, the first one here."""
        for job in jobs[1:]:
            self.asked.put(job)
        jobs[0]()
        for _ in jobs[1:]:
            self.done.get()

    def _work(self) -> None:
        while True:
            self.asked.get()()
            self.done.put(None)


def copies(x: np.ndarray, out: np.ndarray) -> dict[str, Call]:
    """Copies of an array: by one thread, and by all where it is large."""
    return _ways("copy", np.copyto, out.ravel(), x.ravel())


def reads(x: np.ndarray) -> dict[str, Call]:
    """Passes of reading, likewise: a reduction of the bits, which NumPy vectorizes."""
    octets = x.ravel().view(np.uint8)
    return _ways("read", np.bitwise_or.reduce, octets[: octets.size // 8 * 8].view(np.int64))


def best(times: Mapping[str, Time], what: str) -> float:
    """Seconds of the faster way to `copy` or `read`."""
    return min(time.seconds for name, time in times.items() if name.split(", ")[0] == what)


def is_peer(name: str) -> bool:
    """Whether this is neither a part of the floor nor ours."""
    return name.split(", ")[0] not in ("copy", "read", "normscope")


def _ways(name: str, work: Callable[..., object], *arrays: np.ndarray) -> dict[str, Call]:
    ways: dict[str, Call] = {name: partial(work, *arrays)}
    if arrays[0].nbytes >= SHARED and cores() > 1:
        helpers = _Helpers()
        parts = zip(*(np.array_split(array, cores()) for array in arrays), strict=True)
        jobs = [partial(work, *part) for part in parts]
        ways[f"{name}, all cores"] = lambda: helpers.run(jobs)
    return ways
