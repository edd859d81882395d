"""Kernels that show what the threads of a team do, compiled when a test first needs them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
from ctypes import CDLL, Structure, addressof, c_int64, c_void_p, cast
from functools import cache
from pathlib import Path

from normscope.engine import threads
from normscope.kernels import recipe
from normscope.kernels.library import address_of

SOURCE = Path(__file__).parent / "kernels/team/kernels.c"
HEADERS = recipe.SOURCE
LARGE = threads.JOINED


class Call(Structure):
    """What the kernels are given: see the source."""

    _fields_ = (
        ("items", c_int64),
        ("nap", c_int64),
        ("inside", c_int64),
        ("most", c_int64),
        ("done", c_int64),
        ("stack", c_int64),
        ("run", c_void_p),
        ("inner", c_void_p),
    )


@cache
def library() -> CDLL:
    """The compiled kernels; a file with the date of the source is used again."""
    read = [SOURCE, *HEADERS.glob("*.h")]
    stamp = f"{max(file.stat().st_mtime_ns for file in read)}_{SOURCE.stat().st_size}"
    made = Path(tempfile.gettempdir()) / f"normscope_team_kernels_{stamp}.so"
    if not made.exists():
        unfinished = made.with_suffix(f".{os.getpid()}")
        compiler = [
            sys.executable,
            "-m",
            "ziglang",
            "cc",
            "-O2",
            "-fPIC",
            "-shared",
            "-s",
            "-I",
            HEADERS,
        ]
        subprocess.run([*compiler, SOURCE, "-o", unfinished], check=True, timeout=120)
        unfinished.replace(made)
    return CDLL(str(made))


def kernel(name: str) -> int:
    """The address of a kernel."""
    return cast(getattr(library(), name), c_void_p).value or 0


def nested(inner: Call, items: int) -> Call:
    """A call that runs another one for each of its items."""
    return Call(items=items, run=address_of("team_run"), inner=addressof(inner))


def run(call: Call, name: str = "napping") -> Call:
    """Run a kernel on a call that starts afresh, as a large job."""
    call.most = call.done = 0
    threads.run(kernel(name), call, call.items, LARGE)
    return call


def in_process(code: str, *options: str) -> str:
    """What a process prints that must end within a time, and without an error."""
    paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", *options, "-c", textwrap.dedent(code)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout
