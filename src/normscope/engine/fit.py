"""`fit`: statistics of data that does not fit in memory, piece by piece, merged exactly."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from normscope.engine import by_definition
from normscope.engine.array_likes import array_like, called, chunk_of, itemsize_of, read, shape_of
from normscope.engine.forward import formula, measured_states
from normscope.engine.kernels_installed import kernels_installed
from normscope.engine.loops import atomic_strides
from normscope.engine.normalize import normalize
from normscope.engine.operands import address, memory_order, readable
from normscope.engine.pieces import Piece, at_boundaries, cut, lengths, piece, ranges
from normscope.engine.plan import plan as find_plan
from normscope.engine.validation import INTEGERS, check_array, check_mask, in_floats
from normscope.errors import DtypeError, ShapeError, SpecError
from normscope.frameworks.statement import stated
from normscope.kernels.contract import Arrays
from normscope.notation.layout import Layout
from normscope.notation.spec import Measure, NormSpec
from normscope.notebook import html_of, summarized, text_of
from normscope.wording import counted

Floats = NDArray[np.float64]

PIECE_BYTES = 64 << 20
"""An array is measured in pieces of about this size."""

PATIENCE = 1.0
"""Seconds after which a progress bar appears on a terminal."""


@dataclass(frozen=True, eq=False, repr=False)
class Fit:
    """The statistics of all data, one value per statistics set.

    Attributes:
        spec: the spec that they were measured by.
        mean, var: m and v of the formula, in the shape of the axes outside brackets, float64. With
            the measure `none` v is 1.
        count: how many elements were counted in each set.
    """

    spec: NormSpec
    mean: Floats
    var: Floats
    count: Floats

    @property
    def std(self) -> Floats:
        """The square root of `var`: the standard deviation, or another measure itself."""
        return np.sqrt(self.var)

    @property
    def inference(self) -> NormSpec:
        """The spec of the inference form: no statistic is taken from the input."""
        return replace(
            self.spec, pattern=None, sizes={}, scale=self.spec.scale, bias=self.spec.bias
        )

    @property
    def parameters(self) -> dict[str, Floats]:
        """The arguments that make `normalize` use these statistics: mean and var."""
        return {
            "mean": self.mean if self.spec.center else np.zeros_like(self.mean),
            "var": self.var,
        }

    def normalize(self, x: NDArray[Any], **arguments: Any) -> NDArray[Any]:
        """Normalize an array with these statistics; arguments are those of `normalize`."""
        given: dict[str, Any] = {**self.parameters, **arguments}
        result: NDArray[Any] = normalize(x, self.spec, **given)
        return result

    def __repr__(self) -> str:
        return text_of(self._headline, self._rows)

    def _repr_html_(self) -> str:
        return html_of(self._headline, self._rows)

    @property
    def _headline(self) -> str:
        return f"Fit of {self.spec}: {counted(self.mean.size, 'statistics set')}"

    @property
    def _rows(self) -> list[tuple[str, str]]:
        return [(name, summarized(getattr(self, name))) for name in ("mean", "var", "count")]


def fit(
    spec: NormSpec | str,
    batches: Any,
    *,
    mask: Any = None,
    missing: str = "propagate",
    progress: bool | None = None,
    **fields_and_sizes: Any,
) -> Fit:
    """Measure the statistics sets of data that need not fit in memory.

    The data is one array, or comes in batches. Anything with a shape is one array, also if it can
    be iterated: an h5py or zarr dataset, a memory map, a tensor, a table. It is read in pieces of
    about 64 MiB, or of one chunk of its file where that is more, cut along any axis.

    Every batch meets the pattern, and all have the same statistics sets: they differ in length
    along shared axes only, such as the batch axis of `"[b] c"`. Pieces and batches are merged by
    Chan's formula in float64, so the result is the same for any way of cutting the data, up to
    rounding. Integers and booleans are measured as the floats they equal (see `normalize`).

    Args:
        spec: the spec, a layer by name, or a pattern with sizes and fields as keywords; as for
            `normalize`.
        batches: an array; a Dask array, whose blocks are measured where Dask computes; or an
            iterable of arrays (a list, a generator, a loader).
        mask: booleans; only elements where it is True are counted. For one array: an array that
            broadcasts to it. For batches: an iterable of such arrays, or of None, one per batch.
        missing: what NaN does: `"propagate"` makes the statistics of its set NaN, `"skip"` leaves
            it out, together with what is masked in masked arrays.
        progress: whether to show a progress bar; None: on a terminal, after a second.
        **fields_and_sizes: with a bare pattern only, as for `spec`.

    Returns:
        The `Fit`: mean, var, std, count, and what inference needs.

    Raises:
        PatternError, SpecError: the normalization is not stated correctly, there is no batch, or
            there are more or fewer masks than batches.
        ShapeError: a batch does not meet the pattern, or has other sets than the first one; a mask
            does not broadcast; or a set has too few counted values in all of them.
        DtypeError: what came is not an array of numbers, nor an iterable of such.

    Example:
        >>> found = fit("[b] c", [np.array([[0.0], [1.0]]), np.array([[5.0]])])
        >>> found.mean, found.var, found.count
        (array([2.]), array([4.66666667]), array([3.]))
        >>> found.normalize(np.array([[2.0]]))
        array([[0.]])
        >>> fit("[b] c", np.array([[0.0], [np.nan], [5.0]]), missing="skip").std
        array([2.5])
    """
    measured = stated(spec, fields_and_sizes, False, False)
    if missing not in ("propagate", "skip"):
        raise SpecError(f'missing is "propagate" or "skip", not {missing!r}')
    total: Floats | None = None
    shape: tuple[int, ...] = ()
    with _bar(progress) as advance:
        for array, counted in _arrays(batches, mask):
            layout = measured.layout(_known_shape(array))
            sizes = tuple(layout.known_sizes[i] for i in layout.kept)
            if total is None:
                total, shape = np.zeros((5, *sizes)), sizes
            elif sizes != shape:
                raise ShapeError(
                    f"this batch has statistics sets of shape {sizes}, the first one of {shape}",
                    measured.pattern,
                    sizes,
                    "batches may differ along shared axes only",
                )
            for where, part in _parts(measured, layout, array, counted, missing == "skip"):
                known = total[(slice(None), *where.place)]
                if known[0].any():
                    part = merged(measured, known.reshape(5, -1), part)
                known[...] = part.reshape(known.shape)
                advance()
    if total is None:
        raise SpecError("there are no batches, so there is nothing to measure")
    count, mean, root = total[:3]
    _check_counts(measured, count)
    return Fit(measured, mean, _measured(measured, count, root), count)


def _check_counts(spec: NormSpec, count: Floats) -> None:
    least = count.min(initial=np.inf)
    if least > spec.ddof:
        return
    few = count <= spec.ddof
    which = tuple(int(n) for n in np.argwhere(few)[0])
    raise ShapeError(
        f"a statistics set has {counted(int(least), 'value')} in all batches together, and with "
        f"ddof={spec.ddof} it needs at least {spec.ddof + 1}",
        spec.pattern,
        count.shape,
        f"{few.sum()} of {count.size} sets have too few; the first one is {which}: leave it out, "
        "or count more with another mask"
        if few.size > 1
        else "",
    )


def states_of(x: NDArray[Any], spec: NormSpec, mask: ArrayLike | None = None) -> Floats:
    """Count, mean, root and the rests of the last two of every set: (5, sets), in layout order.

    See `kernels.forward.partial_statistics`, and `float64_statistics` there for the rests, which
    only float64 input has.

    Raises:
        ShapeError: x does not meet the pattern.
        DtypeError: x is not an array of real numbers.
    """
    check_array("x", x)
    layout = spec.layout(x.shape)
    counted = None if mask is None else check_mask(mask, x.shape, layout.pattern.text)
    return _states(x, spec, layout, counted)


def _states(
    x: NDArray[Any], spec: NormSpec, layout: Layout, counted: NDArray[np.bool_] | None
) -> Floats:
    if not kernels_installed():
        return by_definition.states(spec, layout, in_floats(x), counted)
    from normscope.kernels.machine.memory import TAGS

    x = readable(in_floats(x), None)
    strides = atomic_strides(layout, x.strides, x.itemsize)
    masked = None if counted is None else atomic_strides(layout, counted.strides, 1)
    plan = find_plan(layout, [strides, strides, None, masked], [(), ()], x.itemsize)
    found = np.zeros((5, plan.num_sets))
    if not x.size:
        return found
    arrays = Arrays(
        address(x), 0, None, None if counted is None else address(counted), 0, 0, None,
        TAGS[x.dtype.name], None,
    )  # fmt: skip
    states, order = measured_states(plan, formula(spec, x.dtype.name), arrays)
    found[: len(states), order] = states
    return found


def merged(spec: NormSpec, one: Floats, other: Floats) -> Floats:
    """The states of two disjoint pieces of the same sets together."""
    if not kernels_installed():
        return by_definition.merged(spec, one, other)
    from normscope.kernels.forward import merging

    target = np.empty_like(one)
    merging.merge_chunks(np.stack([one, other]), target, formula(spec, "float64"), False)
    return target


def _measured(spec: NormSpec, count: Floats, root: Floats) -> Floats:
    """v, from count and root."""
    if spec.measure is Measure.NONE:
        return np.ones_like(root)
    v = root * root
    with np.errstate(divide="ignore", invalid="ignore"):
        if spec.measure in (Measure.VARIANCE, Measure.MEAN_SQUARE):
            v = v * (count / np.maximum(count - spec.ddof, 0))
        elif spec.measure is Measure.L2:
            v = v * count
    return np.asarray(v)


def _arrays(batches: Any, mask: Any) -> Iterator[tuple[Any, Any]]:
    """Each array of the data, and the mask that belongs to it."""
    array = _one_array(batches)
    if array is not None:
        yield array, mask
        return
    if isinstance(batches, str | bytes) or not isinstance(batches, Iterable):
        raise DtypeError(f"batches is an array or an iterable of arrays, not a {called(batches)}")
    if hasattr(batches, "keys"):
        raise DtypeError(f"batches is a {called(batches)} of arrays: give one of them, by its name")
    masks: Iterator[Any] | None = None
    if mask is not None:
        if _one_array(mask) is not None or not isinstance(mask, Iterable):
            raise SpecError(
                f"the data comes in batches, so mask is an iterable of masks, one for each, not a "
                f"{called(mask)}; or give the data as one array"
            )
        masks = iter(mask)
    number = -1
    for number, batch in enumerate(batches):
        array = _one_array(batch)
        if array is None:
            raise DtypeError(_no_batch(number, batch))
        counted = None if masks is None else next(masks, _NO_MASK)
        if counted is _NO_MASK:
            raise SpecError(f"there {_are(number, 'mask')}, and more batches than these")
        yield array, counted
    if masks is not None and next(masks, _NO_MASK) is not _NO_MASK:
        raise SpecError(f"there {_are(number + 1, 'batch')}, and more masks than these")


def _are(number: int, noun: str) -> str:
    return f"{'is' if number == 1 else 'are'} {counted(number, noun)}"


_NO_MASK = object()


def _one_array(data: Any) -> Any:
    """The data if it is one array, which Dask's are too; else None."""
    return data if _is_dask(data) else array_like(data)


