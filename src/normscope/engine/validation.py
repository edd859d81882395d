"""What `normalize` is given, checked before any work: what came, and what to write instead."""

from __future__ import annotations

import math
from functools import lru_cache
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from normscope.errors import DtypeError, ShapeError, SpecError
from normscope.notation.layout import Layout
from normscope.notation.spec import Measure, NormSpec
from normscope.wording import counted

Array = NDArray[Any]

FLOATS = ("float64", "float32", "float16", "bfloat16")
INTEGERS = "iub"
"""The kinds of dtypes that are computed as floats: integers, with sign or without, and booleans."""


@lru_cache(maxsize=64)
def name_of(dtype: np.dtype[Any]) -> str:
    """The name of a dtype, which NumPy puts together anew each time: small calls notice."""
    return dtype.name


def check_array(name: str, x: object) -> None:
    """An array of real floats, or of integers or booleans, which `in_floats` makes floats of.

    Raises:
        DtypeError: it is not.
    """
    _refuse_masked(name, x)
    if not isinstance(x, np.ndarray):
        kind = f"{type(x).__module__}.{type(x).__qualname__}".removeprefix("builtins.")
        advice = f"give np.asarray({name})"
        if hasattr(x, "shape") and hasattr(x, "__getitem__"):
            advice += (
                f", or a part that fits in memory; fit(pattern, {name}) takes the statistics of "
                "all of it, and its result normalizes part after part"
            )
        raise DtypeError(f"{name} is a {kind}, not a NumPy array: {advice}")
    if name_of(x.dtype) in FLOATS or x.dtype.kind in INTEGERS:
        return
    advice = {
        "c": "normalize real and imaginary part, or the magnitude",
        "O": f"make it an array of numbers first: {name}.astype(np.float64)",
    }.get(x.dtype.kind, f"convert it first: {name}.astype(np.float32)")
    raise DtypeError(
        f"{name} has dtype {x.dtype}, which is none of {', '.join(FLOATS)}, nor integers; {advice}"
    )


