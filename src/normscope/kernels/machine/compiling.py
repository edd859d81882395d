"""How kernels are compiled.

No kernel may assume that there are no NaNs or infinities: they have to stay where they are. A
multiplication and an addition may become one instruction (`contract`). Sums are also taken in
another order (`reassoc`), which vectorizes them; the order depends on sizes alone. Neither is
allowed where rounding errors themselves are computed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

from normscope.kernels.machine.disk_cache import DiskCache

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}

_INLINED: dict[str, Any] = {"forceinline": True, "no_cpython_wrapper": True}
"""Without the wrapper Python cannot call a part, and it is compiled in two thirds of the time."""


def kernel(function: F) -> F:
    """A function that threads call; its machine code is kept on disk."""
    compiled: Any = njit(**_OPTIONS)(function)
    compiled._cache = DiskCache(function)  # Numba has no public way to bring a cache of one's own
    return cast(F, compiled)


def part(function: F) -> F:
    """A function that kernels call, compiled into them."""
    return cast(F, njit(**_OPTIONS, **_INLINED, fastmath={"contract"})(function))


def exact(function: F) -> F:
    """A `part` that rounds after every operation: the same bits anywhere, and known errors.

    It has to say so: what says nothing is compiled as its first caller is.
    """
    return cast(F, njit(**_OPTIONS, **_INLINED, fastmath=False)(function))


def sums(function: F) -> F:
    """A `part` whose additions may be taken in another order."""
    return cast(F, njit(**_OPTIONS, **_INLINED, fastmath={"contract", "reassoc"})(function))