def _no_batch(number: int, batch: Any) -> str:
    came = f"batch {number} is a {called(batch)}, not an array"
    if isinstance(batch, tuple | list) and any(array_like(part) is not None for part in batch):
        return f"{came}: give the arrays alone, as in (batch[0] for batch in batches)"
    return f"{came}; numbers in lists become one with np.array(...)"


def _is_dask(data: Any) -> bool:
    return type(data).__module__.partition(".")[0] == "dask" and hasattr(data, "to_delayed")


def _known_shape(array: Any) -> tuple[int, ...]:
    if not _is_dask(array):
        return shape_of(array)
    if not hasattr(array, "rechunk"):
        raise DtypeError("this is a Dask collection without a shape: x.to_dask_array(lengths=True)")
    if any(math.isnan(size) for size in array.shape):
        raise ShapeError(
            "the length of an axis is not known",
            None,
            array.shape,
            "let Dask find it: x.compute_chunk_sizes()",
        )
    return tuple(array.shape)


def _parts(
    spec: NormSpec, layout: Layout, array: Any, mask: Any, skip: bool
) -> Iterator[tuple[Piece, Floats]]:
    """Each piece of an array, and the states of its sets."""
    if mask is not None and not _is_dask(mask):
        found = array_like(mask)
        mask = np.asarray(mask) if found is None else found
    if _is_dask(array):
        yield from _dask_parts(spec, layout, array, mask, skip)
        return
    size = max(itemsize_of(array), 4)  # integers become floats
    order = memory_order(array) if isinstance(array, np.ndarray) else None
    longest = lengths(shape_of(array), size, PIECE_BYTES, chunk_of(array), order)
    for where in cut(layout, longest):
        counted = _mask_of(mask, layout, where)
        yield where, _measured_piece(read(array, where.index), spec, where.layout, counted, skip)


