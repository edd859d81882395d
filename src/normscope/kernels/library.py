"""The compiled kernels: whether there are any, which of them suit this processor, and where.

A library for each level of processors lies in `built/`, put there by `hatch_build.py`. One of them
is loaded when the first kernel is asked for.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from normscope.errors import KernelsError
from normscope.kernels.recipe import BUILT, SIZES, digest

if TYPE_CHECKING:
    from ctypes import CDLL

LEVEL_VARIABLE = "NORMSCOPE_LEVEL"
"""Names the level to use instead of the highest, or `none` for no kernels."""

_ROOT = Path(__file__).parents[3]
"""Of the repository, in a checkout."""


@cache
def kernels_built() -> bool:
    """Whether there are kernels, and they are to be used; nothing is loaded for the answer."""
    return os.environ.get(LEVEL_VARIABLE) != "none" and (BUILT / SIZES).exists()


def check_kernels(who: str) -> None:
    """What only kernels can do is possible.

    Raises:
        KernelsError: there are none.
    """
    if not kernels_built():
        raise KernelsError(f"{who} needs the compiled kernels, and there are none: {why_none()}")


def why_none() -> str:
    """Why there are no kernels, and what to do about it."""
    if os.environ.get(LEVEL_VARIABLE) == "none":
        return f"{LEVEL_VARIABLE}=none is set"
    if _in_checkout():
        return f"they are not built; {_remedy()}"
    return "there are some for Linux, macOS and Windows, on processors of x86-64 and ARM64"


def level() -> str:
    """The level of processors whose kernels are used: "v2", "v3" or "v4", elsewhere "base".

    Raises:
        KernelsError: the kernels cannot be loaded.
    """
    return _library()[0]


_PROCESSORS = {
    "v2": "x86-64-v2 (SSE4)",
    "v3": "x86-64-v3 (AVX2)",
    "v4": "x86-64-v4 (AVX-512)",
    "base": "ARM64 (NEON)",
}


def processors() -> str:
    """The processors that the kernels in use are for, in words.

    Raises:
        KernelsError: the kernels cannot be loaded.
    """
    return _PROCESSORS[level()]


@cache
def address_of(name: str) -> int:
    """The address of a kernel.

    Raises:
        KernelsError: the kernels cannot be loaded.
    """
    from ctypes import c_void_p, cast

    found = cast(getattr(_library()[1], name), c_void_p).value
    assert found is not None
    return found


@cache  # two threads at once are given the same library by the system
def _library() -> tuple[str, CDLL]:
    """The chosen level, and its library."""
    from ctypes import c_int64

    check_kernels("this call")
    files = _files()
    levels = list(files)
    lowest = _load(files[levels[0]])
    lowest.highest_level.restype = c_int64
    chosen = _chosen(levels, lowest.highest_level())
    return chosen, _load(files[chosen])


def _files() -> dict[str, Path]:
    """The library of each level, the lowest first.

    Raises:
        KernelsError: one is not there, or not whole.
    """
    found = {}
    for line in (BUILT / SIZES).read_text("utf-8").splitlines():
        name, size = line.split()
        path = BUILT / name
        if not path.exists():
            raise KernelsError(f"the kernels {path} are missing: {_remedy()}")
        if path.stat().st_size != int(size):  # the system would map it, and end the process
            raise KernelsError(f"the kernels {path} are not whole: {_remedy()}")
        found[path.stem.removeprefix("kernels_")] = path
    return found


def _chosen(levels: list[str], highest: int) -> str:
    """The level that was asked for, or the highest that the processor can run.

    Raises:
        KernelsError: there is no such level, or the processor has not its instructions.
    """
    possible = [each for each in levels if each == "base" or int(each[1:]) <= highest]
    asked = os.environ.get(LEVEL_VARIABLE)
    choice = f"write one of {', '.join(possible)}, or none to compute without kernels"
    if not possible:
        raise KernelsError(
            f"the kernels need a processor of the level x86-64-{levels[0]}, which this one is not: "
            f"set {LEVEL_VARIABLE}=none to compute without them"
        )
    if not asked:
        return possible[-1]
    if asked not in levels:
        raise KernelsError(f"{LEVEL_VARIABLE}={asked}: there is no such level; {choice}")
    if asked not in possible:
        raise KernelsError(
            f"{LEVEL_VARIABLE}={asked}: this processor has not the instructions of it; {choice}"
        )
    return asked


def _load(path: Path) -> CDLL:
    """A library; in a checkout one that was made from the very sources that lie there.

    Raises:
        KernelsError: it cannot be loaded, or is of other sources.
    """
    from ctypes import CDLL, c_char

    try:
        library = CDLL(str(path))
        made_from = (c_char * 64).in_dll(library, "kernels_digest").value.decode()
    except (OSError, ValueError) as error:
        raise KernelsError(f"the kernels {path} cannot be loaded ({error}): {_remedy()}") from None
    if _in_checkout() and made_from != digest():
        raise KernelsError(f"the kernels {path} were made from other sources: {_remedy()}")
    return library


def _remedy() -> str:
    """What to do about kernels that are missing or wrong."""
    if _in_checkout():
        return f"run python hatch_build.py in {_ROOT}"
    return "pip install --force-reinstall --no-deps normscope"


def _in_checkout() -> bool:
    """Whether this is a checkout of the sources, rather than an installed package."""
    return (_ROOT / "hatch_build.py").exists()
