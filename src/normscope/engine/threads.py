"""How many threads run a kernel, and which.

They are those of the pool in `kernels/source/team.c`, which wait outside the interpreter and need
none of its locks, or those of torch: see `openmp.py`. A kernel takes items until none is left, so
results do not depend on who is there to help. A call ends when no thread is in the kernel any more;
what signal handlers raise comes after that, since the interpreter looks for signals only when the
call is over.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from numbers import Integral
from typing import TYPE_CHECKING, Any, NamedTuple

from normscope.engine import openmp
from normscope.kernels.library import address_of, kernels_built

if TYPE_CHECKING:
    from ctypes import Structure

SHARED = 1 << 18
"""Bytes read from which a job is shared with threads that are awake: layer norm of 128 rows of 768
floats takes 35 us alone, 27 with another thread."""
WAKING = 1 << 20
"""Bytes read from which it is worth waking threads that sleep. That takes 10 to 15 us of the
caller's time, and they begin 30 to 40 us later; where calls are 10 ms apart 256 rows take as long
as alone, 512 rows five sixths of it."""

JOINED = 8 << 20
"""Bytes read from which the team of torch is joined even if it sleeps: its threads may then come
milliseconds late, for which the call has to wait, where one of 1.5 MiB takes a tenth of one."""

_ALL = 1024
_IF_AWAKE, _WAKE, _WAIT = range(3)
"""What a job is worth: see `kernels/source/team.h`."""


class _Team(NamedTuple):
    """The functions of `team.h`, and what gives the address of a call."""

    run: Callable[[int, Any, int, int, int], None]
    join: Callable[[int, Any, int, int, int], None]
    found: Callable[[int, int, int], None]
    limit: Callable[[int], None]
    helpers: Callable[[], int]
    byref: Callable[[Structure], Any]


@cache
def _team() -> _Team:
    from ctypes import CFUNCTYPE, byref, c_int64, c_void_p

    run = CFUNCTYPE(None, c_void_p, c_void_p, c_int64, c_int64, c_int64)
    return _Team(
        run(address_of("team_run")),
        run(address_of("team_join")),
        CFUNCTYPE(None, c_void_p, c_void_p, c_void_p)(address_of("team_found")),
        CFUNCTYPE(None, c_int64)(address_of("team_limit")),
        CFUNCTYPE(c_int64)(address_of("team_helpers")),
        byref,
    )


@cache
def _alone() -> tuple[Any, ...]:
    """What runs a kernel on the calling thread only, and what makes its arguments.

    They have the types of C already: ctypes takes twice the time if it is to convert them.
    """
    from ctypes import CFUNCTYPE, byref, c_int64, c_void_p

    return CFUNCTYPE(None)(address_of("team_alone")), cache(c_void_p), byref, lru_cache(c_int64)


_number: int | None = None
_told: openmp.OpenMP | None = None
"""The runtime that the team knows of."""


def num_threads() -> int:
    """How many threads a large call uses: those set, or as many as may be.

    These are the cores that the process may use; with torch no more than torch uses, which a worker
    of its `DataLoader` has set to 1.
    """
    if _number is not None:
        return _number
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = openmp.of_torch()
    return min(cores or 1, found.max_threads() if found else _ALL)


def set_num_threads(number: int | None) -> None:
    """Set how many threads a large call uses, the calling one included.

    Results do not depend on it: they are bitwise the same for any number. Threads are made when
    they are first needed; those that a smaller number has no use for end.

    Args:
        number: 1 or more; None: as many as there are cores that this process may use, or as torch
            uses if that is loaded and uses fewer.

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
        not isinstance(number, Integral) or isinstance(number, bool) or not 1 <= number <= _ALL
    ):
        raise ValueError(f"the number of threads is an integer from 1 to 1024, not {number!r}")
    _number = None if number is None else int(number)
    if _team.cache_info().currsize:  # else there is none to end
        _team().limit(num_threads() - 1)
        if number is None:
            _team().limit(_ALL - 1)  # there may be more cores later


@dataclass(frozen=True, repr=False)
class Threads:
    """Which threads run large calls.

    Attributes:
        number: how many, the calling one included.
        team: whose they are; None if there is only the calling one.
    """

    number: int
    team: str | None

    def __repr__(self) -> str:
        if self.team is None:
            return "1 thread"
        return f"{self.number} threads of {self.team}"


def threads() -> Threads:
    """Which threads run a large call that is made now.

    A process that has loaded torch runs large calls on torch's own threads: others would share the
    cores with those, which stay awake for some time after each operator of torch. While other
    programs keep these threads from coming in time, and in a forked process, it is normscope's own.

    Returns:
        How many there are, and of which team.

    Example:
        >>> set_num_threads(2)
        >>> threads()  # where torch is not loaded
        2 threads of ...
        >>> set_num_threads(1)
        >>> threads()
        1 thread
        >>> set_num_threads(None)
    """
    number = num_threads() if kernels_built() else 1
    if number == 1:
        return Threads(1, None)
    joined = _joined(number)
    own = "normscope's own pool"
    return Threads(number, f"torch's OpenMP team ({joined.name})" if joined else own)


def _joined(number: int) -> openmp.OpenMP | None:
    """The runtime whose team has so many threads, if it can be joined.

    A larger team than torch makes would end some of torch's threads, or start more for each call.
    """
    global _told
    found = openmp.of_torch()
    if found is None or not openmp.may_join() or found.max_threads() < number:
        return None
    if found is not _told:
        _team().found(found.parallel, found.in_parallel, found.thread_number)
        _told = found
    return found


def run(kernel: int, call: Structure, items: int, size: int) -> None:
    """Run a kernel on as many threads as have use, one of them the calling one.

    Args:
        kernel: the address of a function that takes items until none is left.
        call: what it is given; arrays that it refers to are kept alive by the caller.
        items: how many there are.
        size: bytes that the job reads, about.
    """
    if items == 1 or size < SHARED:
        alone, pointer, byref, number_of = _alone()
        alone(pointer(kernel), byref(call), number_of(items))
        return
    team, number = _team(), num_threads()
    way = team.join if _joined(number) else team.run
    effort = _IF_AWAKE if size < WAKING else _WAKE if size < JOINED else _WAIT
    way(kernel, team.byref(call), items, min(items, number), effort)