def _mask_of(mask: Any, layout: Layout, where: Piece) -> Any:
    """The part of a mask that belongs to a piece; it broadcasts to it."""
    if mask is None:
        return None
    shape = tuple(mask.shape) if _is_dask(mask) else shape_of(mask)
    sizes = layout.shape[len(layout.shape) - len(shape) :]
    if len(shape) > len(layout.shape) or any(
        n not in (1, size) for n, size in zip(shape, sizes, strict=True)
    ):
        raise ShapeError(
            f"mask of shape {shape} does not broadcast to x", layout.pattern.text, layout.shape
        )
    last = where.index[len(layout.shape) - len(shape) :]
    index = tuple(slice(0, 1) if n == 1 else part for n, part in zip(shape, last, strict=True))
    return mask[index] if _is_dask(mask) else read(mask, index)


def _measured_piece(
    x: NDArray[Any], spec: NormSpec, layout: Layout, mask: Any, skip: bool
) -> Floats:
    """The states of the sets of a piece that was read."""
    counted = None if mask is None else check_mask(mask, x.shape, layout.pattern.text)
    if isinstance(x, np.ma.MaskedArray):
        if np.ma.is_masked(x) and not skip:
            raise DtypeError(
                "batch is a masked array: leave out what is masked with "
                'missing="skip", or give batch.data, and mask='
            )
        if np.ma.is_masked(x):
            unmasked = ~np.ma.getmaskarray(x)
            counted = unmasked if counted is None else counted & unmasked
        x = np.asarray(x.data)
    x = np.asarray(x)
    check_array("batch", x)
    if skip and x.dtype.kind not in INTEGERS:
        there = ~np.isnan(x)
        if not there.all():
            counted = there if counted is None else counted & there
    return _states(x, spec, layout, counted)


