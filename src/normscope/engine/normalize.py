"""`normalize`: any normalization of a NumPy array, with the contract enforced."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from normscope.engine import buffers
from normscope.engine.foreign import taker_of
from normscope.engine.forward_call import ForwardCall, call_of, new_call
from normscope.engine.given import given_statistics
from normscope.engine.kept_calls import key_of
from normscope.engine.operands import all_apart, memory_order, unless_in_order
from normscope.engine.validation import (
    INTEGERS,
    check_array,
    check_given,
    check_set_size,
    check_slope,
    float_dtype,
    in_floats,
    laid_along,
)
from normscope.errors import SpecError
from normscope.kernels.contract import DIVISOR, MEAN, ROWS, VAR
from normscope.notation.spec import Measure, NormSpec
from normscope.notebook import html_of, rows_of, text_of

Array = NDArray[Any]
Floats = NDArray[np.float64]


class Stats(NamedTuple):
    """What was measured, one value per statistics set, in the shape of the axes outside brackets.

    Attributes:
        mean: what was subtracted; 0 where the mean is not.
        var: v of the formula: the variance, or the square of another measure; 1 with the measure
            `none`.
        rstd: one over the divisor.
    """

    mean: Floats
    var: Floats
    rstd: Floats

    def __repr__(self) -> str:
        return text_of(_STATS, rows_of(self))

    def _repr_html_(self) -> str:
        return html_of(_STATS, rows_of(self))


_STATS = "Stats: what was measured, one value per statistics set"


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
    residual: Array | None = None,
    negative_slope: float | None = None,
    out: Array | None = None,
    return_stats: bool = False,
    **fields_and_sizes: Any,
) -> Array | tuple[Array, Stats]:
    """Normalize an array.

        y = (x - m) / max(sqrt(v + eps) + eps_outside, floor) * scale + bias

    with m and v the mean and the measure of each statistics set; see `NormSpec`. The divisor is 1
    where it would be 0 or less than `unit_below`, if the spec has that, and everywhere with the
    measure `none`; a divisor within rounding of `unit_below` may fall on either side. All is
    computed in float64, for float64 input in twice its precision, and rounded once, to x's dtype;
    in one or two passes over memory and without a temporary array of x's size (unless x or `out`
    is of foreign byte order, or not aligned).

    Args:
        x: array of floats (float64, float32, float16 or bfloat16), of a shape that meets the
            pattern, in any memory layout. It is not changed. Integers and booleans become floats
            first, and the result is of floats: float32 for up to 16 bits, such as images of uint8;
            float64 for 32 and 64 bits, which is exact up to 2**53. A tensor of torch, beside other
            tensors, becomes a tensor of torch, and gradients flow through that.
        pattern: a `NormSpec`, a layer by name ("torch.LayerNorm(128)"), or a pattern with sizes and
            fields as keywords: `g=4`, `eps=1e-3`.
        scale, bias: learned parameters, shaped like the axes that the spec names for them, in
            that order, or flat. With a bare pattern they run along the axis called `c` (and all
            parts of it where parentheses split it); other axes need a spec.
        mean, var: statistics from elsewhere, such as running ones, one per statistics set; both
            or neither. Without `center` the mean is not used. With the measure `none` the var is
            not used, and may be left out.
        mask: booleans that broadcast to x. Only elements where it is True enter the statistics; a
            set without any is set to the bias; one with some, but no more than ddof, to NaN.
        residual: array of x's shape and dtype that is added to x first; x + residual is rounded to
            x's dtype, so the result is exactly that of `normalize(x + residual, ...)`. Integers are
            added as floats, so they do not wrap around.
        negative_slope: apply a LeakyReLU of this slope to y, before it is rounded (for float64
            input, after that); 0 is ReLU.
        out: array of x's shape for the result, of x's dtype, or of floats where x holds integers;
            it may be x itself.
        return_stats: also return the `Stats`.
        **fields_and_sizes: with a bare pattern only, as for `spec`.

    Returns:
        An array of x's shape, memory layout and dtype (of floats where x holds integers); with
        `return_stats` a pair with `Stats`.

    Raises:
        PatternError, SpecError: the normalization is not stated correctly.
        ShapeError: x, a parameter or a statistic has a shape that does not fit, or a statistics
            set holds too few values.
        DtypeError: x is not an array of real numbers.

    Example:
        >>> import numpy as np
        >>> normalize(np.array([[1.0, 2, 3], [4, 5, 6]]), "b [c]", eps=0).round(3)
        array([[-1.225,  0.   ,  1.225],
               [-1.225,  0.   ,  1.225]])
    """
    if not isinstance(x, np.ndarray) and (taker := taker_of(x)) is not None:
        return taker(
            x,
            pattern,
            scale=scale,
            bias=bias,
            mean=mean,
            var=var,
            mask=mask,
            residual=residual,
            negative_slope=negative_slope,
            out=out,
            return_stats=return_stats,
            **fields_and_sizes,
        )
    if out is not None:
        x, residual, mask = all_apart(out, x, residual, mask)
    key = key_of(pattern, fields_and_sizes, x, scale, bias, mask, residual, out)
    call = call_of(key)
    if call is None:
        if isinstance(x, np.ndarray) and x.dtype.kind in INTEGERS:
            x, residual, out = _in_floats(x, residual, out)
            key = key_of(pattern, fields_and_sizes, x, scale, bias, mask, residual, out)
        call = call_of(key) or new_call(
            key,
            pattern,
            fields_and_sizes,
            x,
            scale=scale,
            bias=bias,
            mask=mask,
            residual=residual,
            out=out,
        )
    given = None
    if mean is not None or var is not None:
        given = _given(call, mean, var)
    elif not call.measurable:
        check_set_size(call.prepared.spec, call.prepared.layout)
    slope = None if negative_slope is None else check_slope(negative_slope)
    result, statistics = call.run(x, scale, bias, given, mask, residual, slope, out, return_stats)
    return (result, _stats(call, statistics)) if return_stats else result


def _stats(call: ForwardCall, statistics: Floats | None) -> Stats:
    """What was measured, as the caller is told it; nothing of an array without elements."""
    spec, plan = call.prepared.spec, call.prepared.plan
    if statistics is None:
        statistics = np.zeros((ROWS, plan.num_sets))
    mean, var, divisor = statistics[MEAN], statistics[VAR], statistics[DIVISOR]
    if not spec.center:
        mean = np.zeros_like(mean)
    if spec.measure is Measure.NONE:
        var = np.ones_like(var)
    with np.errstate(divide="ignore"):
        rstd = np.divide(1, divisor, out=divisor)
    shape = plan.stats_shape
    return Stats(mean=mean.reshape(shape), var=var.reshape(shape), rstd=rstd.reshape(shape))


def _in_floats(
    x: Array, residual: Array | None, out: Array | None
) -> tuple[Array, Array | None, Array]:
    """The arrays of a call whose x holds integers, as floats.

    Unless there is an `out`, the floats are overwritten by the result, for which they have room.
    """
    check_array("x", x)
    floats = buffers.empty(x.shape, float_dtype(x.dtype), unless_in_order(memory_order(x)))
    floats[...] = x
    if isinstance(residual, np.ndarray) and residual.dtype == x.dtype:
        residual = in_floats(residual)
    return floats, residual, floats if out is None else out


def _given(call: ForwardCall, mean: ArrayLike | None, var: ArrayLike | None) -> Floats:
    """Statistics that the caller holds, as the kernels want them."""
    spec, layout = call.prepared.spec, call.prepared.layout
    check_given(spec, mean is not None, var is not None)
    assert mean is not None
    m = laid_along(layout, "mean", layout.kept, mean).astype(np.float64).ravel()
    v = np.ones_like(m)
    if var is not None:
        v = laid_along(layout, "var", layout.kept, var).astype(np.float64).ravel()
    if (v < 0).any():
        raise SpecError("var holds negative values; a variance has none")
    return given_statistics(spec, m, v)
