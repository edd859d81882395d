"""Shapes: tuples of lengths, some of which may not be known."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Sequence

from normscope.errors import ShapeError

Size = int | None
"""The length of an axis; None where it is not known, as the batch axis in a model file."""

SizeGiven = int | tuple[int, ...]
"""A size given by keyword; for an axis under `...` it may be one size per repetition."""

MAX_RANK = 64
MAX_LENGTH = 2**48


def product(sizes: Iterator[Size] | Sequence[Size]) -> Size:
    """The product; None if any size is unknown."""
    known = list(sizes)
    return None if None in known else math.prod(size for size in known if size is not None)


def checked_shape(shape: Sequence[Size]) -> tuple[Size, ...]:
    """`shape` as a tuple of plain integers or None.

    Raises:
        ShapeError: an entry is neither a length nor None, or there are too many.
    """
    if not isinstance(shape, Sequence) or isinstance(shape, str):
        raise ShapeError(
            f"a shape is a tuple of integers, not {_called(shape)}",
            None,
            None,
            "write x.shape" if hasattr(shape, "shape") else "write (8, 128, 56, 56)",
        )
    if len(shape) > MAX_RANK:
        raise ShapeError(f"{len(shape)} axes, at most {MAX_RANK} are possible", None, None)
    return tuple(_checked_length(size, shape) for size in shape)


def _checked_length(size: Size, shape: Sequence[Size]) -> Size:
    if size is None:
        return None
    try:
        length = operator.index(size)
    except TypeError:
        length = -1
    if isinstance(size, bool) or not 0 <= length <= MAX_LENGTH:
        shown = repr(size) if len(repr(size)) < 30 else repr(size)[:27] + "..."
        raise ShapeError(
            f"{shown} is not the length of an axis",
            None,
            tuple(map(_short, shape)),
            f"a length is an integer from 0 to {MAX_LENGTH}, or None where it is not known",
        )
    return length


def _called(value: object) -> str:
    if hasattr(value, "shape"):
        return f"an array of shape {value.shape}"
    text = repr(value)
    return text if len(text) < 60 else text[:57] + "..."


def _short(value: object) -> object:
    return value if len(repr(value)) < 30 else repr(value)[:27] + "..."
