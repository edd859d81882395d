"""A spec as the layer of Flax NNX that computes it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from normscope.frameworks.native import NativeLayer
from normscope.frameworks.native.framework import NativeFramework
from normscope.frameworks.native.limits import difference, inner_eps
from normscope.frameworks.native.weights import Weights
from normscope.frameworks.native.whole_axes import WholeAxes
from normscope.notation.layout import Layout
from normscope.notation.shape import Size
from normscope.notation.spec import Measure, NormSpec

if TYPE_CHECKING:
    from flax.nnx import Module, Rngs

_REACH = "its layers normalize whole axes, or groups of neighbours on the last axis of each sample"


def flax_layer(spec: NormSpec, layout: Layout) -> NativeLayer | None:
    """The layer of Flax NNX over the axes of a spec.

    Args:
        spec: a normalization.
        layout: the spec fitted to a shape.

    Returns:
        The layer, with a `difference` if Flax normalizes these axes by another formula only; None
        if it has no layer over these axes, or none with these parameters. The code lacks `rngs`.

    Example:
        >>> from normscope import spec
        >>> s = spec("b h w [c]", eps=1e-6, scale="c", bias="c")
        >>> flax_layer(s, s.layout((8, 5, 5, 32))).code
        'nnx.LayerNorm(num_features=32, epsilon=1e-06, use_fast_variance=False)'
    """
    axes = WholeAxes(spec, layout)
    if not layout.shared:
        return None
    if spec.measure is Measure.VARIANCE and spec.center:
        found = _batch(axes) or _instance(axes) or _layer(axes, "LayerNorm") or _group(axes)
    elif spec.measure is Measure.MEAN_SQUARE and not spec.center and spec.bias is None:
        found = _layer(axes, "RMSNorm")
    else:
        return None
    return found and replace(found, difference=difference(spec, running_ddof=0))


_FLAX = NativeFramework("Flax NNX", "flax.nnx", "to_flax", flax_layer, _REACH)


def to_flax(
    spec: NormSpec | str,
    shape: Sequence[Size],
    *,
    weights: Weights | None = None,
    rngs: Rngs | None = None,
    **fields_and_sizes: Any,
) -> Module:
    """The layer of Flax NNX that computes a spec, with its weights.

    Args:
        spec: a normalization, in its training mode: a `NormSpec`, a layer by name, or a pattern
            with sizes and fields as keywords.
        shape: of the input; None for a length that is not known, as that of the batch.
        weights: arrays under "scale" and "bias" (shaped like the axes that the spec names, or
            flat), "mean" and "var" (the running statistics, one value each per channel). What is
            left out keeps the initial value of Flax.
        rngs: the random generators that every layer of NNX asks for; nothing random depends on
            them here.

    Returns:
        An `nnx.Module` in training mode that computes exactly this in both modes, the variance
        around the mean (`use_fast_variance=False`).

    Raises:
        PatternError: the normalization is not stated correctly.
        SpecError: Flax has no such layer; the message says what is nearest.
        ShapeError: the shape does not meet the pattern, or a weight has another number of values.
        MissingPackageError: Flax is not installed.

    Example:
        >>> from normscope import spec
        >>> layer = to_flax(spec("b [h w c]", scale="c"), (None, 5, 5, 3))
        >>> type(layer).__name__, layer.reduction_axes, layer.feature_axes
        ('LayerNorm', (1, 2, 3), (3,))
    """
    match = _FLAX.match(spec, shape, weights, fields_and_sizes)
    nnx = _FLAX.imported()
    own = match.flat_weights()
    layer: Module = match.layer.made(nnx, rngs=nnx.Rngs(0) if rngs is None else rngs)
    for name, values in own.items():
        variable = getattr(layer, name)
        variable[...] = values.reshape(variable.shape).astype(variable.dtype)
    return layer


def _batch(axes: WholeAxes) -> NativeLayer | None:
    if 0 not in axes.shared or len(axes.kept) != 1 or axes.split:
        return None
    if not axes.learns_along(axes.kept):
        return None
    if axes.spec.running is None:
        return None  # then it is a LayerNorm whose sets reach over the batch
    (channels,) = axes.kept
    axis = {} if channels == axes.rank - 1 else {"axis": channels}
    momentum = {"momentum": axes.spec.running.decay}
    return _described(axes, "BatchNorm", (channels,), {**axis, **momentum})


def _instance(axes: WholeAxes) -> NativeLayer | None:
    if len(axes.kept) != 2 or axes.kept[0] != 0 or axes.split:
        return None
    if not axes.learns_along((axes.kept[1],)) or axes.spec.running is not None:
        return None
    channels = axes.kept[1]
    axis = {} if channels == axes.rank - 1 else {"feature_axes": channels}
    return _described(axes, "InstanceNorm", (channels,), axis)


def _layer(axes: WholeAxes, name: str) -> NativeLayer | None:
    """Statistics and parameters along any axes, each on its own."""
    features = axes.learned if axes.has_parameters else axes.shared[-1:]
    if axes.split or features is None or not features or axes.spec.running is not None:
        return None
    last = (axes.rank - 1,)
    arguments: dict[str, Any] = {}
    if (axes.shared, features) != (last, last):
        arguments = {"reduction_axes": axes.shared, "feature_axes": features}
    return _described(axes, name, features, arguments)


def _group(axes: WholeAxes) -> NativeLayer | None:
    """Groups of the last axis, per sample."""
    last = axes.rank - 1
    if axes.split != (last,) or axes.kept != (0,) or axes.spec.running is not None:
        return None
    groups = axes.groups(last)
    if groups is None or not axes.learns_along((last,)):
        return None
    return _described(axes, "GroupNorm", (last,), {"num_groups": groups})


def _described(
    axes: WholeAxes, name: str, features: tuple[int, ...], arguments: dict[str, Any]
) -> NativeLayer:
    """The layer, with epsilon, exact variance, and what says that a parameter is not there."""
    count = math.prod(axes.length(dim) for dim in features)
    given = {"num_features": count, **arguments, "epsilon": inner_eps(axes.spec)}
    if name != "RMSNorm":
        given["use_fast_variance"] = False
        if axes.spec.bias is None:
            given["use_bias"] = False
    if axes.spec.scale is None:
        given["use_scale"] = False
    return NativeLayer(f"nnx.{name}", given)
