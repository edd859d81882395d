"""How gradients are computed: the loop nest, and where the gradients of scale and bias come from.

These are sums over all elements that have the parameter. Where it is the same for all elements of
a set, they come from the sums of the sets. Else they are taken along with those, while x and dy are
in cache; a pass of its own is left for a bias that has other axes than scale, and for parameters so
large, or lying in such an order, that their sums would not stay in cache.

No sum may depend on the number of threads, so each piece of work has sums of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from normscope.engine.forward import formula
from normscope.engine.loops import BIAS, Strides, atomic_strides
from normscope.engine.plan import Plan, plan as find_plan
from normscope.notation.layout import Layout
from normscope.notation.spec import NormSpec

Axes = tuple[int, ...]
Floats = NDArray[np.float64]

SUMS = 6
"""Sums of a set, as in `normscope.kernels.backward.input_gradient`."""

MOST_BLOCKS, FEWEST_BLOCKS = 32, 4
"""How many items have sums of their own for all parameters."""
BLOCKS_BYTES = 3 << 18
"""The memory for those; also what the sums of the chunks of all sets may take."""
LARGEST_CHUNK, SMALLEST_CHUNK = 16384, 1024
"""Elements of sets that pass by while the sums of their parameters are in cache."""


@dataclass(frozen=True)
class Cut:
    """How the work of a plan is cut where parameters have sums.

    Attributes:
        whole, chunk, chunks: as in `Plan`.
        units: how many sets or tiles, or chunks of these, there are.
        per_item: how many of them one item is.
        blocks: how often there are sums of the parameters: none, once, or once for each item.
    """

    whole: bool
    chunk: int
    chunks: int
    units: int
    per_item: int
    blocks: int = 0

    @property
    def items(self) -> int:
        """How many pieces the work is cut into."""
        return -(-self.units // self.per_item)


def _uncut(plan: Plan) -> Cut:
    """The work as the plan cuts it."""
    if plan.mode == "rows" and plan.whole:
        return Cut(True, plan.set_size, 1, plan.num_sets, plan.per_item)
    return Cut(plan.whole, plan.chunk, plan.chunks, plan.items, 1)


def _cut(plan: Plan, parameters: int) -> Cut | None:
    """The work, if the sums of the parameters can be taken along with those of the sets.

    Of few parameters, each item has its own sums, which are added in the end. Of many, one for each
    element of a set, there is one sum: an item is one chunk of all sets.
    """
    cut = _uncut(plan)
    blocks = min(MOST_BLOCKS, BLOCKS_BYTES // (16 * max(1, parameters)))
    if blocks >= min(FEWEST_BLOCKS, cut.units):
        cut = replace(cut, per_item=max(cut.per_item, -(-cut.units // blocks)))
        return replace(cut, blocks=cut.items)
    if plan.mode == "columns" or not _one_per_element(plan):
        return None
    chunk = max(SMALLEST_CHUNK, min(LARGEST_CHUNK, plan.set_size // 8))
    chunk = max(chunk, 8 * SUMS * plan.num_sets * plan.set_size // BLOCKS_BYTES)
    chunks = -(-plan.set_size // chunk)
    return Cut(False, chunk, chunks, plan.num_sets * chunks, per_item=plan.num_sets, blocks=1)


def _one_per_element(plan: Plan) -> bool:
    """Whether all sets have the same parameters, one for each element, in the same order."""
    step = 1
    for loop in reversed(plan.loops[plan.kept :]):
        if loop.strides[BIAS] != step:
            return False
        step *= loop.size
    return all(loop.strides[BIAS] == 0 for loop in plan.loops[: plan.kept])


class Way(NamedTuple):
    """How the gradients of arrays of one form are computed.

    Attributes:
        plan, cut: the nest, and how the work is cut.
        parameters: how many sums of dy are taken along with those of the sets, written out.
        numbers: of the formula.
        named: the axes of scale and of bias, None without; they are the same, or bias has others.
        constant: for each, whether its sums come from those of the sets.
        fused: for each, whether its sums are taken along with those of the sets.
    """

    plan: Plan
    cut: Cut
    parameters: int
    numbers: Floats
    named: tuple[Axes | None, Axes | None]
    constant: tuple[bool, ...]
    fused: tuple[bool, ...]

    @property
    def from_sets(self) -> bool:
        """Whether any sums come from those of the sets."""
        return any(c for a, c in zip(self.named, self.constant, strict=True) if a is not None)


def parameter_axes(spec: NormSpec, layout: Layout) -> tuple[Axes | None, Axes | None]:
    """The axes of scale and of bias, None without."""
    scale, bias = (None if n is None else layout.named(n) for n in (spec.scale, spec.bias))
    return scale, bias


@lru_cache(maxsize=1024)
def find_way(
    spec: NormSpec, layout: Layout, scaled: bool, dtype: np.dtype[Any], *strides: Strides | None
) -> Way:
    """The way for x, dx, dy and mask of these strides, in bytes; `scaled`: scale is given."""
    named = parameter_axes(spec, layout)
    # Where parameters, and scale, are the same for all elements of a set, each is a factor of the
    # sums of sets. Else these are weighted by scale.
    shared = set(layout.shared)
    constant = tuple(not {*(axes or ()), *(named[0] or ())} & shared for axes in named)
    first = named[0] if named[0] is not None else named[1]
    along = () if first is None or constant[named.index(first)] else first
    arrays = [
        None if a is None else atomic_strides(layout, a, size)
        for a, size in zip(strides, (*[dtype.itemsize] * 3, 1), strict=True)
    ]
    both = 2 * dtype.itemsize  # of x and dy, which shall be in cache together
    plan = find_plan(layout, arrays, [(named[0] or ()) if scaled else (), along], both)
    parameters = math.prod(layout.known_sizes[i] for i in plan.parameters[1])
    cut = _cut(plan, parameters) if along else None
    fused = tuple(cut is not None and sorted(axes or ()) == sorted(along) for axes in named)
    cut = cut or _uncut(plan)
    return Way(plan, cut, parameters, formula(spec, dtype.name), named, constant, fused)
