"""How kernels are compiled, and how their machine code is kept on disk.

No kernel may assume that there are no NaNs or infinities: they have to stay where they are. A
multiplication and an addition may become one instruction (`contract`). Sums are also taken in
another order (`reassoc`), which vectorizes them; the order depends on sizes alone.

Numba keeps machine code beside the source, or in the user's cache folder where that is not
writable. It recompiles a function when the file of that function changes; these kernels are made
of parts from many files, so they are recompiled when any file of this package changes.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from numba import njit

_FLAGS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}


def kernel(function: Any) -> Any:
    """A function that threads call; its machine code is kept on disk."""
    compiled = njit(**_FLAGS, cache=True)(function)
    # Numba has no public way to say on which other files a function depends.
    compiled._cache._cache_file._source_stamp = _sources()
    return compiled


def part(function: Any) -> Any:
    """A function that kernels call, compiled into them."""
    return njit(**_FLAGS, forceinline=True, fastmath={"contract"})(function)


def exact(function: Any) -> Any:
    """A `part` that rounds after every operation, so that it gives the same bits wherever it is."""
    return njit(**_FLAGS, forceinline=True)(function)


def sums(function: Any) -> Any:
    """A `part` whose additions may be taken in another order."""
    return njit(**_FLAGS, forceinline=True, fastmath={"contract", "reassoc"})(function)


@cache
def _sources() -> bytes:
    """One digest of all files of this package."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.digest()
