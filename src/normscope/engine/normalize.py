"""`normalize`: any normalization of a NumPy array, with the contract enforced."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from normscope.engine import buffers, by_definition, forward
from normscope.engine.kernels_installed import kernels_installed
from normscope.engine.loops import atomic_strides
from normscope.engine.operands import (
    address,
    apart,
    as_plain,
    dense_strides,
    is_native,
    memory_order,
    parameter_dtype,
    readable,
    readable_strides,
    written_out,
)
from normscope.engine.plan import Plan, plan as find_plan
from normscope.engine.validation import (
    INTEGERS,
    check_array,
    check_given,
    check_like,
    check_mask,
    check_out,
    check_set_size,
    check_slope,
    float_dtype,
    in_floats,
    laid_along,
    parameter_axes,
)
from normscope.errors import SpecError
from normscope.frameworks.statement import stated
from normscope.kernels.contract import Arrays
from normscope.notation.layout import Layout
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
            float64 for 32 and 64 bits, which is exact up to 2**53.
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
    if isinstance(out, np.ndarray):  # the call is made for the strides of what is really read
        x = apart(x, out) if isinstance(x, np.ndarray) else x
        residual = apart(residual, out) if isinstance(residual, np.ndarray) else residual
        if isinstance(mask, np.ndarray) and np.may_share_memory(mask, out):
            mask = mask.copy()
    call = _call(x, pattern, scale, bias, mask, residual, out, fields_and_sizes)
    if call is None:
        x, residual, out = _in_floats(x, residual, out)
        again = _call(x, pattern, scale, bias, mask, residual, out, fields_and_sizes)
        call = cast("_Call", again)
    check_given(call.spec, mean is not None, var is not None)
    given = None if mean is None else _given(call, mean, var)
    if given is None and call.plan.set_size <= call.spec.ddof:
        check_set_size(call.spec, call.layout)
    slope = check_slope(negative_slope)
    return call.run(x, scale, bias, given, mask, residual, slope, out, return_stats)


@dataclass(frozen=True, eq=False)
class _Call:
    """All that depends only on the spec and on the shapes, strides and dtypes of the arrays."""

    spec: NormSpec
    layout: Layout
    plan: Plan
    numbers: Floats
    order: tuple[int, ...]
    dtype: np.dtype[Any]
    parameter_dtype: np.dtype[Any]
    neutral: tuple[Array, Array]
    tags: tuple[Any, ...]
    x_as_it_is: bool
    out_as_it_is: bool
    parameters_as_they_are: tuple[bool, bool]
    size: int

    def run(
        self,
        x: Array,
        scale: ArrayLike | None,
        bias: ArrayLike | None,
        given: Floats | None,
        mask: ArrayLike | None,
        residual: Array | None,
        slope: float | None,
        out: Array | None,
        return_stats: bool,
    ) -> Array | tuple[Array, Stats]:
        """Normalize arrays like those that the call was made for."""
        target = out
        if target is None or not self.out_as_it_is:
            target = buffers.empty(x.shape, self.dtype, self.order)
        result = target if out is None and x.dtype.isnative else out
        if result is None:
            result = np.empty_like(as_plain(x), subok=False)
        if not self.x_as_it_is:
            x = readable(x, None)
        counted = None
        if mask is not None:
            counted = check_mask(mask, x.shape, self.layout.pattern.text)
        if residual is not None:
            residual = readable(residual, None)
        statistics = given
        if self.size and not kernels_installed():
            learned = self._laid("scale", scale, out), self._laid("bias", bias, out)
            operands = by_definition.Operands(x, target, residual, counted, *learned, slope)
            statistics = by_definition.normalize(self.spec, self.layout, operands, given)
        elif self.size:
            factor = self._parameter(0, scale, out)
            offset = self._parameter(1, bias, out)
            arrays = Arrays(
                address(x),
                address(target),
                None if residual is None else address(residual),
                None if counted is None else address(counted),
                address(factor),
                address(offset),
                slope,
                *self.tags,
            )
            if given is not None:
                forward.apply(self.plan, self.numbers, arrays, given)
            else:
                statistics = forward.NO_STATISTICS
                if return_stats:
                    statistics = forward.empty_statistics(self.plan, self.numbers)
                forward.normalize(self.plan, self.numbers, arrays, statistics)
        if target is not result:
            result[...] = target
        return (result, self._stats(statistics)) if return_stats else result

    def _laid(self, name: str, values: ArrayLike | None, out: Array | None) -> Array | None:
        """A parameter in the shape of its axes."""
        if values is None:
            return None
        along = self.spec.scale if name == "scale" else self.spec.bias
        array = laid_along(self.layout, name, parameter_axes(self.layout, name, along), values)
        return array.copy() if out is not None and np.may_share_memory(array, out) else array

    def _parameter(self, which: int, values: ArrayLike | None, out: Array | None) -> Array:
        """A parameter as the plan wants it in memory; a scale with `scale_shift` added."""
        if values is None:
            return self.neutral[which]
        if self.parameters_as_they_are[which] and isinstance(values, np.ndarray):
            array = values
        else:
            name = ("scale", "bias")[which]
            axes = parameter_axes(self.layout, name, (self.spec.scale, self.spec.bias)[which])
            array = laid_along(self.layout, name, axes, values)
            wanted = self.plan.parameters[which]
            if wanted != axes:
                array = written_out(self.layout, axes, array, wanted)
        array = np.ascontiguousarray(array, self.parameter_dtype)
        if which == 0 and self.spec.scale_shift:
            return array + self.spec.scale_shift
        return array.copy() if out is not None and np.may_share_memory(array, out) else array

    def _stats(self, statistics: Floats | None) -> Stats:
        if statistics is None:
            statistics = np.zeros((4, self.plan.num_sets))
        shape = self.plan.stats_shape
        mean, var = statistics[forward.MEAN], statistics[forward.VAR]
        if not self.spec.center:
            mean = np.zeros_like(mean)
        if self.spec.measure is Measure.NONE:
            var = np.ones_like(var)
        divisor = statistics[forward.DIVISOR]
        with np.errstate(divide="ignore"):
            rstd = np.divide(1, divisor, out=divisor)
        return Stats(mean.reshape(shape), var.reshape(shape), rstd.reshape(shape))


_MOST_CALLS = 1024
_PLAIN = (bool, int, float, str)
_STATED = (NormSpec, str)
_calls: dict[tuple[Any, ...], tuple[NormSpec | str, _Call]] = {}


def _call(
    x: Array,
    pattern: NormSpec | str,
    scale: ArrayLike | None,
    bias: ArrayLike | None,
    mask: ArrayLike | None,
    residual: Array | None,
    out: Array | None,
    fields_and_sizes: dict[str, Any],
) -> _Call | None:
    """The prepared call; for arrays and a spec seen before, a look-up. None if x holds integers."""
    key = None
    fields: tuple[Any, ...] = ()
    stated_once = type(pattern) in _STATED  # a subclass may call equal what is not
    if fields_and_sizes:
        fields = tuple((name, type(value), value) for name, value in fields_and_sizes.items())
        stated_once = stated_once and all(kind in _PLAIN for _, kind, _ in fields)
    if type(x) is np.ndarray and mask is None and stated_once:
        key = (
            id(pattern) if type(pattern) is NormSpec else pattern,
            _form(x),
            _form(scale), _form(bias), _form(residual), _form(out), fields,
        )  # fmt: skip
        known = _calls.get(key)
        # an identity says something only while the object lives: the entry keeps it alive
        if known is not None and (out is None or out.flags.writeable):
            return known[1]
    if isinstance(x, np.ndarray) and x.dtype.kind in INTEGERS:
        return None
    spec = stated(pattern, fields_and_sizes, scale is not None, bias is not None)
    call = _prepared(x, spec, scale, bias, mask, residual, out)
    if key is not None and all(type(form) is not object for form in key):
        if len(_calls) >= _MOST_CALLS:
            _calls.clear()
        _calls[key] = (pattern, call)
    return call


def _form(array: ArrayLike | None) -> Any:
    """What of an array a call depends on."""
    if array is None:
        return None
    if type(array) is np.ndarray:
        return array.shape, array.strides, array.dtype, array.flags.aligned
    return object()  # equal to nothing: looked at anew each time


def _prepared(
    x: Array,
    spec: NormSpec,
    scale: ArrayLike | None,
    bias: ArrayLike | None,
    mask: ArrayLike | None,
    residual: Array | None,
    out: Array | None,
) -> _Call:
    check_array("x", x)
    layout = spec.layout(x.shape)
    check_out(out, x)
    if residual is not None:
        check_like("residual", residual, x)
    dtype = x.dtype.newbyteorder("=")
    order = memory_order(x)
    written = dense_strides(x.shape, order, dtype.itemsize)
    if out is not None and is_native(out):
        written = out.strides
    axes: list[tuple[int, ...]] = []
    for name, along, values in (("scale", spec.scale, scale), ("bias", spec.bias, bias)):
        if values is None:
            axes.append(())
            continue
        axes.append(parameter_axes(layout, name, along))
        laid_along(layout, name, axes[-1], values)
    counted = None
    if mask is not None:
        counted = check_mask(mask, x.shape, layout.pattern.text)
    added = None if residual is None else readable_strides(residual)
    full = [
        None if strides is None else atomic_strides(layout, strides, dtype.itemsize)
        for strides in (readable_strides(x), written, added)
    ]
    full.append(None if counted is None else atomic_strides(layout, counted.strides, 1))
    found = find_plan(layout, full, axes, dtype.itemsize)
    longest = max(math.prod(layout.known_sizes[i] for i in along) for along in found.parameters)
    narrow = parameter_dtype(dtype, longest, scale, bias)
    if spec.scale_shift:  # the sum is not to be rounded
        narrow = np.dtype(np.float64)
    neutral = np.ones(1, narrow), np.zeros(1, narrow)
    as_they_are = tuple(
        type(values) is np.ndarray
        and values.flags.c_contiguous
        and values.flags.aligned
        and values.dtype.kind == "f"
        and values.dtype.isnative
        and wanted == given
        for values, wanted, given in zip((scale, bias), found.parameters, axes, strict=True)
    )
    return _Call(
        spec,
        layout,
        found,
        forward.formula(spec, dtype.name),
        order,
        dtype,
        narrow,
        neutral,
        _tags(dtype, narrow),
        is_native(x),
        out is None or is_native(out),
        (as_they_are[0], as_they_are[1]),
        x.size,
    )


def _tags(*dtypes: np.dtype[Any]) -> tuple[Any, ...]:
    """What tells kernels how elements are stored."""
    if not kernels_installed():
        return (None,) * len(dtypes)
    from normscope.kernels.machine.memory import TAGS  # brings Numba, which no refusal needs

    return tuple(TAGS[dtype.name] for dtype in dtypes)


def _in_floats(
    x: Array, residual: Array | None, out: Array | None
) -> tuple[Array, Array | None, Array]:
    """The arrays of a call whose x holds integers, as floats.

    Unless there is an `out`, the floats are overwritten by the result, for which they have room.
    """
    check_array("x", x)
    floats = buffers.empty(x.shape, float_dtype(x.dtype), memory_order(x))
    floats[...] = x
    if isinstance(residual, np.ndarray) and residual.dtype == x.dtype:
        residual = in_floats(residual)
    return floats, residual, floats if out is None else out


def _given(call: _Call, mean: ArrayLike, var: ArrayLike | None) -> Floats:
    """Statistics that the caller holds, as the kernels want them."""
    spec, layout = call.spec, call.layout
    m = laid_along(layout, "mean", layout.kept, mean).astype(np.float64).ravel()
    v = np.ones_like(m)
    if var is not None:
        v = laid_along(layout, "var", layout.kept, var).astype(np.float64).ravel()
    if (v < 0).any():
        raise SpecError("var holds negative values; a variance has none")
    if spec.measure is Measure.NONE:
        v = np.ones_like(m)
    divisor = np.maximum(np.sqrt(v + spec.eps) + spec.eps_outside, spec.floor)
    divisor[divisor <= call.numbers[forward.UNIT_UP_TO]] = 1
    return np.stack([np.ones_like(v), m, v, divisor])
