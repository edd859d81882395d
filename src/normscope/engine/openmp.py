"""The OpenMP runtime that torch has loaded, whose threads can run our kernels, too.

After an operator the threads of torch stay awake for some milliseconds, for the next one. Others
that want to work meanwhile share the cores with them; so work is given to those threads themselves.
Nothing is imported or loaded for that: the runtime is the one that torch's own library refers to.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from ctypes import CDLL

_LIBRARIES = {"linux": "libtorch_cpu.so", "darwin": "libtorch_cpu.dylib"}
_FORKED_WITHOUT_EXEC = 0x40
"""Of the flags in `/proc/self/stat`: the process is a copy of another one, which may have had
threads; see PF_FORKNOEXEC in the sources of Linux."""


class OpenMP(NamedTuple):
    """A runtime.

    Attributes:
        name: libgomp or libomp.
        parallel: the address of `GOMP_parallel`, which both have.
        in_parallel: the address of `omp_in_parallel`.
        thread_number: the address of `omp_get_thread_num`.
        max_threads: the address of `omp_get_max_threads`.
    """

    name: str
    parallel: int
    in_parallel: int
    thread_number: int
    max_threads: int


_found: OpenMP | None = None
_is_settled = False
_is_forked = False


def of_torch() -> OpenMP | None:
    """The runtime of torch, if torch is there. It is looked for once."""
    global _found, _is_settled
    if not _is_settled and "torch" in sys.modules:
        spec = getattr(sys.modules["torch"], "__spec__", None)
        if not getattr(spec, "_initializing", False):  # its import may not be over
            _found = _look()
            _is_settled = True
    return _found


def may_join() -> bool:
    """Whether a team can be made here: that of libgomp hangs in a forked process."""
    return not _is_forked


def _look() -> OpenMP | None:
    """The runtime that the loaded library of torch refers to."""
    global _is_forked
    library = _library()
    if library is None:
        return None
    from ctypes import c_void_p, cast

    def address(function: Any) -> int:
        return cast(function, c_void_p).value or 0

    try:
        functions = (
            library.GOMP_parallel,
            library.omp_in_parallel,
            library.omp_get_thread_num,
            library.omp_get_max_threads,
        )
    except AttributeError:  # torch was built without OpenMP
        return None
    name = "libomp" if hasattr(library, "__kmpc_fork_call") else "libgomp"
    _is_forked = _is_forked or (name == "libgomp" and _was_forked())
    return OpenMP(name, *map(address, functions))


def _library() -> CDLL | None:
    """The library of torch, if it is loaded. What a library refers to is found through it."""
    name = _LIBRARIES.get(sys.platform)
    if name is None:
        return None
    from ctypes import CDLL

    folder = getattr(sys.modules["torch"], "__file__", None) or ""
    for file in (name, str(Path(folder).parent / "lib" / name)):
        try:
            return CDLL(file, mode=os.RTLD_NOLOAD)
        except OSError:
            continue  # it is not loaded under this name
    return None


def _was_forked() -> bool:
    """Whether this process is a copy of another one, so that threads may be missing."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    except OSError:  # no /proc is mounted: what this module has seen itself has to do
        return False
    return bool(int(fields[6]) & _FORKED_WITHOUT_EXEC)


def _remember_fork() -> None:
    global _is_forked
    _is_forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_remember_fork)
