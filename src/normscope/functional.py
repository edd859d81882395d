"""`normalize`: any normalization of a NumPy array, with the contract enforced."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from normscope.errors import DtypeError, ShapeError, SpecError
from normscope.layout import Layout
from normscope.pattern import Repeat, leaves, parse
from normscope.spec import Measure, NormSpec, spec

Array = NDArray[Any]
Floats = NDArray[np.float64]


class Stats(NamedTuple):
    """What was measured, one value per statistics set, in the shape of the axes outside brackets.

    Attributes:
        mean: what was subtracted; 0 where the mean is not.
        var: v of the formula: the variance, or the square of another measure.
        rstd: one over the divisor.
    """

    mean: Floats
    var: Floats
    rstd: Floats


@overload
def normalize(
    x: Array, pattern: NormSpec | str, *, return_stats: Literal[False] = ..., **arguments: Any
) -> Array: ...
@overload
def normalize(
    x: Array, pattern: NormSpec | str, *, return_stats: Literal[True], **arguments: Any
) -> tuple[Array, Stats]: ...
def normalize(
    x: Array,
    pattern: NormSpec | str,
    *,
    scale: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    mean: ArrayLike | None = None,
    var: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    out: Array | None = None,
    return_stats: bool = False,
    **fields_and_sizes: Any,
) -> Array | tuple[Array, Stats]:
    """Normalize an array.

        y = (x - m) / max(sqrt(v + eps) + eps_outside, floor) * scale + bias

    with m and v the mean and the measure of each statistics set; see `NormSpec`. Everything is
    computed in float64 and rounded once, to x's dtype.

    Args:
        x: array of floats (float64, float32, float16 or bfloat16), of a shape that meets the
            pattern, in any memory layout. It is not changed.
        pattern: a `NormSpec`, or a pattern with sizes and fields as keywords: `g=4`, `eps=1e-3`.
        scale, bias: learned parameters, shaped like the axes that the spec names for them, in
            that order, or flat. With a bare pattern they run along the axis called `c` (and all
            parts of it where parentheses split it); other axes need a spec.
        mean, var: statistics from elsewhere, such as running ones, one per statistics set; both
            or neither.
        mask: booleans that broadcast to x. Only elements where it is True enter the statistics; a
            set without any is set to the bias.
        out: array of x's shape and dtype for the result; it may be x itself.
        return_stats: also return the `Stats`.
        **fields_and_sizes: with a bare pattern only, as for `spec`.

    Returns:
        An array of x's shape, dtype and memory layout; with `return_stats` a pair with `Stats`.

    Raises:
        PatternError, SpecError: the normalization is not stated correctly.
        ShapeError: x, a parameter or a statistic has a shape that does not fit, or a statistics
            set holds too few values.
        DtypeError: x is not an array of real floats.

    Example:
        >>> import numpy as np
        >>> normalize(np.array([[1.0, 2, 3], [4, 5, 6]]), "b [c]", eps=0).round(3)
        array([[-1.225,  0.   ,  1.225],
               [-1.225,  0.   ,  1.225]])
    """
    stated = _stated(pattern, fields_and_sizes, scale is not None, bias is not None)
    _check_array("x", x)
    layout = stated.layout(x.shape)
    _check_out(out, x)
    offset = _parameter(layout, "bias", stated.bias, bias)
    factor = _parameter(layout, "scale", stated.scale, scale)

    work = np.asarray(x, np.float64).reshape(layout.known_sizes)
    counted = _mask(mask, layout)
    if (mean is None) != (var is None):
        raise SpecError("mean= and var= belong together: give both or neither")
    if mean is None or var is None:
        _check_set_size(stated, layout)
        measured = _measure(work, stated, layout, counted)
    else:
        measured = _given(stated, layout, mean, var)

    y = measured.apply(work)
    if factor is not None:
        y *= factor + stated.scale_shift
    if offset is not None:
        y += offset
    result = np.empty_like(x, subok=False) if out is None else out
    with np.errstate(over="ignore"):
        result[...] = y.reshape(x.shape)
    return (result, measured.stats(layout)) if return_stats else result


@dataclass(frozen=True)
class _Measured:
    """Mean, v and divisor per statistics set, with the shared axes kept as 1.

    `unit` is a power of two by which the input was divided so that no square overflows; mean and
    divisor are in that unit, v is not needed any more and kept for `stats` only.
    """

    mean: Floats
    var: Floats
    divisor: Floats
    unit: Floats
    empty: NDArray[np.bool_] | None = None

    def apply(self, x: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            y: Floats = (x / self.unit - self.mean) / self.divisor
        if self.empty is not None:
            y = np.where(self.empty, 0.0, y)
        return y

    def stats(self, layout: Layout) -> Stats:
        kept = tuple(layout.known_sizes[i] for i in layout.kept)
        with np.errstate(divide="ignore", over="ignore"):
            rstd = 1 / (self.divisor * self.unit)
            mean = self.mean * self.unit
        return Stats(
            *(np.broadcast_to(a, rstd.shape).reshape(kept) for a in (mean, self.var, rstd))
        )


def _measure(
    x: Floats, spec: NormSpec, layout: Layout, counted: NDArray[np.bool_] | None
) -> _Measured:
    """Mean and divisor of every statistics set, from the input itself."""
    axes = layout.shared
    unit = _unit(x, axes)
    x = x / unit
    where: Any = True if counted is None else counted
    number = np.sum(np.broadcast_to(where, x.shape), axes, keepdims=True)
    empty = number == 0
    present = np.maximum(number, 1)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        center = np.sum(x, axes, keepdims=True, where=where) / present
        # a second pass takes away what rounding left in the first mean
        center = center + np.sum(x - center, axes, keepdims=True, where=where) / present
        deviation = x - center if spec.measure is Measure.VARIANCE else x
        match spec.measure:
            case Measure.VARIANCE | Measure.MEAN_SQUARE:
                squares = np.sum(deviation**2, axes, keepdims=True, where=where)
                v = squares / np.maximum(number - spec.ddof, 0)
            case Measure.L2:
                v = np.sum(x**2, axes, keepdims=True, where=where)
            case Measure.L1:
                v = np.sum(np.abs(x), axes, keepdims=True, where=where) ** 2
            case Measure.MAX:
                v = np.max(np.abs(x), axes, keepdims=True, where=where, initial=0) ** 2
        mean = center if spec.center else np.zeros_like(center)
        divisor = _divisor(spec, v, unit)
        return _Measured(mean, v * unit**2, divisor, unit, empty if empty.any() else None)


def _unit(x: Floats, axes: tuple[int, ...]) -> Floats:
    """A power of two near the largest magnitude of each set, if its square could overflow."""
    with np.errstate(invalid="ignore"):
        largest = np.max(np.abs(x), axes, keepdims=True, initial=0)
    extreme = np.isfinite(largest) & ((largest > 1e140) | (largest < 1e-140)) & (largest > 0)
    if not extreme.any():
        return np.ones((1,) * x.ndim)
    exponent = np.clip(np.frexp(np.where(extreme, largest, 1.0))[1], -900, 1023)
    return np.ldexp(1.0, np.where(extreme, exponent, 0))


def _divisor(spec: NormSpec, v: Floats, unit: Floats) -> Floats:
    """max(sqrt(v + eps) + eps_outside, floor), with v in units of unit**2."""
    root = np.hypot(np.sqrt(v), np.sqrt(spec.eps) / unit)
    divisor: Floats = np.maximum(root + spec.eps_outside / unit, spec.floor / unit)
    return divisor


def _given(spec: NormSpec, layout: Layout, mean: ArrayLike, var: ArrayLike) -> _Measured:
    """Mean and divisor from statistics that the caller holds."""
    one = np.ones((1,) * len(layout.axes))
    m = _laid_along(layout, "mean", layout.kept, mean)
    v = _laid_along(layout, "var", layout.kept, var)
    if (v < 0).any():
        raise SpecError("var holds negative values; a variance has none")
    return _Measured(m, v, _divisor(spec, v, one), one)


def _stated(
    pattern: NormSpec | str, fields_and_sizes: dict[str, Any], scaled: bool, biased: bool
) -> NormSpec:
    """The spec, made from a bare pattern if need be."""
    if not isinstance(pattern, NormSpec):
        names = {"scale": scaled, "bias": biased}
        along = _channel_axes(pattern) if scaled or biased else ""
        return spec(pattern, **fields_and_sizes, **{n: along for n, used in names.items() if used})
    if fields_and_sizes:
        names_given = ", ".join(fields_and_sizes)
        raise SpecError(
            f"{names_given}: a NormSpec says everything already; change it with "
            "dataclasses.replace(spec, ...)"
        )
    return pattern


def _channel_axes(pattern: str) -> str:
    """The axis called `c`, with all parts of the group that it stands in."""
    for item in parse(pattern).items:
        names = [axis.name for axis in leaves((item,)) if axis.size is None]
        if "c" in names and not isinstance(item, Repeat):
            return " ".join(names)
    raise SpecError(
        f'"{pattern}" has no axis called c, so it does not tell along which axes scale and bias '
        'vary; state it: normalize(x, spec(pattern, scale="...", bias="..."), scale=...)'
    )


_FLOATS = ("float64", "float32", "float16", "bfloat16")


def _check_array(name: str, x: object) -> None:
    if isinstance(x, np.ma.MaskedArray):
        raise DtypeError(f"{name} is a masked array: give {name}.data, and mask=~{name}.mask")
    if not isinstance(x, np.ndarray):
        kind = f"{type(x).__module__}.{type(x).__qualname__}".removeprefix("builtins.")
        raise DtypeError(
            f"{name} is a {kind}; normalize takes NumPy arrays: np.asarray(..., float)"
        )
    if x.dtype.name in _FLOATS:
        return
    advice = {
        "i": f"convert it first: {name}.astype(np.float32)",
        "u": f"convert it first: {name}.astype(np.float32)",
        "b": f"convert it first: {name}.astype(np.float32)",
        "c": "normalize real and imaginary part, or the magnitude",
        "O": f"make it an array of numbers first: {name}.astype(np.float64)",
    }.get(x.dtype.kind, "convert it first")
    raise DtypeError(f"{name} has dtype {x.dtype}, not one of {', '.join(_FLOATS)}; {advice}")


def _check_out(out: object, x: Array) -> None:
    if out is None:
        return
    if not isinstance(out, np.ndarray) or out.shape != x.shape or out.dtype != x.dtype:
        shown = f"{out.dtype} of shape {out.shape}" if isinstance(out, np.ndarray) else repr(out)
        raise SpecError(f"out must be {x.dtype} of shape {x.shape}, as x is; it is {shown}")
    if not out.flags.writeable:
        raise SpecError("out is read-only")


def _check_set_size(spec: NormSpec, layout: Layout) -> None:
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
            f"a statistics set holds {size} value(s), and ddof={spec.ddof} divides by "
            f"{size - spec.ddof}",
            layout.pattern.text,
            layout.shape,
        )


def _parameter(
    layout: Layout, field: str, names: str | None, values: ArrayLike | None
) -> Floats | None:
    if values is None:
        return None
    if names is None:
        raise SpecError(
            f"{field}= is given, but the spec has no {field}: name the axes along which it varies "
            f'in the spec, for example spec("{layout.pattern}", {field}="{_guess(layout)}")'
        )
    return _laid_along(layout, field, layout.named(names), values)


def _guess(layout: Layout) -> str:
    return layout.axes[-1].base if layout.axes else ""


def _laid_along(layout: Layout, name: str, axes: tuple[int, ...], values: ArrayLike) -> Floats:
    """`values`, one per index of the atomic `axes`, shaped to broadcast against the input."""
    array = np.asarray(values)
    if array.dtype.kind not in "fiub" and array.dtype.name not in _FLOATS:
        raise DtypeError(f"{name} has dtype {array.dtype}, not numbers")
    place = layout.place(axes)
    flat = (math.prod(place.shape),)
    if array.shape not in (place.shape, flat):
        called = " ".join(layout.axes[i].name for i in axes) or "no axis"
        raise ShapeError(
            f"{name} has shape {array.shape}; along {called} it has {place.shape}"
            + (f" or {flat}" if flat != place.shape else ""),
            layout.pattern.text,
            layout.shape,
        )
    values = array.astype(np.float64).reshape(place.shape)
    return np.transpose(values, place.order).reshape(place.broadcast)


def _mask(mask: ArrayLike | None, layout: Layout) -> NDArray[np.bool_] | None:
    if mask is None:
        return None
    array = np.asarray(mask)
    if array.dtype != np.bool_:
        raise DtypeError(f"mask has dtype {array.dtype}; it is an array of booleans, True = counts")
    shape = tuple(size or 0 for size in layout.shape)
    try:
        full = np.broadcast_to(array, shape)
    except ValueError:
        raise ShapeError(
            f"mask of shape {array.shape} does not broadcast to x", layout.pattern.text, shape
        ) from None
    return full.reshape(layout.known_sizes)
