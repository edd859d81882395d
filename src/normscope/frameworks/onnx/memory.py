"""A bound on the memory that ONNX Runtime takes for what the operators of a file make.

What a file computes may grow in each round of a loop, or from operator to operator, so that nothing
tells its size before it is run. So it runs in an arena that gives no more.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import onnxruntime

MOST_BYTES = 2**29
"""The weights of a file are not counted: they lie in it."""


def bound(options: Any) -> None:
    """Let the sessions of these options share an arena of at most `MOST_BYTES`."""
    _register()
    options.add_session_config_entry("session.use_env_allocators", "1")


@cache
def _register() -> None:
    """Make the arena, of which onnxruntime takes one for all sessions of a process."""
    place = onnxruntime.OrtMemoryInfo(
        "Cpu",
        onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR,
        0,
        onnxruntime.OrtMemType.DEFAULT,
    )
    as_requested = 1
    settings = {"max_mem": MOST_BYTES, "arena_extend_strategy": as_requested}
    onnxruntime.create_and_register_allocator(place, onnxruntime.OrtArenaCfg(settings))
