"""`normalize` for JAX arrays: a pure function that XLA compiles.

Its derivative is stated once, as the forward-mode rule of the statistics (`jax.custom_jvp`, in
`statistics.py`); JAX transposes it for reverse mode. A `jax.custom_vjp` would keep just as little,
but would forbid `jvp`, `jacfwd` and `linearize`, and would have to write out by hand the sums over
devices that JAX derives itself when it transposes `psum`.

What the backward pass needs is kept by `jax.checkpoint`: the arguments as they came (x in its own
dtype, the parameters, the mask) and a few numbers per statistics set. What lies between has the
size of x and is computed again, which costs no pass over memory, as XLA fuses it. x is kept rather
than the normalized values because x exists already; they would be one more array, and in float32
even where x is float16.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Literal, NamedTuple, overload

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from normscope.engine.validation import (
    INTEGERS,
    check_array,
    check_given,
    check_mask,
    check_set_size,
    float_dtype,
    laid_along,
    parameter_axes,
)
from normscope.errors import DtypeError
from normscope.frameworks.statement import stated
from normscope.layers.jax.statistics import (
    SAVED,
    AxisName,
    Counts,
    Sets,
    Statistics,
    count,
    divisor,
    measure,
)
from normscope.notation.layout import Layout
from normscope.notation.spec import Measure, NormSpec
from normscope.notebook import html_of, rows_of, text_of


class Stats(NamedTuple):
    """The measurements, one value per statistics set, in the shape of the axes outside brackets.

    In float32, or float64 for float64 input.

    Attributes:
        mean: what was subtracted; 0 where the mean is not.
        var: v of the formula: the variance, or the square of another measure; 1 with the measure
            `none`.
        rstd: one over the divisor.
        set_size: how many elements were counted, over all devices of `axis_name`.
    """

    mean: jax.Array
    var: jax.Array
    rstd: jax.Array
    set_size: jax.Array

    def __repr__(self) -> str:
        return text_of(_STATS, self._rows())

    def _repr_html_(self) -> str:
        return html_of(_STATS, self._rows())

    def _rows(self) -> list[tuple[str, str]]:
        if any(isinstance(array, jax.core.Tracer) for array in self):  # which has no values yet
            return [(name, str(array)) for name, array in self._asdict().items()]
        return rows_of(self)


_STATS = "Stats: what was measured, one value per statistics set"


@overload
def normalize(
    x: jax.Array,
    pattern: NormSpec | str,
    *,
    return_stats: Literal[False] = ...,
    **arguments: Any,
) -> jax.Array: ...
@overload
def normalize(
    x: jax.Array, pattern: NormSpec | str, *, return_stats: Literal[True], **arguments: Any
) -> tuple[jax.Array, Stats]: ...
def normalize(
    x: jax.Array,
    pattern: NormSpec | str,
    *,
    scale: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    mean: ArrayLike | None = None,
    var: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    axis_name: AxisName | None = None,
    return_stats: bool = False,
    **fields_and_sizes: Any,
) -> jax.Array | tuple[jax.Array, Stats]:
    """Normalize a JAX array.

        y = (x - m) / max(sqrt(v + eps) + eps_outside, floor) * scale + bias

    with m and v the mean and the measure of each statistics set; see `NormSpec`. The divisor is 1
    where it would be 0 or less than `unit_below`, if the spec has that, and everywhere with the
    measure `none`; a divisor within rounding of `unit_below` may fall on either side. Computed in
    float32 (float64 for float64 input) and rounded once, to x's dtype. May be used under `jit`,
    `grad`, `jvp`, `vmap`, `scan`, `checkpoint`, `shard_map`, and derived any number of times.

    Args:
        x: array of floats (float64, float32, float16 or bfloat16), of a shape that meets the
            pattern. Integers and booleans become floats first: float64 for 32 and 64 bits where JAX
            has it, else float32.
        pattern: a `NormSpec`, or a pattern with sizes and fields as keywords: `g=4`, `eps=1e-3`.
        scale, bias: learned parameters, shaped like the axes that the spec names for them, in
            that order, or flat. With a bare pattern they run along the axis called `c` (and all
            parts of it where parentheses split it); other axes need a spec.
        mean, var: statistics from elsewhere, such as running ones, one per statistics set; both
            or neither. Without `center` the mean is not used. With the measure `none` the var is
            not used, and may be left out.
        mask: booleans that broadcast to x. Only elements where it is True enter the statistics; a
            set without any is set to the bias, and its elements have no gradient.
        axis_name: the name of a mapped axis (of `shard_map`, `vmap` or `pmap`), or a tuple of
            several: a statistics set then reaches over all devices along it. With `jit` alone and
            sharded arrays nothing need be said: a set is a set of the whole array.
        return_stats: also return the `Stats`, through which gradients flow too.
        **fields_and_sizes: with a bare pattern only, as for `normscope.spec`.

    Returns:
        An array of x's shape and dtype (of floats where x holds integers); with `return_stats` a
        pair with `Stats`.

    Raises:
        PatternError, SpecError: the normalization is not stated correctly, or no axis is called
            `axis_name` here.
        ShapeError: x, a parameter or a statistic has a shape that does not fit, or a statistics
            set holds too few values. Under a transformation this is raised when it traces.
        DtypeError: x is not an array of real numbers.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> x = jnp.array([[40000.0, 40001, 40002, 40003]])
        >>> print(*(f"{value:.4f}" for value in normalize(x, "b [c]")[0]))
        -1.3416 -0.4472 0.4472 1.3416
        >>> slope = jax.grad(lambda x: normalize(x, "b [c]")[0, 0])(x)
        >>> print(*(f"{value:.4f}" for value in slope[0]))
        0.2683 -0.3578 -0.0894 0.1789

    Notes:
        Values that a `jit` cannot look at are not checked: a negative `var` gives NaN.
        A NaN that the mask leaves out stays NaN in y, and reaches no gradient of what counts.
        Magnitudes above 1e19 in float32 or bfloat16 overflow when they are squared, and the squares
        of those below 1e-19 may vanish, so that a guard against 0 acts; the NumPy function computes
        in float64 and takes them.
    """
    spec = stated(pattern, fields_and_sizes, scale is not None, bias is not None)
    x = float_array("x", x)
    layout = spec.layout(x.shape)
    check_given(spec, mean is not None, var is not None)
    if mean is None:
        check_sets(spec, layout, axis_name)
    arguments = _Arguments(
        x,
        scale=_parameter(layout, "scale", spec.scale, scale),
        bias=_parameter(layout, "bias", spec.bias, bias),
        mean=None if mean is None else _fitted(layout, "mean", layout.kept, mean),
        var=None if var is None else _fitted(layout, "var", layout.kept, var),
        mask=_boolean(layout, mask),
    )
    y, stats = _normalize(arguments, spec=spec, axis_name=axis_name)
    return (y, stats) if return_stats else y


class _Arguments(NamedTuple):
    """The arrays of a call, all of the right shape. They are what is kept for the backward pass."""

    x: jax.Array
    scale: jax.Array | None
    bias: jax.Array | None
    mean: jax.Array | None
    var: jax.Array | None
    mask: jax.Array | None


@partial(jax.jit, static_argnames=("spec", "axis_name"))
def _normalize(
    arguments: _Arguments, *, spec: NormSpec, axis_name: AxisName | None
) -> tuple[jax.Array, Stats]:
    remembering = jax.checkpoint(
        partial(_formula, spec=spec, axis_name=axis_name),
        policy=jax.checkpoint_policies.save_only_these_names(SAVED),
        prevent_cse=False,  # whether to compute again or to keep is free for XLA to choose
    )
    y, stats = remembering(arguments)
    return y, stats


def _formula(
    given: _Arguments, *, spec: NormSpec, axis_name: AxisName | None
) -> tuple[jax.Array, Stats]:
    """The formula itself, on the array with its groups taken apart."""
    layout = spec.layout(given.x.shape)
    x = given.x.astype(jnp.promote_types(given.x.dtype, jnp.float32)).reshape(layout.known_sizes)
    counted = given.mask
    if counted is not None:
        counted = jnp.broadcast_to(counted, given.x.shape).reshape(x.shape)
    sets = Sets(layout.shared, axis_name)
    counts = count(sets, x, counted)

    def along(axes: tuple[int, ...], values: jax.Array) -> jax.Array:
        place = layout.place(axes)
        values = values.astype(x.dtype).reshape(place.shape)
        return values.transpose(place.order).reshape(place.broadcast)

    if given.mean is not None:
        mean = along(layout.kept, given.mean)
        if given.var is None or spec.measure is Measure.NONE:
            var = jnp.ones_like(mean)
        else:
            var = along(layout.kept, given.var)
        elsewhere = Statistics(mean, jnp.zeros_like(mean), var, 1 / divisor(spec, var))
        found = _subtracted(spec, elsewhere)
        centred = x - found.pivot
    else:
        found = _subtracted(spec, measure(spec, sets, x, counted, counts))
        centred = (x - found.pivot) - found.rest
        if counted is not None:
            centred = jnp.where(counts.total == 0, 0, centred)

    def scaled(values: jax.Array) -> jax.Array:
        if given.scale is None or spec.scale is None:
            return values * found.rstd
        axes = layout.named(spec.scale)
        scale = along(axes, given.scale) + spec.scale_shift
        if set(axes) <= set(layout.kept):  # one number per set: one sum serves both gradients
            return values * (found.rstd * scale)
        return values * found.rstd * scale

    y = scaled(centred) if counted is None else _hiding(counted, centred, scaled)
    if given.bias is not None and spec.bias is not None:
        y += along(layout.named(spec.bias), given.bias)
    return y.reshape(given.x.shape).astype(given.x.dtype), _stats(layout, found, counts)


def _hiding(
    counted: jax.Array, centred: jax.Array, scaled: Callable[[jax.Array], jax.Array]
) -> jax.Array:
    """The values scaled, where one that does not count and has no finite output is a constant.

    Otherwise its product with a gradient of 0 would be NaN, in the gradients of all its set.
    """
    whole = jax.lax.stop_gradient(scaled(centred))
    passes = counted | jnp.isfinite(whole)
    return jnp.where(passes, scaled(jnp.where(passes, centred, 0)), whole)


def _subtracted(spec: NormSpec, found: Statistics) -> Statistics:
    """The statistics with the mean that is subtracted: 0 where none is, whatever was measured."""
    if spec.center:
        return found
    zero = jnp.zeros_like(found.pivot)
    return found._replace(pivot=zero, rest=zero)


def _stats(layout: Layout, found: Statistics, counts: Counts) -> Stats:
    sizes = [layout.known_sizes[i] for i in layout.kept]
    return Stats(
        *(
            jnp.broadcast_to(values, found.rstd.shape).reshape(sizes)
            for values in (found.pivot + found.rest, found.var, found.rstd, counts.total)
        )
    )


def float_array(name: str, x: object) -> jax.Array:
    """`x` as a JAX array of real floats, which integers and booleans become.

    Raises:
        DtypeError: it is not an array of real numbers.
    """
    if isinstance(x, jax.Array):
        check_array(name, _shell(x))
    elif isinstance(x, np.ndarray):
        check_array(name, x)
    else:
        kind = f"{type(x).__module__}.{type(x).__qualname__}".removeprefix("builtins.")
        raise DtypeError(
            f"{name} is a {kind}; normalize takes JAX arrays: jnp.asarray(..., jnp.float32)"
        )
    dtype = jax.dtypes.canonicalize_dtype(float_dtype(x.dtype))
    return jnp.asarray(x, dtype if x.dtype.kind in INTEGERS else None)


def check_sets(spec: NormSpec, layout: Layout, axis_name: AxisName | None) -> None:
    """Each set holds enough values; one device's part may hold fewer than all need together.

    Raises:
        ShapeError: a set is empty, or no larger than ddof.
    """
    alone = Sets(layout.shared, axis_name).devices == 1
    check_set_size(spec if alone else replace(spec, ddof=0), layout)


def _parameter(
    layout: Layout, field: str, names: str | None, values: ArrayLike | None
) -> jax.Array | None:
    if values is None:
        return None
    return _fitted(layout, field, parameter_axes(layout, field, names), values)


def _fitted(layout: Layout, name: str, axes: tuple[int, ...], values: ArrayLike) -> jax.Array:
    """`values` as an array with one number per index of the atomic `axes`."""
    array = values if isinstance(values, jax.Array) else np.asarray(values)
    laid_along(layout, name, axes, _shell(array))
    return jnp.asarray(array)


def _boolean(layout: Layout, mask: ArrayLike | None) -> jax.Array | None:
    """`mask` as an array of booleans that broadcasts to x."""
    if mask is None:
        return None
    array = mask if isinstance(mask, jax.Array) else np.asarray(mask)
    check_mask(_shell(array), tuple(size or 0 for size in layout.shape), layout.pattern.text)
    return jnp.asarray(array)


def _shell(array: jax.Array | np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A NumPy array of the same shape and dtype, for checks: the values may not be known yet."""
    return np.broadcast_to(np.zeros((), array.dtype), array.shape)
