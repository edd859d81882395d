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

SHARED = 1 << 16
"""Bytes read from which a job is shared with threads that are awake: layer norm of 16 rows of 768
floats takes 9.4 us alone, 8.3 with another thread; of 64 rows 24 and 17."""
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
    """The functions of `team.h`, and what makes their arguments.

    Those that run a kernel are given what has the types of C already: ctypes takes twice the time
    if it is to convert them.
    """

    run: Callable[[Any, Any, Any, Any, Any], None]
    alone: Callable[[Any, Any, Any], None]
    found: Callable[[int, int, int, int], None]
    number: Callable[[int], int]
    joins: Callable[[int], int]
    limit: Callable[[int], None]
    helpers: Callable[[], int]
    byref: Callable[[Structure], Any]
    address: Callable[[int], Any]
    integer: Callable[[int], Any]


@cache
def _team() -> _Team:
    from ctypes import CFUNCTYPE, byref, c_int64, c_void_p

    CFUNCTYPE(None, c_int64)(address_of("team_cores"))(os.cpu_count() or 1)
    found = CFUNCTYPE(None, c_void_p, c_void_p, c_void_p, c_void_p)
    return _Team(
        CFUNCTYPE(None)(address_of("team_run")),
        CFUNCTYPE(None)(address_of("team_alone")),
        found(address_of("team_found")),
        CFUNCTYPE(c_int64, c_int64)(address_of("team_number")),
        CFUNCTYPE(c_int64, c_int64)(address_of("team_joins")),
        CFUNCTYPE(None, c_int64)(address_of("team_limit")),
        CFUNCTYPE(c_int64)(address_of("team_helpers")),
        byref,
        lru_cache(c_void_p),
        lru_cache(c_int64),
    )


_number = 0
"""How many threads were asked for; 0: as many as may be."""
_told: tuple[openmp.OpenMP | None, bool] = None, True
"""The runtime that the team knows of, and whether a team of it can be made."""


def _informed() -> _Team:
    """The team, which knows of the runtime that torch has loaded, if it has."""
    global _told
    team, now = _team(), (openmp.of_torch(), openmp.may_join())
    if now != _told:
        found, may_join = now
        if found is None:
            team.found(0, 0, 0, 0)
        else:
            parallel = found.parallel if may_join else 0
            team.found(parallel, found.in_parallel, found.thread_number, found.max_threads)
        _told = now
    return team


def num_threads() -> int:
    """How many threads a large call uses: those set, or as many as may be.

    These are the cores that the process may use; with torch no more than torch uses, which a worker
    of its `DataLoader` has set to 1. Without compiled kernels there is one.
    """
    return _informed().number(_number) if kernels_built() else 1


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
    _number = 0 if number is None else int(number)
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
    number = num_threads()
    if number == 1:
        return Threads(1, None)
    found = _told[0]
    if found is None or not _team().joins(_number):
        return Threads(number, "normscope's own pool")
    return Threads(number, f"torch's OpenMP team ({found.name})")


def run(kernel: int, call: Structure, items: int, size: int) -> None:
    """Run a kernel on as many threads as have use, one of them the calling one.

    Args:
        kernel: the address of a function that takes items until none is left.
        call: what it is given; arrays that it refers to are kept alive by the caller.
        items: how many there are.
        size: bytes that the job reads, about.
    """
    if items == 1 or size < SHARED:
        team = _team()
        team.alone(team.address(kernel), team.byref(call), team.integer(items))
        return
    team, integer = _informed(), _team().integer
    effort = _IF_AWAKE if size < WAKING else _WAKE if size < JOINED else _WAIT
    team.run(
        team.address(kernel), team.byref(call), integer(items), integer(_number), integer(effort)
    )
