"""What the axes of an input are called, and which of them holds the samples."""

from __future__ import annotations

from collections.abc import Sequence

from normscope.errors import ShapeError
from normscope.wording import counted


def axis_names(shape: Sequence[int], axes: str | None) -> tuple[str, ...]:
    """The names that were given for the axes of an input, or neutral ones.

    >>> axis_names((8, 4, 32), None)
    ('b', 'd1', 'd2')

    Raises:
        ShapeError: another number of names than axes.
    """
    rank = len(shape)
    if axes is None:
        return tuple(["b", *(f"d{i}" for i in range(1, rank))][:rank])
    names = tuple(axes.split())
    if len(names) != rank:
        raise ShapeError(
            f'axes="{axes}" names {counted(len(names), "axis")}, the shape has {rank}',
            axes,
            shape,
            'write one name for each, such as "b c h w" for four',
        )
    if len(set(names)) < rank or not all(n.isidentifier() and n.isascii() for n in names):
        raise ShapeError(
            f'axes="{axes}" is a list of different names, such as "b c h w"', axes, shape
        )
    return names


def sample_axis(names: tuple[str, ...]) -> int:
    """The axis of the samples: the one that is called so, else the first.

    >>> sample_axis(("t", "b", "c")), sample_axis(("n", "c"))
    (1, 0)
    """
    known = ("b", "n", "batch", "samples")
    return next((i for i, name in enumerate(names) if name in known), 0)
