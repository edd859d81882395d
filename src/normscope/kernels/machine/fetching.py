"""Bring memory into the cache before it is needed, where the processor does not do so itself."""

from __future__ import annotations

from typing import Any

from normscope.kernels.contract import LINE
from normscope.kernels.machine.compiling import part
from normscope.kernels.machine.instructions import fetch_line
from normscope.kernels.machine.memory import distance


@part
def is_worth_fetching(n: int, tag: Any) -> Any:
    """Whether a run of `n` elements should be fetched while a short one before it is written.

    The processor fetches ahead by itself, but only after it has seen a few lines of a sequence.
    With runs of less than two lines, and with long ones, which crowd the nearest cache, nothing was
    gained.
    """
    return 128 <= distance(0, n, tag) <= 2048


@part
def fetch(memory: int, first: int, n: int, tag: Any) -> None:
    """Begin to bring `n` elements, from index `first` on, into the cache."""
    for place in range(distance(memory, first, tag), distance(memory, first + n, tag), LINE):
        fetch_line(place)
