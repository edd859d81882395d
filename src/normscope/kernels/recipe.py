"""What the kernels' libraries are made of: sources, levels of processors, and the compiler's words.

`hatch_build.py` of the repository builds by it, `normscope.kernels.library` loads by it. The former
runs where nothing is installed, so nothing is imported here but what every Python has.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).parent / "source"
BUILT = Path(__file__).parent / "built"

SIZES = "sizes.txt"
"""The file in `BUILT` that lists its libraries, the lowest level first, with their sizes."""

COMPILER = "ziglang>=0.17,<0.18"
"""The package that brings the compiler, clang, and what it needs to build for any machine."""

_X86 = {
    "v2": ("x86_64_v2",),
    "v3": ("x86_64_v3",),
    # Before Ice Lake and Zen 4 vectors of 512 bits lower the clock of the processor; VBMI2 came
    # with those two. By itself clang keeps to 256 bits.
    "v4": ("x86_64_v4+avx512vbmi2", "-mprefer-vector-width=512"),
}
_ARM = {"base": ("baseline",)}


class Target(NamedTuple):
    """A kind of machine.

    Attributes:
        name: what the compiler calls it; a library for it runs on no older system.
        tag: the platforms that a wheel for it says.
        suffix: of a library's name.
        levels: for each level of processors, the lowest first, its name to the compiler and more
            arguments.
    """

    name: str
    tag: str
    suffix: str
    levels: Mapping[str, tuple[str, ...]]


_MANYLINUX = "manylinux_2_17_{0}.manylinux2014_{0}"

TARGETS = {
    ("linux", "x86_64"): Target("x86_64-linux-gnu.2.17", _MANYLINUX.format("x86_64"), ".so", _X86),
    ("linux", "aarch64"): Target(
        "aarch64-linux-gnu.2.17", _MANYLINUX.format("aarch64"), ".so", _ARM
    ),
    ("musl", "x86_64"): Target("x86_64-linux-musl", "musllinux_1_2_x86_64", ".so", _X86),
    ("musl", "aarch64"): Target("aarch64-linux-musl", "musllinux_1_2_aarch64", ".so", _ARM),
    ("darwin", "x86_64"): Target("x86_64-macos.11.0", "macosx_11_0_x86_64", ".dylib", _X86),
    ("darwin", "arm64"): Target("aarch64-macos.11.0", "macosx_11_0_arm64", ".dylib", _ARM),
    ("win32", "amd64"): Target("x86_64-windows-gnu", "win_amd64", ".dll", _X86),
    ("win32", "arm64"): Target("aarch64-windows-gnu", "win_arm64", ".dll", _ARM),
}
"""The machines that kernels are built for, by `sys.platform` and `platform.machine()`.

Linux without the C library of GNU is "musl": what is made for the one is not loaded by the other.
"""

COMPILING = (
    "-std=c17",
    "-O2",
    "-Xclang",  # `zig cc` makes -O2 of -O3; short rows are a tenth slower by it
    "-O3",
    "-ffp-contract=on",  # a product and a sum of one expression may be rounded once
    "-fno-math-errno",
    "-g0",  # by itself zig writes, in as much time again, what a debugger reads
    "-fomit-frame-pointer",
    "-fPIC",
    "-fvisibility=hidden",
    "-Wall",
    "-Werror",
)


def digest() -> str:
    """One number for all that a library is made from; another means that it has to be built anew.

    >>> len(digest())
    64
    """
    import hashlib  # it takes milliseconds, and only a checkout asks

    found = hashlib.sha256()
    for path in [Path(__file__), *sorted(SOURCE.glob("*.[ch]"))]:
        content = path.read_bytes().replace(b"\r\n", b"\n")  # a checkout may differ in line ends
        found.update(f"{path.name} {len(content)}\n".encode())
        found.update(content)
    return found.hexdigest()
