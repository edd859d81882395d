"""`gradients`: the backward pass of any normalization, from the saved mean and rstd."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from normscope.engine.backward_call import call_of, new_call
from normscope.engine.kept_calls import key_of
from normscope.engine.operands import all_apart
from normscope.engine.validation import INTEGERS, in_floats
from normscope.notation.spec import NormSpec
from normscope.notebook import html_of, rows_of, text_of

Array = NDArray[Any]
Floats = NDArray[np.float64]


class Gradients(NamedTuple):
    """The gradients of a loss with respect to what a normalization was given.

    Attributes:
        x: with respect to the input; an array of its shape, dtype and memory layout.
        scale, bias: with respect to the learned parameters, in the shape of their axes, in float64;
            None where the spec has no such parameter.
    """

    x: Array
    scale: Floats | None
    bias: Floats | None

    def __repr__(self) -> str:
        return text_of(_GRADIENTS, rows_of(self))

    def _repr_html_(self) -> str:
        return html_of(_GRADIENTS, rows_of(self))


_GRADIENTS = "Gradients: of a loss, with respect to what was normalized"


def gradients(
    dy: Array,
    x: Array,
    pattern: NormSpec | str,
    *,
    mean: ArrayLike,
    rstd: ArrayLike,
    scale: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    out: Array | None = None,
    **fields_and_sizes: Any,
) -> Gradients:
    """Differentiate a normalization whose statistics were taken from x.

        dx = g * rstd - mean(g) * rstd - sum(g * (x - m)) * rstd**2 / (w * (n - ddof)) * (x - m)

    with g = dy * scale and w = sqrt(v + eps): the case of the centred variance. Where the divisor
    is a constant (the floor, or the 1 of `unit_below` or of the measure `none`) the last term is
    not there. Sums are taken in float64, and each result is rounded once.

    Args:
        dy: gradient with respect to the output; an array of its shape and dtype, which are x's.
        x: what was normalized; integers become floats first, as in `normalize`.
        pattern: the spec, a layer by name, or a pattern with sizes and fields as keywords; as for
            `normalize`.
        mean, rstd: the `Stats` that `normalize(..., return_stats=True)` gave. With the measure
            `none` the rstd is not used.
        scale: the learned scale; left out, it is neutral.
        mask: the mask that the statistics were taken through. A value that it hides and that is not
            finite passes no gradient, and reaches none.
        out: array of dy's shape and dtype for the gradient; it may be dy or x itself.
        **fields_and_sizes: with a bare pattern only, as for `spec`.

    Returns:
        The `Gradients`.

    Raises:
        PatternError, SpecError: the normalization is not stated correctly, or measures the maximum.
        ShapeError: x, scale or a statistic has a shape that does not fit.
        DtypeError: x is not an array of real numbers.
        KernelsError: the compiled kernels are not there.

    Example:
        >>> import numpy as np
        >>> from normscope import normalize
        >>> x = np.array([[1.0, 2.0, 4.0]])
        >>> y, stats = normalize(x, "b [c]", return_stats=True)
        >>> dy = np.array([[1.0, 0.0, 0.0]])
        >>> gradients(dy, x, "b [c]", mean=stats.mean, rstd=stats.rstd).x.round(4)
        array([[ 0.2291, -0.3436,  0.1145]])
    """
    if out is not None:
        x, dy, mask = all_apart(out, x, dy, mask)
    key = key_of(pattern, fields_and_sizes, dy, x, mean, rstd, scale, mask, out)
    call = call_of(key)
    if call is None:
        if isinstance(x, np.ndarray) and x.dtype.kind in INTEGERS:
            x = in_floats(x)
            key = key_of(pattern, fields_and_sizes, dy, x, mean, rstd, scale, mask, out)
        call = call_of(key) or new_call(
            key,
            pattern,
            fields_and_sizes,
            dy,
            x,
            mean=mean,
            rstd=rstd,
            scale=scale,
            mask=mask,
            out=out,
        )
    if mask is not None and (hidden := _hidden(x, np.asarray(mask))) is not None:
        dy, x = (np.where(hidden, np.zeros((), array.dtype), array) for array in (dy, x))
        given: dict[str, Any] = {"mean": mean, "rstd": rstd, "scale": scale, "mask": mask}
        return gradients(dy, x, pattern, out=out, **given, **fields_and_sizes)
    return Gradients(*call.run(dy, x, mean, rstd, scale, mask, out))


def _hidden(x: Array, mask: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Where a mask hides what is not finite; None if that is nowhere.

    0 times that would be NaN, in the gradients of all its set.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        if np.isfinite(np.sum(x, dtype=np.float64)):  # which one quick pass tells
            return None
    hidden: NDArray[np.bool_] = ~(np.isfinite(x) | mask)
    return hidden if hidden.any() else None
