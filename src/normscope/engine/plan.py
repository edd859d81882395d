"""Spec + shape + strides -> `Plan`: one loop nest over the memory of all arrays, without a copy.

Neighbouring axes of one role become one loop where the strides of all arrays (`engine.loops`)
allow it. Nothing limits the number of loops: a pattern with many alternations just has more of
them.

The innermost loop is the one with the smallest stride. If it is shared, sets are *rows*; if it is
kept, or so short that its neighbours should be treated with it, sets are *columns*.

Work is cut into items by size alone, never by the number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from normscope.engine.loops import Loop, Strides, atoms_of, merged
from normscope.kernels.contract import (
    ARRAYS,
    CHUNK,
    FULL_SIZE,
    LINE,
    NUM_SUMS,
    PARAMETERS,
    SET,
)
from normscope.notation.layout import Layout
from normscope.wording import counted

WRITTEN = 16384
"""Elements of a large set that are written together: their parameters stay in cache meanwhile."""
SHORT_RUN = 64
"""Shared runs shorter than this are folded columns, if a set has many of them:"""
FEW_RUNS = 16
"""no more than so many, nor than a run has elements, take longer as columns."""
NARROW = 32
"""Kept runs shorter than this take some of the shared loop around them as further columns."""
USUAL = 800
"""Columns whose sums stay in the first level of cache beside the rows."""
ITEM_BYTES, SMALLEST_ITEM = 1 << 18, 1 << 14
"""Bytes of an item: of x in rows."""
SHARED_BYTES = 1 << 16
"""An array of fewer is one thread's."""
MANY_ITEMS = 64
"""Into so many items arrays are cut as soon as these are not too small."""
TOGETHER = 8
"""Short sets, lying in rows, that a kernel takes at once."""
NARROWEST = 256
"""Bytes of a row in a tile that is cut to have more items: a few cache lines in turn."""
CACHE_BYTES = 1 << 19
"""What of a statistics set is hoped to stay in the second level of cache."""
SHARED_PARAMETERS = 1 << 19
"""Parameters along sets of up to so many elements stay in the last level of cache for all sets."""
STREAM_BYTES = 40 << 20
"""An output larger than this does not stay in any cache beside its input: it is streamed."""
FEWEST_ITEMS = 8
"""With fewer items than this, each set larger than an item is split too."""
FEWEST_ROWS = 1024
"""Chunks of columns have no fewer rows, so that merging them costs little,"""
MOST_CHUNKS = 32
"""and there are no more of them in a set;"""
SUMS_BYTES = 1 << 19
"""nor more than have their sums, of all sets, in so much memory."""
EXPANDED = 1 << 16
"""A parameter is written out along further axes up to so many elements."""