def _dask_parts(
    spec: NormSpec, layout: Layout, array: Any, mask: Any, skip: bool
) -> Iterator[tuple[Piece, Floats]]:
    """The states of each block, computed where Dask computes; only they travel."""
    import dask  # optional

    each = []
    for dim, chunks in enumerate(array.chunks):
        axes = layout.parts(dim)
        if len(axes) == 1:
            each.append(list(at_boundaries(axes, chunks)))
        else:  # parentheses say where it may be cut
            each.append(list(ranges(axes, max(chunks))))
    parts = tuple(tuple(along.stop - along.start for along, _ in found) for found in each)
    measure = dask.delayed(_measured_piece)
    blocks = array.rechunk(parts).to_delayed().ravel()
    pieces = [piece(layout, choice) for choice in product(*each)]
    states = [
        measure(block, spec, where.layout, _mask_of(mask, layout, where), skip)
        for block, where in zip(blocks, pieces, strict=True)
    ]
    yield from zip(pieces, dask.compute(*states), strict=True)


@contextmanager
def _bar(progress: bool | None) -> Iterator[Any]:
    """A function to call after each piece; it shows a bar on long work."""
    if progress is False or (progress is None and not sys.stderr.isatty()):
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    bar = Progress(
        TextColumn("measuring"),
        BarColumn(),
        TextColumn("{task.completed:.0f} pieces"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    task = bar.add_task("measuring", total=None)
    began = time.monotonic()

    def advance() -> None:
        bar.advance(task)
        if not bar.live.is_started and (progress or time.monotonic() - began > PATIENCE):
            bar.start()

    try:
        yield advance
    finally:
        bar.stop()
