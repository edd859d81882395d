"""A spec as the Keras 3 layer that computes it: its source text, or the layer with its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from normscope.frameworks.native import NativeLayer
from normscope.frameworks.native.framework import NativeFramework
from normscope.frameworks.native.limits import difference, inner_eps
from normscope.frameworks.native.weights import Weights
from normscope.frameworks.native.whole_axes import WholeAxes
from normscope.notation.layout import Layout
from normscope.notation.shape import Size
from normscope.notation.spec import Measure, NormSpec

NOT_ON_TORCH = (
    "not with the torch backend: there Keras 3.15 normalizes the last axes, whatever axis= says"
)
DEPRECATED = "rms_scaling is deprecated: Keras warns when the layer is made"

_REACH = (
    "its layers normalize whole axes of each sample, or all axes but the channels, or groups of "
    "neighbouring channels of each sample"
)
_UNIT_FLOOR = 1e-12
_OWN_NAMES = {
    "gamma": "scale",
    "scale": "scale",
    "beta": "bias",
    "moving_mean": "mean",
    "moving_variance": "var",
}


def keras_layer(spec: NormSpec, layout: Layout) -> NativeLayer | None:
    """The Keras 3 layer over the axes of a spec.

    Args:
        spec: a normalization.
        layout: the spec fitted to a shape.

    Returns:
        The layer, with a `difference` if Keras 3 normalizes these axes by another formula only;
        None if it has no layer over these axes, or none with these parameters.

    Example:
        >>> from normscope import spec
        >>> s = spec("b c [h w]", eps=1e-3, scale="c", bias="c")
        >>> keras_layer(s, s.layout((8, 128, 56, 56))).code
        'keras.layers.GroupNormalization(groups=-1, axis=1, epsilon=0.001)'
    """
    axes = WholeAxes(spec, layout)
    if not layout.shared:
        return None
    if spec.measure is Measure.VARIANCE and spec.center:
        found = _centred(axes)
    elif spec.measure is Measure.VARIANCE:
        found = _rms_scaling(axes)
    elif spec.measure is Measure.MEAN_SQUARE and not spec.center:
        found = _rms(axes)
    elif spec.measure is Measure.L2 and not spec.center:
        found = _unit(axes)
    else:
        return None
    if found is None or (spec.running is not None and found.class_name != "BatchNormalization"):
        return None
    return replace(found, difference=_difference(spec))


def _difference(spec: NormSpec) -> str:
    if spec.measure is not Measure.L2:
        return difference(spec, running_ddof=0)
    if spec.unit_below is not None:
        return f"its least divisor is {_UNIT_FLOOR:g}, where this one has a guard"
    exact = (spec.eps, spec.eps_outside, spec.floor) == (0, 0, _UNIT_FLOOR)
    return "" if exact else f"its least divisor is always {_UNIT_FLOOR:g}"


_KERAS = NativeFramework("Keras 3", "keras", "to_keras", keras_layer, _REACH)


def to_keras(
    spec: NormSpec | str,
    shape: Sequence[Size],
    *,
    weights: Weights | None = None,
    **fields_and_sizes: Any,
) -> Any:
    """The Keras 3 layer that computes a spec, built and with its weights.

    Args:
        spec: a normalization, in its training mode: a `NormSpec`, a layer by name, or a pattern
            with sizes and fields as keywords.
        shape: of the input; None for a length that is not known, as that of the batch.
        weights: arrays under "scale" and "bias" (shaped like the axes that the spec names, or
            flat), "mean" and "var" (the running statistics, one value each per channel). What is
            left out keeps the initial value of Keras.

    Returns:
        A `keras.Layer`, built for `shape`, that computes exactly this in both modes, with the
        Keras backend of this process.

    Raises:
        PatternError: the normalization is not stated correctly.
        SpecError: Keras has no such layer; the message says what is nearest.
        ShapeError: the shape does not meet the pattern, or a weight has another number of values.
        MissingPackageError: Keras 3 is not installed.

    Example:
        >>> from normscope import spec
        >>> layer = to_keras(spec("b [c]", scale="c", bias="c"), (None, 3))
        >>> type(layer).__name__, layer.epsilon, layer.gamma.shape
        ('LayerNormalization', 1e-05, (3,))
    """
    match = _KERAS.match(spec, shape, weights, fields_and_sizes)
    found = match.layer
    if found.call:
        reason = "at inference BatchNormalization uses running statistics, which this spec has not"
        raise _KERAS.refused(match, f"{reason}; call it as shown, in both modes", found)
    keras = _KERAS.imported()
    if found.caution == NOT_ON_TORCH and keras.backend.backend() == "torch":
        advice = "permute them to the end, or take another backend"
        raise _KERAS.refused(match, f"{found.caution}; {advice}", None)
    own = match.flat_weights()
    layer = found.made(keras.layers)
    for dim in _axes_with_weights(match.axes):
        match.axes.length(dim)  # which raises where Keras could not make its weights
    layer.build(match.axes.layout.shape)
    for variable in layer.weights:
        values = own.get(_OWN_NAMES[variable.name])
        if values is not None:
            variable.assign(values.reshape(variable.shape))
    return layer


def _centred(axes: WholeAxes) -> NativeLayer | None:
    layer = _layer(axes)
    if layer is not None and layer.caution:
        return _batch(axes) or _group(axes) or layer
    return _batch(axes) or layer or _group(axes)


def _axes_with_weights(axes: WholeAxes) -> tuple[int, ...]:
    if axes.spec.running is not None:
        return axes.kept
    return axes.learned or axes.split


def _batch(axes: WholeAxes) -> NativeLayer | None:
    if 0 not in axes.shared or len(axes.kept) != 1 or axes.split:
        return None
    if not axes.learns_along(axes.kept):
        return None
    axis = _axis(axes, axes.kept[0])
    running = axes.spec.running
    if running is None:
        return _described(axes, "BatchNormalization", axis=axis, call="(x, training=True)")
    return _described(axes, "BatchNormalization", axis=axis, momentum=running.decay)


def _layer(axes: WholeAxes) -> NativeLayer | None:
    if 0 in axes.shared or axes.split or not axes.learns_along(axes.shared):
        return None
    axis = _axes(axes, axes.shared)
    return _described(axes, "LayerNormalization", axis=axis, caution=_caution(axes))


def _caution(axes: WholeAxes) -> str:
    """On torch, Keras hands neighbouring axes to an operator for the last axes."""
    first, last = axes.shared[0], axes.shared[-1]
    neighbours = last - first == len(axes.shared) - 1
    return NOT_ON_TORCH if neighbours and not axes.shares_last else ""


def _group(axes: WholeAxes) -> NativeLayer | None:
    """One group per sample, per channel, or per several channels."""
    channels = axes.learned if axes.has_parameters else axes.split or axes.kept[1:]
    if channels is None or len(channels) != 1 or channels[0] == 0 or 0 not in axes.kept:
        return None
    if not {*axes.kept, *axes.split} <= {0, channels[0]}:
        return None
    groups = -1 if channels[0] in axes.kept else axes.groups(channels[0])
    if groups is None:
        return None
    return _described(axes, "GroupNormalization", groups=groups, axis=_axis(axes, channels[0]))


def _rms(axes: WholeAxes) -> NativeLayer | None:
    """Its scale broadcasts against the last axes, so the statistics have to be over these."""
    if not axes.shares_last or axes.spec.bias is not None or axes.learned != axes.shared:
        return None
    return NativeLayer(
        "keras.layers.RMSNormalization",
        {"axis": _axes(axes, axes.shared), "epsilon": inner_eps(axes.spec)},
    )


def _rms_scaling(axes: WholeAxes) -> NativeLayer | None:
    """Divided by the standard deviation, without subtracting the mean."""
    if axes.split or axes.spec.bias is not None or axes.learned != axes.shared:
        return None
    arguments = {"axis": _axes(axes, axes.shared), "epsilon": inner_eps(axes.spec)}
    return NativeLayer(
        "keras.layers.LayerNormalization", {**arguments, "rms_scaling": True}, caution=DEPRECATED
    )


def _unit(axes: WholeAxes) -> NativeLayer | None:
    if axes.split or axes.has_parameters:
        return None
    return NativeLayer("keras.layers.UnitNormalization", {"axis": _axes(axes, axes.shared)})


def _described(
    axes: WholeAxes, name: str, *, call: str = "", caution: str = "", **arguments: Any
) -> NativeLayer:
    """A centred layer: epsilon, and what says that a parameter is not there."""
    spec = axes.spec
    given = {**arguments, "epsilon": inner_eps(spec)}
    if spec.bias is None:
        given["center"] = False
    if spec.scale is None:
        given["scale"] = False
    return NativeLayer(f"keras.layers.{name}", given, call=call, caution=caution)


def _axes(axes: WholeAxes, dims: tuple[int, ...]) -> int | list[int]:
    return _axis(axes, dims[0]) if len(dims) == 1 else list(dims)


def _axis(axes: WholeAxes, dim: int) -> int:
    return -1 if dim == axes.rank - 1 else dim
