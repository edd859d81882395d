"""`gradients`: the backward pass of any normalization, from the saved mean and rstd."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from normscope.engine import buffers
from normscope.engine.guard import with_constants_apart
from normscope.engine.operands import is_native, memory_order, not_overwritten, readable
from normscope.engine.prepared import measure_number
from normscope.engine.validation import (
    check_array,
    check_like,
    check_mask,
    check_out,
    check_set_size,
    in_floats,
    laid_along,
)
from normscope.errors import SpecError
from normscope.frameworks.statement import stated
from normscope.kernels.contract import is_largest
from normscope.kernels.library import check_kernels
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
        mask: the mask that the statistics were taken through.
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
    check_kernels("gradients")
    spec = stated(pattern, fields_and_sizes, scale is not None, False)
    check_array("x", x)
    x = in_floats(x)
    layout = spec.layout(x.shape)
    check_set_size(spec, layout)
    check_like("dy", dy, x)
    check_out(out, x)
    if is_largest(measure_number(spec)):
        raise SpecError("the maximum has no gradient where two elements are equal; none is taken")
    if scale is not None and spec.scale is None:
        raise SpecError("scale= is given, but the spec has no scale")
    if scale is not None and not x.size:
        laid_along(layout, "scale", layout.named(spec.scale or ""), scale)
    means, rstds = (
        not_overwritten(
            np.ascontiguousarray(laid_along(layout, name, layout.kept, values), np.float64), out
        )
        for name, values in (("mean", mean), ("rstd", rstd))
    )
    counted = None
    if mask is not None:
        counted = not_overwritten(check_mask(mask, x.shape, layout.pattern.text), out)
    rstds = with_constants_apart(spec, x, counted, rstds)
    if counted is not None:
        some = counted.reshape(layout.known_sizes).any(layout.shared).reshape(rstds.shape)
        rstds = np.where(some, rstds, 0.0)  # the output of an empty set is the bias, whatever x is

    dtype = x.dtype.newbyteorder("=")
    x, dy = readable(x, out), readable(dy, out)
    target = out
    if target is None or not is_native(target):
        target = buffers.empty(x.shape, dtype, memory_order(x))
    from normscope.engine.backward import BackwardPass  # which brings ctypes

    backward = BackwardPass(
        spec=spec,
        layout=layout,
        x=x,
        dy=dy,
        mask=counted,
        means=means.ravel(),
        rstds=rstds.ravel(),
    )
    learned = backward.run(target, scale)
    if out is not None and target is not out:
        out[...] = target
    return Gradients(target if out is None else out, *learned)
