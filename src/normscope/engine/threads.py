"""How many threads run a kernel, and which.

They are those of `kernels/source/team.c`, which wait outside the interpreter and need none of its
locks. A kernel takes items from a counter until none is left, so results do not depend on who is
there to help. A call ends when no thread is in the kernel any more; what signal handlers raise
comes after that, since the interpreter looks for signals only when the call is over.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from numbers import Integral
from typing import TYPE_CHECKING, Any, NamedTuple

from normscope.kernels.library import address_of, kernels_built

if TYPE_CHECKING:
    from ctypes import Structure

SHARED = 1 << 17
"""Bytes from which a job is shared with threads that are awake."""
WAKING = 1 << 20
"""Bytes from which it is worth waking threads that sleep: it takes some 15 us of the caller's time,
and they begin 30 to 40 us later."""


class _Team(NamedTuple):
    """The functions of `team.h`, and what gives the address of a call."""

    run: Callable[[int, Any, int, bool], None]
    limit: Callable[[int], None]
    helpers: Callable[[], int]
    byref: Callable[[Structure], Any]


@cache
def _team() -> _Team:
    from ctypes import CFUNCTYPE, byref, c_int64, c_void_p

    run = CFUNCTYPE(None, c_void_p, c_void_p, c_int64, c_int64)
    limit = CFUNCTYPE(None, c_int64)
    helpers = CFUNCTYPE(c_int64)
    return _Team(
        run(address_of("team_run")),
        limit(address_of("team_limit")),
        helpers(address_of("team_helpers")),
        byref,
    )


_number: int | None = None


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
    if kernels_built():
        _team().limit(num_threads() - 1)


def run(kernel: int, call: Structure, items: int, size: int) -> None:
    """Run a kernel on as many threads as have use, one of them the calling one.

    Args:
        kernel: the address of a function that takes items from a counter until none is left.
        call: what it is given; arrays that it refers to are kept alive by the caller.
        items: how many there are.
        size: bytes that the job moves.
    """
    team = _team()
    if items == 1 or size < SHARED:
        team.run(kernel, team.byref(call), 1, False)
    else:
        team.run(kernel, team.byref(call), min(items, num_threads()), size >= WAKING)
