"""`normalize` and `fit` where no kernels are installed: `normscope.reference`, piece by piece.

Sums are taken over each piece of an array and merged, since a statistics set may lie in many pieces
and one piece in many sets. Then each piece is written. So beside input and output there is never
more than some copies of one piece in float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from normscope.engine.operands import memory_order
from normscope.engine.pieces import Piece, cut, longest
from normscope.engine.prepared import measure_number
from normscope.kernels.contract import is_around_mean, is_largest, is_square
from normscope.notation.layout import Layout
from normscope.notation.spec import NormSpec
from normscope.reference import Sums, divisors, formula, squared_measures, summed

Array = NDArray[Any]
Floats = NDArray[np.float64]

PIECE = 1 << 17
"""Elements of a piece: 1 MiB in float64, some copies of which fit in a cache."""


class Operands(NamedTuple):
    """The arrays of a call, and the slope of the LeakyReLU after it.

    Attributes:
        x, out: the input, and the output, which may be the same array.
        residual: what is added to x first, or None.
        mask: the mask, of x's shape, or None.
        scale, bias: the parameters, in the shape of their axes, or None.
        slope: None where there is no activation.
    """

    x: Array
    out: Array
    residual: Array | None
    mask: NDArray[np.bool_] | None
    scale: Array | None
    bias: Array | None
    slope: float | None


def normalize(
    spec: NormSpec, layout: Layout, operands: Operands, statistics: Floats | None
) -> Floats:
    """Write the output.

    Args:
        spec: the normalization.
        layout: the spec fitted to the shape of x.
        operands: the arrays.
        statistics: those that the caller holds, as below; None: they are measured.

    Returns:
        The statistics, (4, sets): count, mean, v and divisor.
    """
    with np.errstate(all="ignore"):
        if statistics is None:
            sums = _sums(spec, layout, operands)
            v = squared_measures(sums, spec)
            statistics = np.stack([sums.counts, sums.means, v, divisors(v, spec)])
        of_sets = statistics.reshape(4, *(layout.known_sizes[i] for i in layout.kept))
        for piece in _pieces(layout, operands.x):
            _write(spec, layout, operands, piece, of_sets)
    return statistics


def partial_statistics(
    spec: NormSpec, layout: Layout, x: Array, mask: NDArray[np.bool_] | None
) -> Floats:
    """The partial statistics of each set, which `fit` merges; the rows of rests are 0."""
    with np.errstate(all="ignore"):
        return _partial_statistics(
            _sums(spec, layout, Operands(x, x, None, mask, None, None, None)), spec
        )


def merged(spec: NormSpec, one: Floats, other: Floats) -> Floats:
    """The partial statistics of two disjoint pieces of the same sets together."""
    with np.errstate(all="ignore"):
        sums = _merged(_sums_of(one, spec), _sums_of(other, spec), measure_number(spec))
        return _partial_statistics(sums, spec)


def _pieces(layout: Layout, x: Array) -> Iterator[Piece]:
    return cut(layout, longest(x.shape, PIECE, order=memory_order(x)))


def _read(operands: Operands, piece: Piece) -> Floats:
    """A piece of the input, with the residual, in float64."""
    x = operands.x[piece.index]
    if operands.residual is not None:
        x = x + operands.residual[piece.index]
    return x.astype(np.float64)


def _sums(spec: NormSpec, layout: Layout, operands: Operands) -> Sums:
    """The sums over each statistics set of the whole array, one after another."""
    total = np.zeros((3, *(layout.known_sizes[i] for i in layout.kept)))
    for piece in _pieces(layout, operands.x):
        x = _read(operands, piece)
        mask = np.True_ if operands.mask is None else operands.mask[piece.index]
        found = summed(x, np.broadcast_to(mask, x.shape), piece.layout, spec.measure)
        so_far = total[(slice(None), *piece.place)]
        merged = _merged(Sums(*so_far.reshape(3, -1)), found, measure_number(spec))
        so_far[...] = np.reshape(merged, so_far.shape)
    return Sums(*total.reshape(3, -1))


def _merged(one: Sums, other: Sums, measure: int) -> Sums:
    """The sums over two disjoint parts of the same sets together, by Chan's formula."""
    count = one.counts + other.counts
    share = other.counts / np.maximum(count, 1)
    apart = other.means - one.means
    mean = np.where(np.isfinite(apart), one.means + apart * share, one.means + other.means)
    if is_largest(measure):
        return Sums(count, mean, np.maximum(one.totals, other.totals))
    total = one.totals + other.totals
    if is_around_mean(measure):
        weight = one.counts * share
        total = total + np.where(weight > 0, apart**2 * weight, 0)
    return Sums(count, mean, total)


def _partial_statistics(sums: Sums, spec: NormSpec) -> Floats:
    """Rows as in `normscope.kernels.contract`."""
    root = sums.totals
    if is_square(measure_number(spec)):
        root = np.sqrt(root / np.maximum(sums.counts, 1))
    return np.stack([sums.counts, sums.means, root, *np.zeros((2, root.size))])


def _sums_of(partials: Floats, spec: NormSpec) -> Sums:
    """The sums that partial statistics were made of."""
    count, mean, root = partials[:3]
    total = root**2 * count if is_square(measure_number(spec)) else root
    return Sums(count, mean, total)


def _write(
    spec: NormSpec, layout: Layout, operands: Operands, piece: Piece, statistics: Floats
) -> None:
    """Write a piece of the output, from the statistics of all sets."""
    count, mean, _, divisor = (a[piece.place].ravel() for a in statistics)
    scale, bias = (
        None if values is None else values[tuple(piece.atoms[i] for i in layout.named(names or ""))]
        for names, values in ((spec.scale, operands.scale), (spec.bias, operands.bias))
    )
    x = _read(operands, piece)
    y = formula(x, piece.layout, spec, mean, divisor, count > 0, scale, bias)
    if operands.slope is not None:
        least = 0.0 if operands.slope == 0 else -np.inf  # ReLU cuts first: 0 * -inf would be NaN
        y = np.where(y > 0, y, np.maximum(y, least) * operands.slope)
    operands.out[piece.index] = y
