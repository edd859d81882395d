"""One word per axis: which elements along it share statistics.

independent     none: each index has its own statistics
shared          all
grouped N       those in the same of N groups of neighbours
interleaved N   those whose index is the same modulo N
grouped any     in groups whose number is not known (interleaved any likewise)
mixed           some other subset, as in "(a [b] c [d])"
"""

from __future__ import annotations

from itertools import groupby

from normscope.notation.layout import AtomicAxis, Layout
from normscope.notation.shape import product


def axis_word(layout: Layout, dim: int) -> str:
    """The word for axis `dim` of the array.

    >>> from normscope.spec import spec
    >>> layout = spec("b [s...] (g [c])", g=4).layout((2, 5, 5, 8))
    >>> [axis_word(layout, dim) for dim in range(4)]
    ['independent', 'shared', 'shared', 'grouped 4']
    """
    runs = _runs([axis for axis in layout.parts(dim) if axis.size != 1])
    match runs:
        case []:
            # one index sees all there is, itself; the brackets say how it was meant
            return "shared" if any(axis.shared for axis in layout.parts(dim)) else "independent"
        case [(shared, _)]:
            return "shared" if shared else "independent"
        case [(False, number), (True, _)]:
            return f"grouped {_written(number)}"
        case [(True, _), (False, number)]:
            return f"interleaved {_written(number)}"
        case _:
            return "mixed"


def _runs(parts: list[AtomicAxis]) -> list[tuple[bool, int | None]]:
    """Neighbours of one role as one: (shared, size)."""
    return [
        (shared, product([axis.size for axis in run]))
        for shared, run in groupby(parts, key=lambda axis: axis.shared)
    ]


def _written(number: int | None) -> str:
    return "any" if number is None else str(number)
