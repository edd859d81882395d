"""The data of `fit`: which arrays there are, and their pieces, each read and measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.engine.array_likes import array_like, called, chunk_of, itemsize_of, read, shape_of
from normscope.engine.operands import memory_order
from normscope.engine.partial_statistics import measured
from normscope.engine.pieces import Piece, at_boundaries, cut, lengths, piece, ranges
from normscope.engine.validation import INTEGERS, check_array, check_mask
from normscope.errors import DtypeError, ShapeError, SpecError
from normscope.notation.layout import Layout
from normscope.notation.spec import NormSpec
from normscope.wording import counted

Floats = NDArray[np.float64]

PIECE_BYTES = 64 << 20
"""An array is measured in pieces of about this size."""


def arrays_of(batches: Any, mask: Any) -> Iterator[tuple[Any, Any]]:
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


def shape_known(array: Any) -> tuple[int, ...]:
    """The shape of an array, which of a Dask collection may have to be found first."""
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


def measured_pieces(
    spec: NormSpec, layout: Layout, array: Any, mask: Any, skip: bool
) -> Iterator[tuple[Piece, Floats]]:
    """Each piece of an array, and the partial statistics of its sets."""
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
    """The partial statistics of the sets of a piece that was read."""
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
    return measured(x, spec, layout, counted)


def _dask_parts(
    spec: NormSpec, layout: Layout, array: Any, mask: Any, skip: bool
) -> Iterator[tuple[Piece, Floats]]:
    """Each block, and its partial statistics, computed where Dask computes; only they travel."""
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
    partials = [
        measure(block, spec, where.layout, _mask_of(mask, layout, where), skip)
        for block, where in zip(blocks, pieces, strict=True)
    ]
    yield from zip(pieces, dask.compute(*partials), strict=True)
