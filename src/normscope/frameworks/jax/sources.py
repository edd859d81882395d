"""Which line of the user's program an operator comes from."""

from __future__ import annotations

import sys
import sysconfig
from functools import lru_cache
from pathlib import Path
from typing import Any

_LIBRARIES = (
    "chex",
    "distrax",
    "equinox",
    "flax",
    "haiku",
    "jax",
    "jaxlib",
    "jaxtyping",
    "jmp",
    "keras",
    "normscope",
    "optax",
)
"""What stands between the user's program and its operators."""


def source_of(equation: Any) -> str:
    """The first line outside of the libraries that made an equation, "file.py:12"; "" if none."""
    traceback = equation.source_info.traceback
    if traceback is None:
        return ""
    for frame in traceback.frames:
        if _is_users(frame.file_name):
            return f"{Path(frame.file_name).name}:{frame.line_num}"
    return ""


@lru_cache(maxsize=4096)
def _is_users(file: str) -> bool:
    if file.startswith("<") and not file.startswith("<ipython"):
        return False
    path = Path(file)
    if any(path.is_relative_to(home) for home in _homes()):
        return False
    installed = "site-packages" in path.parts or "dist-packages" in path.parts
    return installed or not path.is_relative_to(sysconfig.get_path("stdlib"))


def _homes() -> list[Path]:
    files = (getattr(sys.modules.get(name), "__file__", None) for name in _LIBRARIES)
    return [Path(file).parent for file in files if file]