def float_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype in which an array is computed: its own for floats; else one that holds all values.

    float32 holds integers of 8 and 16 bits and booleans; float64 those of 32 bits, and of 64 bits
    those up to 2**53, beyond which it holds the nearest.

    Example:
        >>> [float_dtype(np.dtype(name)).name for name in ("uint8", "int16", "int32", "float16")]
        ['float32', 'float32', 'float64', 'float16']
    """
    if dtype.kind not in INTEGERS:
        return dtype
    return np.dtype(np.float32 if dtype.itemsize <= 2 else np.float64)


def in_floats(x: Array) -> Array:
    """The array, or one of `float_dtype` with its values, in the same memory layout."""
    return x.astype(float_dtype(x.dtype), copy=False)


def _refuse_masked(name: str, array: object) -> None:
    if isinstance(array, np.ma.MaskedArray):
        advice = f"{name}.data, and mask=~{name}.mask" if name == "x" else f"{name}.filled(...)"
        raise DtypeError(f"{name} is a masked array: give {advice}")


def check_like(name: str, array: object, x: Array) -> None:
    """An array of x's shape and dtype, for the output, a residual or a gradient.

    Raises:
        SpecError: it is not.
    """
    _refuse_masked(name, array)
    if not isinstance(array, np.ndarray) or array.shape != x.shape or array.dtype != x.dtype:
        shown = (
            f"{array.dtype} of shape {array.shape}"
            if isinstance(array, np.ndarray)
            else repr(array)
        )
        raise SpecError(
            f"{name} must be {x.dtype} of shape {x.shape}, as the result is; it is {shown}"
        )


def check_out(out: object, x: Array, name: str = "out") -> None:
    """An array that the result fits into.

    Raises:
        SpecError: it is not.
    """
    if out is None:
        return
    check_like(name, out, x)
    if isinstance(out, np.ndarray) and not out.flags.writeable:
        raise SpecError(f"{name} is read-only")
    if (
        isinstance(out, np.ndarray)
        and out.size
        and any(
            stride == 0 and size > 1 for stride, size in zip(out.strides, out.shape, strict=True)
        )
    ):
        raise SpecError(
            f"{name} has a stride of 0, so several results would be one number: give "
            f"an array of its own memory, such as np.empty_like(x)"
        )


def check_set_size(spec: NormSpec, layout: Layout) -> None:
    """Every statistics set holds enough values.

    Raises:
        ShapeError: it does not.
    """
    size = layout.set_size or 0
    if size == 0 and layout.num_sets:
        raise ShapeError(
            f'a statistics set of "{layout.pattern}" holds no value here',
            layout.pattern.text,
            layout.shape,
            "an axis inside brackets has length 0",
        )
    if size and size <= spec.ddof:
        raise ShapeError(
            f"a statistics set holds {counted(size, 'value')}, and ddof={spec.ddof} divides by "
            f"{size - spec.ddof}",
            layout.pattern.text,
            layout.shape,
        )


def check_given(spec: NormSpec, mean: bool, var: bool) -> None:
    """Statistics from elsewhere are given together; where nothing is divided the mean will do.

    Raises:
        SpecError: one of them is missing.
    """
    if mean == var or (mean and spec.measure is Measure.NONE):
        return
    if spec.measure is Measure.NONE:
        raise SpecError('var= without mean=: with measure="none" the mean is all that is used')
    raise SpecError("mean= and var= belong together: give both or neither")


def check_slope(slope: object) -> float | None:
    """The slope of a LeakyReLU: a number, or None.

    Raises:
        SpecError: it is not.
    """
    if slope is None:
        return None
    if isinstance(slope, Real) and not isinstance(slope, bool):
        try:
            number = float(slope)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    raise SpecError(
        f"negative_slope is a finite number (0 for ReLU, 0.1 for LeakyReLU(0.1)) or None, "
        f"not {slope!r}"
    )


def parameter_axes(layout: Layout, field: str, names: str | None) -> tuple[int, ...]:
    """The atomic axes along which a parameter varies.

    Raises:
        SpecError: the spec has no such parameter.
    """
    if names is None:
        raise SpecError(
            f"{field}= is given, but the spec has no {field}: name the axes along which it varies "
            f'in the spec, for example spec("{layout.pattern}", {field}="{_guess(layout)}")'
        )
    return layout.named(names)


def _guess(layout: Layout) -> str:
    return layout.axes[-1].base if layout.axes else ""


def laid_along(layout: Layout, name: str, axes: tuple[int, ...], values: ArrayLike) -> Array:
    """`values`, one per index of the atomic `axes`, in the shape of those axes.

    Raises:
        DtypeError: they are no numbers.
        ShapeError: there are more or fewer.
    """
    array = _as_array(name, values)
    if array.dtype.kind not in "fiub" and name_of(array.dtype) not in FLOATS:
        raise DtypeError(f"{name} has dtype {array.dtype}, not numbers")
    shape = layout.place(axes).shape
    flat = (math.prod(shape),)
    if array.shape not in (shape, flat):
        called = " ".join(layout.axes[i].name for i in axes) or "no axis"
        raise ShapeError(
            f"{name} has shape {array.shape}; along {called} it has {shape}"
            + (f" or {flat}" if flat != shape else ""),
            layout.pattern.text,
            layout.shape,
        )
    return array.reshape(shape)


def _as_array(name: str, values: ArrayLike) -> Array:
    _refuse_masked(name, values)
    try:
        return np.asarray(values)
    except ValueError as error:
        raise DtypeError(f"{name} is no array: {error}") from None


def check_mask(mask: ArrayLike, shape: tuple[int, ...], pattern: str) -> NDArray[np.bool_]:
    """The mask, broadcast to the shape of x.

    Raises:
        DtypeError: it holds no booleans.
        ShapeError: it does not broadcast.
    """
    array = _as_array("mask", mask)
    if array.dtype != np.bool_:
        raise DtypeError(
            f"mask has dtype {array.dtype}; it is an array of booleans, True = counts: mask != 0"
        )
    try:
        return np.broadcast_to(array, shape)
    except ValueError:
        raise ShapeError(
            f"mask of shape {array.shape} does not broadcast to x", pattern, shape
        ) from None
