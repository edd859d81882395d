"""The parts of an axis: what parentheses split it into, from the outermost to the innermost.

32 channels in 4 groups, each of which is a statistics set, are the parts (4, not shared) and
(8, shared).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Generic, TypeVar

from normscope.notation.shape import Size

SizeOf = TypeVar("SizeOf", bound=Size, covariant=True)
"""`int` where every length is known, else `Size`."""


@dataclass(frozen=True)
class Part(Generic[SizeOf]):
    """A part of an axis: its length, and whether its indices share statistics."""

    size: SizeOf
    shared: bool


@dataclass(frozen=True)
class AtomicAxis(Part[Size]):
    """An axis after splitting: a whole axis of the array, or a part of one.

    Attributes:
        name: different from the names of all others.
        base: the name in the pattern; repetitions and equal numbers have the same.
        dim: the axis of the array that it is, or is a part of.
    """

    name: str
    base: str
    dim: int


AnyPart = TypeVar("AnyPart", bound=Part[Any])


def runs(parts: Iterable[AnyPart]) -> list[list[AnyPart]]:
    """Neighbours that are all shared, or all not shared, together.

    >>> split = [Part(2, False), Part(3, False), Part(8, True)]
    >>> [len(run) for run in runs(split)]
    [2, 1]
    """
    return [list(run) for _, run in groupby(parts, key=lambda part: part.shared)]
