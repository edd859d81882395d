"""Honest times: all candidates in turn, medians, and the noise beside them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

CACHE_FILE = Path("/sys/devices/system/cpu/cpu0/cache/index2/size")


def cache_of_a_core() -> int:
    """Bytes of its second level; how much of the last one it may use is known to nobody."""
    try:
        return int(CACHE_FILE.read_text().strip().removesuffix("K")) << 10
    except (OSError, ValueError):
        return 2 << 20


@dataclass(frozen=True)
class Time:
    """Median seconds of one call, and the noise: half the middle range as a share of the median."""

    seconds: float
    noise: float
    repeats: int


def in_turn(calls: dict[str, Callable[[], object]], budget: float = 2.0) -> dict[str, Time]:
    """Time calls alternately, so that whatever else the machine does falls on all of them.

    Args:
        calls: by name; each is called twice before, for compilers and caches.
        budget: seconds for all of them together, after which no new round begins.
    """
    for call in calls.values():
        call()
        call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    inner = {name: _repeats(call) for name, call in calls.items()}
    end = time.perf_counter() + budget
    while time.perf_counter() < end or len(next(iter(seconds.values()))) < 7:
        for name, call in calls.items():
            began = time.perf_counter()
            for _ in range(inner[name]):
                call()
            seconds[name].append((time.perf_counter() - began) / inner[name])
    return {name: _summary(values) for name, values in seconds.items()}


def _repeats(call: Callable[[], object]) -> int:
    began = time.perf_counter()
    call()
    return max(1, min(1000, int(2e-4 / max(1e-7, time.perf_counter() - began))))


def _summary(values: list[float]) -> Time:
    low, middle, high = statistics.quantiles(values, n=4)
    return Time(middle, (high - low) / 2 / middle, len(values))
