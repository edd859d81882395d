"""Cut an array into pieces, each with its place in the statistics sets of the whole.

Any axis may be cut. Along one inside brackets the pieces are parts of the same sets, along one
outside they have different sets. An axis that parentheses split is cut where its factors allow:
`(g [c])` into whole groups, or one group into parts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, product

from normscope.notation.axis import AtomicAxis
from normscope.notation.layout import Layout

Ranges = tuple[slice, tuple[slice, ...]]
"""A part of one axis of the array: along that axis, and along each of its atomic axes."""


@dataclass(frozen=True)
class Piece:
    """A part of an array.

    Attributes:
        index: where it lies along the axes of the array.
        layout: of the piece alone.
        atoms: where it lies along the atomic axes.
        place: where its sets lie among those of the whole, along the axes outside brackets.
    """

    index: tuple[slice, ...]
    layout: Layout
    atoms: tuple[slice, ...]
    place: tuple[slice, ...]


def lengths(
    shape: Sequence[int],
    itemsize: int,
    most: int,
    chunk: Sequence[int] | None = None,
    order: Sequence[int] | None = None,
) -> tuple[int, ...]:
    """How long pieces of about `most` bytes are along each axis.

    Args:
        shape: of the array.
        itemsize: bytes of an element.
        most: an array of up to twice as many bytes stays in one piece.
        chunk: the shape of what is stored together, which is not taken apart.
        order: the axes from the outermost in memory to the innermost.

    Returns:
        One length for each axis: of whole chunks, as long as can be along the inner axes.

    Example:
        >>> lengths((1000, 100), 4, 4000), lengths((1000, 100), 4, 4000, chunk=(50, 2))
        ((10, 100), (50, 20))
    """
    if math.prod(shape) * itemsize <= 2 * most:
        return tuple(shape)
    return longest(shape, most // itemsize, chunk, order)


def longest(
    shape: Sequence[int],
    most: int,
    chunk: Sequence[int] | None = None,
    order: Sequence[int] | None = None,
) -> tuple[int, ...]:
    """How long pieces of up to `most` elements can be; what they are cut along is as for `lengths`.

    Example:
        >>> longest((1000, 100), 1000)
        (10, 100)
    """
    found = [min(n, size) for n, size in zip(chunk or [1] * len(shape), shape, strict=True)]
    for dim in reversed(order or range(len(shape))):
        times = most // max(1, math.prod(found))
        found[dim] = min(shape[dim], found[dim] * max(1, times))
    return tuple(found)


def cut(layout: Layout, most: Sequence[int]) -> Iterator[Piece]:
    """The pieces of an array that are no longer than `most` along each axis, in order.

    An axis inside parentheses may end up in shorter ones; an axis of length 0 gives none.

    Example:
        >>> from normscope import spec
        >>> pattern = spec("b (g [c])", g=2)
        >>> for piece in cut(pattern.layout((4, 6)), (2, 3)):
        ...     print(piece.index, piece.place)
        (slice(0, 2, None), slice(0, 3, None)) (slice(0, 2, None), slice(0, 1, None))
        (slice(0, 2, None), slice(3, 6, None)) (slice(0, 2, None), slice(1, 2, None))
        (slice(2, 4, None), slice(0, 3, None)) (slice(2, 4, None), slice(0, 1, None))
        (slice(2, 4, None), slice(3, 6, None)) (slice(2, 4, None), slice(1, 2, None))
    """
    each = [list(ranges(layout.parts(dim), length)) for dim, length in enumerate(most)]
    return (piece(layout, choice) for choice in product(*each))


def piece(layout: Layout, choice: Sequence[Ranges]) -> Piece:
    """The piece that lies at one part of each axis."""
    index = tuple(along for along, _ in choice)
    within = tuple(chain.from_iterable(atoms for _, atoms in choice))
    axes = tuple(
        replace(axis, size=part.stop - part.start)
        for axis, part in zip(layout.axes, within, strict=True)
    )
    shape = tuple(part.stop - part.start for part in index)
    place = tuple(within[i] for i in layout.kept)
    return Piece(index, replace(layout, shape=shape, axes=axes), within, place)


def ranges(axes: Sequence[AtomicAxis], most: int) -> Iterator[Ranges]:
    """One axis of an array, cut into parts no longer than `most`, given its atomic axes."""
    sizes = [axis.size or 0 for axis in axes]
    inner = [math.prod(sizes[level + 1 :]) for level in range(len(sizes))]
    # the outermost factor that can be cut: below it, all is taken whole
    level = next((n for n, size in enumerate(inner) if size <= most), len(sizes) - 1)
    step = max(1, most // max(1, inner[level]))
    whole = tuple(slice(0, size) for size in sizes[level + 1 :])
    for outer in product(*map(range, sizes[:level])):
        base = sum(place * size for place, size in zip(outer, inner[:level], strict=True))
        single = tuple(slice(place, place + 1) for place in outer)
        for start in range(0, sizes[level], step):
            stop = min(start + step, sizes[level])
            along = slice(base + start * inner[level], base + stop * inner[level])
            yield along, (*single, slice(start, stop), *whole)


def at_boundaries(axes: Sequence[AtomicAxis], sizes: Iterable[int]) -> Iterator[Ranges]:
    """One axis of an array, cut into parts of these sizes, given its only atomic axis."""
    start = 0
    for size in sizes:
        part = slice(start, start + size)
        yield part, (part,) * len(axes)
        start += size
