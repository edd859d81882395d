"""Honest times: all candidates in turn, each after a rest; medians, and the noise beside them.

The threads of a peer go on spinning for milliseconds after its operator (those of OpenMP do, to
begin the next one at once), and would take a core from whoever is measured next. So every turn
begins with a rest that lasts until no thread of the process is busy.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Call = Callable[[], object]

BLOCK = 1e-3
"""Seconds: as many calls of a tight loop are timed at once as this takes."""
SLOW = 0.05
"""Seconds: longer calls have no use for others just before, which are not timed."""
GLANCE, LONGEST_REST = 2e-3, 0.1
QUIET = 0.1
"""How much of a core a process at rest may use: the glances themselves."""


@dataclass(frozen=True)
class Candidate:
    """What is timed.

    Attributes:
        call: is timed.
        before: is called right before each timed call, and not timed. Without it, calls follow each
            other in a tight loop.
    """

    call: Call
    before: Call | None = None


class _Timer:
    """Times one candidate, turn after turn. It is called twice before, for compilers and caches."""

    def __init__(self, candidate: Candidate) -> None:
        self.call, self.before = candidate.call, candidate.before
        self.call()
        began = time.perf_counter()
        self.call()
        self._once = time.perf_counter() - began

    def turn(self) -> float:
        """Seconds of a call, after a rest."""
        settle()
        if self.before is not None:
            self.call()
            self.before()
            return self._timed(1)
        number = max(1, min(1000, int(BLOCK / max(1e-7, self._once))))
        if self._once < SLOW:
            self._timed(number)
        return self._timed(number)

    def _timed(self, number: int) -> float:
        began = time.perf_counter()
        for _ in range(number):
            self.call()
        return (time.perf_counter() - began) / number


@dataclass(frozen=True)
class Time:
    """Median seconds of one call, and the noise: half the middle range as a share of the median."""

    seconds: float
    noise: float
    rounds: int


def in_turn(
    candidates: Mapping[str, Candidate | Call], seconds: float = 1.0, rounds: int = 7
) -> dict[str, Time]:
    """Time candidates alternately, so that whatever else the machine does falls on all of them.

    Args:
        candidates: by name; each is called twice before, for compilers and caches.
        seconds: for all of them together, after which no new round begins.
        rounds: at least so many, however long they take.
    """
    timers = {
        name: _Timer(given if isinstance(given, Candidate) else Candidate(given))
        for name, given in candidates.items()
    }
    taken: dict[str, list[float]] = {name: [] for name in timers}
    end = time.perf_counter() + seconds
    done = 0
    while timers and (time.perf_counter() < end or done < rounds):
        for name, timer in timers.items():
            taken[name].append(timer.turn())
        done += 1
    return {name: summary(values) for name, values in taken.items()}


def settle() -> None:
    """Rest until no thread of this process is busy, or for as long as is reasonable."""
    end = time.perf_counter() + LONGEST_REST
    while time.perf_counter() < end:
        used, began = time.process_time(), time.perf_counter()
        time.sleep(GLANCE)
        if time.process_time() - used < QUIET * (time.perf_counter() - began):
            return


def summary(values: list[float]) -> Time:
    """The median, and how far the middle half lies around it."""
    low, middle, high = statistics.quantiles(values, n=4)
    return Time(middle, (high - low) / 2 / middle, len(values))


def shown(seconds: float) -> str:
    """`12.3 us`, `4.56 ms`: three digits."""
    unit, factor = next(
        (unit, factor)
        for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6))
        if seconds * factor >= 1 or unit == "us"
    )
    value = seconds * factor
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} {unit}"
