"""How kernels are compiled, and how their machine code is kept on disk.

No kernel may assume that there are no NaNs or infinities: they have to stay where they are. A
multiplication and an addition may become one instruction (`contract`). Sums are also taken in
another order (`reassoc`), which vectorizes them; the order depends on sizes alone. Neither is
allowed where rounding errors themselves are computed.

Numba keeps machine code beside the source, or in the user's cache folder where that is not
writable. It recompiles a function when the file of that function changes; these kernels are made
of parts from many files, so they are recompiled when any file of this package changes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])

_FLAGS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}

_INLINED: dict[str, Any] = {"forceinline": True, "no_cpython_wrapper": True}
"""Without the wrapper Python cannot call a part, and it is compiled in two thirds of the time."""


def kernel(function: F) -> F:
    """A function that threads call; its machine code is kept on disk."""
    compiled: Any = njit(**_FLAGS, cache=True)(function)
    # Numba has no public way to say on which other files a function depends.
    compiled._cache._cache_file._source_stamp = _sources()
    return cast(F, compiled)


def part(function: F) -> F:
    """A function that kernels call, compiled into them."""
    return cast(F, njit(**_FLAGS, **_INLINED, fastmath={"contract"})(function))


def exact(function: F) -> F:
    """A `part` that rounds after every operation: the same bits anywhere, and known errors.

    It has to say so: what says nothing is compiled as its first caller is.
    """
    return cast(F, njit(**_FLAGS, **_INLINED, fastmath=False)(function))


def sums(function: F) -> F:
    """A `part` whose additions may be taken in another order."""
    return cast(F, njit(**_FLAGS, **_INLINED, fastmath={"contract", "reassoc"})(function))


@cache
def _sources() -> bytes:
    """One digest of all files of this package."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.digest()
