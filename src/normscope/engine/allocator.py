"""`retain_memory`: tell the C library to keep freed memory instead of giving it back."""

from __future__ import annotations

import platform
import sys

# mallopt parameters of glibc (malloc.h)
_TRIM_THRESHOLD = -1
_MMAP_MAX = -4
_MMAP_MAX_DEFAULT = 65536
_TRIM_DEFAULT = 128 << 10
_LARGEST = 2**31 - 1


_is_retained = False


def is_retained() -> bool:
    """Whether `retain_memory` has told the C library so."""
    return _is_retained


def retain_memory(on: bool = True) -> bool:
    """Keep freed memory in this process, for everything in it that allocates through malloc.

    Most of the time of a large elementwise operation, in any framework, is the first touch of
    memory fresh from the operating system. With glibc, large blocks are returned to the system
    when they are freed and fetched anew for the next result. This asks glibc not to: no separate
    mappings (M_MMAP_MAX = 0), no trimming (M_TRIM_THRESHOLD at its largest). PyTorch and NumPy
    then reuse memory that is mapped already.

    What it costs: the process does not shrink again after its peak, large blocks come from the heap
    and can fragment it, and the setting is for the whole process. The arrays of `normalize` have a
    pool of their own and do not need it.

    Args:
        on: False sets glibc's initial values again.

    Returns:
        True if it was done; False where the C library is not glibc, and nothing happened.

    Example:
        >>> retain_memory(False) in (True, False)
        True
    """
    if not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc":
        return False
    import ctypes  # which a browser does not have

    mallopt = ctypes.CDLL(None).mallopt
    mallopt.argtypes = [ctypes.c_int, ctypes.c_int]
    mallopt.restype = ctypes.c_int
    done = mallopt(_MMAP_MAX, 0 if on else _MMAP_MAX_DEFAULT)
    done = bool(mallopt(_TRIM_THRESHOLD, _LARGEST if on else _TRIM_DEFAULT) and done)
    global _is_retained
    _is_retained = on and done
    return done
