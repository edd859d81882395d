"""How gradients are computed: the loop nest, and where the gradients of scale and bias come from.

These are sums over all elements that have the parameter. Where it is the same for all elements of
a set, they come from the sums of the sets. Else they are taken along with those, while x and dy are
in cache; a pass of its own is left for a bias that has other axes than scale, and for parameters so
large, or lying in such an order, that their sums would not stay in cache.

No sum may depend on the number of threads, so each piece of work has sums of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from normscope.engine.operands import Kind
from normscope.engine.plan import Plan
from normscope.engine.prepared import PreparedCall, prepare
from normscope.kernels.contract import LEARNED, NUM_SUMS
from normscope.notation.layout import Layout
from normscope.notation.spec import NormSpec

Axes = tuple[int, ...]

MOST_BLOCKS, FEWEST_BLOCKS = 32, 4
"""How many items have sums of their own for all parameters."""
BLOCK_SHARE = 32
"""What an item reads is at least so many times as large as the sums of its own."""
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
        return Cut(
            whole=True,
            chunk=plan.set_size,
            chunks=1,
            units=plan.num_sets,
            per_item=plan.per_item,
        )
    return Cut(whole=plan.whole, chunk=plan.chunk, chunks=plan.chunks, units=plan.items, per_item=1)


def _cut(plan: Plan, parameters: int, itemsize: int) -> Cut | None:
    """The work, if the sums of the parameters can be taken along with those of the sets.

    Of few parameters, each item has its own sums, which are added in the end. Of many, one for each
    element of a set, there is one sum: an item is one chunk of all sets.
    """
    cut = _uncut(plan)
    blocks = min(MOST_BLOCKS, BLOCKS_BYTES // (16 * max(1, parameters)))
    if blocks >= min(FEWEST_BLOCKS, cut.units):
        work = 2 * plan.num_sets * plan.set_size * itemsize
        blocks = max(1, min(blocks, work // (BLOCK_SHARE * 16 * max(1, parameters))))
        cut = replace(cut, per_item=max(cut.per_item, -(-cut.units // blocks)))
        return replace(cut, blocks=cut.items)
    if plan.mode == "columns" or not _one_per_element(plan):
        return None
    chunk = max(SMALLEST_CHUNK, min(LARGEST_CHUNK, plan.set_size // 8))
    chunk = max(chunk, 8 * NUM_SUMS * plan.num_sets * plan.set_size // BLOCKS_BYTES)
    chunks = -(-plan.set_size // chunk)
    return Cut(
        whole=False,
        chunk=chunk,
        chunks=chunks,
        units=plan.num_sets * chunks,
        per_item=plan.num_sets,
        blocks=1,
    )


def _one_per_element(plan: Plan) -> bool:
    """Whether all sets have the same parameters, one for each element, in the same order."""
    step = 1
    for loop in reversed(plan.loops[plan.num_kept :]):
        if loop.strides[LEARNED] != step:
            return False
        step *= loop.size
    kept = plan.loops[: plan.num_kept]
    return all(loop.strides[LEARNED] == 0 for loop in kept)


class GradientCall(NamedTuple):
    """How the gradients of arrays of one form are computed.

    Attributes:
        prepared: what kernels need.
        cut: how the work is cut.
        parameters: how many sums of dy are taken along with those of the sets, written out.
        named: the axes of scale and of bias, None without; they are the same, or bias has others.
        constant: for each, whether its sums come from those of the sets.
        fused: for each, whether its sums are taken along with those of the sets.
    """

    prepared: PreparedCall
    cut: Cut
    parameters: int
    named: tuple[Axes | None, Axes | None]
    constant: tuple[bool, ...]
    fused: tuple[bool, ...]

    @property
    def along(self) -> list[Axes]:
        """The axes of parameters whose sums are taken along with those of the sets."""
        return self._axes(lambda constant, fused: fused and not constant)

    @property
    def of_sets(self) -> list[Axes]:
        """The axes of parameters whose sums come from those of the sets."""
        return self._axes(lambda constant, fused: constant)

    @property
    def in_passes(self) -> list[Axes]:
        """The axes of parameters whose sums are taken in a pass of their own."""
        return self._axes(lambda constant, fused: not constant and not fused)

    def _axes(self, chosen: Callable[[bool, bool], bool]) -> list[Axes]:
        cases = zip(self.named, self.constant, self.fused, strict=True)
        return list(dict.fromkeys(a for a, *ways in cases if a is not None and chosen(*ways)))


def parameter_axes(spec: NormSpec, layout: Layout) -> tuple[Axes | None, Axes | None]:
    """The axes of scale and of bias, None without."""
    scale, bias = (None if n is None else layout.named(n) for n in (spec.scale, spec.bias))
    return scale, bias


@lru_cache(maxsize=1024)
def gradient_call(
    spec: NormSpec, layout: Layout, scaled: bool, dtype: Kind, *strides: Axes | None
) -> GradientCall:
    """The call for x, dx, dy and mask of these strides, in bytes; `scaled`: scale is given."""
    named = parameter_axes(spec, layout)
    # Where parameters, and scale, are the same for all elements of a set, each is a factor of the
    # sums of sets. Else these are weighted by scale.
    shared = set(layout.shared)
    constant = tuple(not {*(axes or ()), *(named[0] or ())} & shared for axes in named)
    first = named[0] if named[0] is not None else named[1]
    along = () if first is None or constant[named.index(first)] else first
    prepared = prepare(
        spec,
        layout,
        dtype,
        strides,
        ((named[0] or ()) if scaled else (), along),
        bytes_in_cache=2 * dtype.itemsize,  # of x and dy
    )
    plan = prepared.plan
    parameters = math.prod(layout.known_sizes[i] for i in plan.parameters[1])
    cut = _cut(plan, parameters, dtype.itemsize) if along else None
    fused = tuple(cut is not None and sorted(axes or ()) == sorted(along) for axes in named)
    return GradientCall(
        prepared=prepared,
        cut=cut or _uncut(plan),
        parameters=parameters,
        named=named,
        constant=constant,
        fused=fused,
    )