@dataclass(frozen=True, eq=False)
class Plan:
    """How one normalization of arrays of given shapes and strides is computed.

    Attributes:
        mode: `rows` or `columns`.
        loops: kept loops, then shared loops, then the innermost one.
        num_kept: how many loops are kept ones, the innermost of columns not counted.
        outer, inner: columns (outer, sets, inner) of a row that belong to one set.
        tile: columns treated together.
        chunk: rows, or elements of a row, that are summed together.
        whole: whether one item is one or several whole sets, which are read from memory once if
            they fit in cache; otherwise sets are split into chunks, measured, then written.
        items: how many pieces the work is cut into.
        per_item: sets of an item (rows).
        chunks: chunks of a set.
        streams: whether the output is so large that it is written past the caches.
        parameters: the atomic axes along which parameters must be written out, in this order.
        stats_shape: the sizes of the kept axes.
    """

    mode: Literal["rows", "columns"]
    loops: tuple[Loop, ...]
    num_kept: int
    num_sets: int
    set_size: int
    outer: int = 1
    inner: int = 1
    tile: int = 0
    chunk: int = CHUNK
    chunks: int = 1
    whole: bool = True
    items: int = 1
    per_item: int = 1
    streams: bool = False
    parameters: tuple[tuple[int, ...], ...] = ()
    stats_shape: tuple[int, ...] = ()
    nest: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 1 + ARRAYS), np.int64))

    @property
    def positions(self) -> int:
        """How many positions the kept loops have."""
        return math.prod(loop.size for loop in self.loops[: self.num_kept])

    @property
    def tiles(self) -> int:
        """How many tiles a row has (columns)."""
        return max(1, -(-self.loops[-1].size // self.tile))

    @property
    def set_order(self) -> NDArray[np.int64]:
        """The number of each set in layout order, for sets in the order of the nest."""
        order = np.zeros(1, np.int64)
        for loop in self.loops[: self.num_kept]:
            order = np.add.outer(order, np.arange(loop.size) * loop.strides[SET]).ravel()
        if self.mode == "columns":
            last = self.loops[-1]
            sets = last.size // (self.outer * self.inner)
            order = np.add.outer(order, np.arange(sets) * last.strides[SET]).ravel()
        return order

    def __str__(self) -> str:
        names = ["keep"] * self.num_kept + ["share"] * (len(self.loops) - self.num_kept)
        if self.mode == "columns":
            names[-1] = "keep"
        nest = ", ".join(f"{name} {n.size}" for name, n in zip(names, self.loops, strict=True))
        folded = f" folded ({self.outer}, -1, {self.inner})" if self.outer * self.inner > 1 else ""
        how = "sets whole" if self.whole else f"sets in {self.chunks} chunks"
        return f"{self.mode}: {nest}{folded}; {counted(self.items, 'item')}, {how}"


def plan(
    layout: Layout,
    arrays: Sequence[Strides | None],
    parameters: Sequence[tuple[int, ...]],
    itemsize: int,
) -> Plan:
    """Find the loop nest.

    Args:
        layout: the pattern, fitted to the shape.
        arrays: strides along the atomic axes of the arrays of the full size, in the order of the
            nest: what is read, what is written, and two more; None: not there.
        parameters: the atomic axes of two parameters, in the order of their memory, which is
            contiguous.
        itemsize: bytes of an element of x.

    Returns:
        The `Plan`.

    Example:
        >>> from normscope import spec
        >>> from normscope.engine.loops import atomic_strides
        >>> layout = spec("[b] c [h w]").layout((32, 128, 56, 56))
        >>> strides = atomic_strides(layout, (401408, 3136, 56, 1), 1)
        >>> print(plan(layout, [strides, strides, None, None], [(1,), (1,)], 4))
        rows: keep 128, share 32, share 3136; 128 items, sets whole
    """
    atoms = atoms_of(layout, arrays, parameters)
    inner = merged(atoms, (*FULL_SIZE, SET))
    shape = _innermost(inner, parameters)
    expand = _to_expand(layout, shape, parameters)
    if expand:
        order = _in_memory_order(atoms)
        parameters = [
            tuple(a for a in order if a in axes or a in expand) if axes else ()
            for axes in parameters
        ]
        atoms = atoms_of(layout, arrays, parameters)
    found = _assemble(atoms, shape)
    kept_sizes = tuple(layout.known_sizes[i] for i in layout.kept)
    found = replace(
        found,
        parameters=tuple(parameters),
        num_sets=layout.num_sets or 0,
        set_size=layout.set_size or 0,
        stats_shape=kept_sizes,
    )
    outer_sets = not set(layout.kept) <= set(found.loops[-1].axes)
    return _cut(found, itemsize, outer_sets)


@dataclass(frozen=True)
class _Innermost:
    """The innermost loop: its atomic axes, and how it is folded."""

    mode: Literal["rows", "columns"]
    axes: tuple[int, ...]
    outer: int = 1
    inner: int = 1


def _in_memory_order(atoms: Sequence[Loop]) -> list[int]:
    return [axis for loop in atoms for axis in loop.axes]


def _innermost(loops: Sequence[Loop], parameters: Sequence[tuple[int, ...]]) -> _Innermost:
    """Rows or columns, and which axes the innermost loop covers."""
    if not loops:
        return _Innermost("rows", ())
    last = loops[-1]
    around = loops[-2] if len(loops) > 1 else None
    adjacent = around is not None and around.joins(last, FULL_SIZE)
    if not last.shared:
        outer = 1
        narrow = around is not None and adjacent and around.shared and last.size < NARROW
        if narrow and around is not None:
            varies = any(set(axes) & set(around.axes) for axes in parameters)
            outer = 1 if varies else _largest_divisor(around.size, 512 // max(1, last.size))
        return _Innermost("columns", last.axes, outer=outer)
    runs = math.prod(loop.size for loop in loops[:-1] if loop.shared)
    many = runs > min(last.size, FEW_RUNS)
    if around is not None and adjacent and many and last.size < SHORT_RUN:
        return _Innermost("columns", around.axes + last.axes, inner=last.size)
    return _Innermost("rows", last.axes)


def _largest_divisor(number: int, most: int) -> int:
    return max(d for d in range(1, max(1, min(most, number)) + 1) if number % d == 0)


def _to_expand(
    layout: Layout, innermost: _Innermost, parameters: Sequence[tuple[int, ...]]
) -> tuple[int, ...]:
    """The axes along which parameters must be written out, so that the innermost loop is long."""
    sizes = layout.known_sizes
    axes: tuple[int, ...] = innermost.axes
    if innermost.mode == "rows":
        axes = axes[:0]
        for axis in reversed(innermost.axes):
            if math.prod(sizes[a] for a in axes) >= 2 * SHORT_RUN:
                break
            axes = (axis, *axes)
    for parameter in parameters:
        along = [a for a in axes if a in parameter]
        missing = along and tuple(along) != axes
        in_order = tuple(parameter[len(parameter) - len(along) :]) == tuple(along)
        size = math.prod(sizes[a] for a in {*axes, *parameter})
        if (missing or not in_order) and (size <= EXPANDED or innermost.mode == "columns"):
            return axes
    return ()


def _assemble(atoms: Sequence[Loop], innermost: _Innermost) -> Plan:
    """Order the loops: kept, shared, innermost."""
    everything = range(ARRAYS)
    if innermost.mode == "rows":
        loops = merged(atoms, everything) or [Loop(1, True, (0,) * ARRAYS)]
        if not loops[-1].shared:  # only a single element per set
            loops.append(Loop(1, True, (0,) * ARRAYS))
        last = loops.pop()
        kept = [loop for loop in loops if not loop.shared]
        shared = [loop for loop in loops if loop.shared]
        return Plan("rows", (*kept, *shared, last), len(kept), 0, 0)
    covered = [loop for loop in atoms if set(loop.axes) <= set(innermost.axes)]
    rest = merged([loop for loop in atoms if loop not in covered], everything)
    last = covered[0]
    for loop in covered[1:]:
        last = last.joined(loop)
    kept_part = [loop for loop in covered if not loop.shared]
    step = kept_part[-1].strides[SET]
    last = replace(last, strides=(*last.strides[:SET], step))
    if innermost.outer > 1:
        around = rest.pop()
        if around.size > innermost.outer:
            strides = tuple(s * innermost.outer for s in around.strides)
            rest.append(Loop(around.size // innermost.outer, True, strides, around.axes))
        last = replace(last, size=last.size * innermost.outer)
    kept = [loop for loop in rest if not loop.shared]
    shared = [loop for loop in rest if loop.shared]
    return Plan(
        "columns",
        (*kept, *shared, last),
        len(kept),
        0,
        0,
        outer=innermost.outer,
        inner=innermost.inner,
    )


def _cut(plan: Plan, itemsize: int, outer_sets: bool) -> Plan:
    """Cut the work into items; `outer_sets`: whether there may be kept loops around others."""
    nest = np.array([(loop.size, *loop.strides) for loop in plan.loops], np.int64)
    nest.flags.writeable = False
    total = plan.num_sets * plan.set_size * itemsize
    plan = replace(plan, streams=total > STREAM_BYTES)
    if plan.mode == "rows":
        per_item = _sets_of_an_item(plan.set_size * itemsize, total)
        items = -(-plan.num_sets // per_item)
        chunks = -(-plan.set_size // CHUNK)
        whole = _whole(items, chunks, total) and not _large_parameters(plan)
        return replace(
            plan,
            nest=nest,
            per_item=per_item,
            chunks=chunks,
            whole=whole,
            items=items if whole else plan.num_sets * chunks,
        )
    columns = plan.loops[-1].size
    rows = math.prod(loop.size for loop in plan.loops[plan.num_kept : -1])
    plan = replace(plan, nest=nest, tile=_tile(plan, rows, columns, itemsize))
    chunk = max(FEWEST_ROWS, -(-rows // _most_chunks(plan, outer_sets)))
    chunks = -(-rows // chunk)
    whole = _whole(plan.positions * plan.tiles, chunks, total)
    if whole and total >= SHARED_BYTES:
        plan = replace(plan, tile=_narrow_tile(plan, itemsize))
    items = plan.positions * plan.tiles * (1 if whole else chunks)
    return replace(plan, chunk=chunk, chunks=chunks, whole=whole, items=items)


def _sets_of_an_item(set_bytes: int, total: int) -> int:
    """How many sets, lying in rows, one item is."""
    wanted = min(ITEM_BYTES, max(SMALLEST_ITEM, total // MANY_ITEMS))
    sets = max(1, wanted // max(1, set_bytes))
    return sets if sets < TOGETHER else sets // TOGETHER * TOGETHER


def _narrow_tile(plan: Plan, itemsize: int) -> int:
    """A tile so narrow that there are enough items; no sum depends on how wide tiles are."""
    missing = -(-FEWEST_ITEMS // max(1, plan.positions))
    if plan.outer > 1 or plan.tiles >= missing:
        return plan.tile
    columns = plan.loops[-1].size
    step = _tile_step(plan, itemsize)
    tile = max(-(-columns // missing), NARROWEST // itemsize)
    return min(-(-tile // step) * step, plan.tile)


def _most_chunks(plan: Plan, outer_sets: bool) -> int:
    """Into how many chunks the rows of columns may be cut.

    It does not depend on how many positions there are, only on how many there can be of sets that
    are split: a sample alone has the chunks, and so the bits, that it has in a batch.
    """
    positions = max(1, (FEWEST_ITEMS - 1) // plan.tiles) if outer_sets else 1
    fitting = SUMS_BYTES // (positions * max(1, plan.loops[-1].size) * NUM_SUMS * 8)
    enough = -(-FEWEST_ITEMS // (2 * plan.tiles))
    return min(MOST_CHUNKS, max(fitting, enough))


def _large_parameters(plan: Plan) -> bool:
    """Whether parameters vary along sets so large that each would read them from memory anew."""
    shared = plan.loops[plan.num_kept :]
    return (
        plan.set_size > SHARED_PARAMETERS
        and plan.num_sets > 1
        and any(loop.strides[place] for loop in shared for place in PARAMETERS)
    )


def _whole(items: int, chunks: int, total: int) -> bool:
    return items >= FEWEST_ITEMS or chunks == 1 or total <= CACHE_BYTES


def _tile(plan: Plan, rows: int, columns: int, itemsize: int) -> int:
    """How many columns fit in cache for all rows, at least a few cache lines."""
    columns = max(1, columns)  # of an axis of length 0
    if plan.outer > 1:
        return columns
    fitting = CACHE_BYTES // max(1, rows * itemsize)
    most = min(fitting, USUAL) if fitting >= 64 else USUAL
    tiles = -(-columns // most)
    tile = -(-columns // tiles)  # as even as possible: what a narrow last tile costs is not little
    step = _tile_step(plan, itemsize)
    return min(-(-tile // step) * step, columns)


def _tile_step(plan: Plan, itemsize: int) -> int:
    """What the width of a tile is a multiple of: whole sets, or cache lines."""
    return plan.inner if plan.inner > 1 else max(16, LINE // itemsize)
