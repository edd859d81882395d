"""A spec as the layer of PyTorch that computes it."""

from __future__ import annotations

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
    from torch.nn import Module

_REACH = (
    "its layers normalize the last axes, or all axes but axis 1, the channels, or groups of "
    "neighbouring channels; other axes can be moved to the end (x.movedim) and back"
)
_OWN_NAMES = {"weight": "scale", "bias": "bias", "running_mean": "mean", "running_var": "var"}


def torch_layer(spec: NormSpec, layout: Layout) -> NativeLayer | None:
    """The layer of PyTorch over the axes of a spec.

    Args:
        spec: a normalization.
        layout: the spec fitted to a shape.

    Returns:
        The layer, with a `difference` if torch normalizes these axes by another formula only; None
        if it has no layer over these axes, or none with these parameters.

    Example:
        >>> from normscope import spec
        >>> s = spec("b (g [c]) [h w]", g=4, scale="g c", bias="g c")
        >>> torch_layer(s, s.layout((8, 32, 5, 5))).code
        'torch.nn.GroupNorm(num_groups=4, num_channels=32, eps=1e-05)'
    """
    axes = WholeAxes(spec, layout)
    if not layout.shared or (spec.scale is None and spec.bias is not None):
        return None  # there is a bias only beside a scale
    if spec.measure is Measure.VARIANCE and spec.center:
        found = _batch(axes) or _instance(axes) or _layer(axes) or _group(axes)
    elif spec.measure is Measure.MEAN_SQUARE and not spec.center:
        found = _rms(axes)
    else:
        return None
    return found and replace(found, difference=difference(spec, running_ddof=1))


_TORCH = NativeFramework("torch", "torch", "to_torch", torch_layer, _REACH)


def to_torch(
    spec: NormSpec | str,
    shape: Sequence[Size],
    *,
    weights: Weights | None = None,
    **fields_and_sizes: Any,
) -> Module:
    """The layer of PyTorch that computes a spec, with its weights.

    Args:
        spec: a normalization, in its training mode: a `NormSpec`, a layer by name, or a pattern
            with sizes and fields as keywords. torch has its channels on axis 1, and keeps the
            running variance with ddof 1.
        shape: of the input; None for a length that is not known, as that of the batch.
        weights: arrays under "scale" and "bias" (shaped like the axes that the spec names, or
            flat), "mean" and "var" (the running statistics, one value each per channel). What is
            left out keeps the initial value of torch.

    Returns:
        A `torch.nn.Module` in training mode that computes exactly this in both modes. Without
        running statistics that is the batch's own statistics at inference too
        (`track_running_stats=False`).

    Raises:
        PatternError: the normalization is not stated correctly.
        SpecError: torch has no such layer; the message says what is nearest.
        ShapeError: the shape does not meet the pattern, or a weight has another number of values.
        MissingPackageError: torch is not installed.

    Example:
        >>> from normscope import spec
        >>> to_torch(spec("b [c h w]", scale="c h w"), (None, 3, 5, 5))
        LayerNorm((3, 5, 5), eps=1e-05, elementwise_affine=True, bias=False)
    """
    match = _TORCH.match(spec, shape, weights, fields_and_sizes)
    torch = _TORCH.imported()
    own = match.flat_weights()
    layer: Module = match.layer.made(torch.nn)
    for name, key in _OWN_NAMES.items():
        if key in own:
            variable = getattr(layer, name)
            with torch.no_grad():
                variable.copy_(torch.from_numpy(own[key]).reshape(variable.shape))
    return layer


def _batch(axes: WholeAxes) -> NativeLayer | None:
    if axes.rank not in _SPACE or axes.kept != (1,) or axes.split:
        return None
    if not axes.learns_along((1,)):
        return None
    return _with_memory(axes, f"BatchNorm{_SPACE[axes.rank]}d", affine_default=True)


def _instance(axes: WholeAxes) -> NativeLayer | None:
    if axes.rank not in (3, 4, 5) or axes.kept != (0, 1) or axes.split:
        return None
    if not axes.learns_along((1,)):
        return None
    return _with_memory(axes, f"InstanceNorm{_SPACE[axes.rank]}d", affine_default=False)


def _with_memory(axes: WholeAxes, name: str, *, affine_default: bool) -> NativeLayer:
    running = axes.spec.running
    arguments: dict[str, Any] = {"num_features": axes.length(1), "eps": inner_eps(axes.spec)}
    if running is not None:
        arguments["momentum"] = _momentum(running.decay)
    affine = axes.spec.scale is not None
    if affine != affine_default:
        arguments["affine"] = affine
    if affine and axes.spec.bias is None:
        arguments["bias"] = False
    # without running statistics is the default of InstanceNorm, with them that of BatchNorm
    if (running is not None) != affine_default:
        arguments["track_running_stats"] = running is not None
    return NativeLayer(f"torch.nn.{name}", arguments)


def _layer(axes: WholeAxes) -> NativeLayer | None:
    if not axes.shares_last or not axes.learns_along(axes.shared):
        return None
    return _over_last(axes, "LayerNorm", **_affine(axes, "elementwise_affine"))


def _rms(axes: WholeAxes) -> NativeLayer | None:
    if not axes.shares_last or axes.spec.bias is not None:
        return None
    if not axes.learns_along(axes.shared):
        return None
    return _over_last(axes, "RMSNorm", **_affine(axes, "elementwise_affine", has_bias=False))


def _over_last(axes: WholeAxes, name: str, **affine: bool) -> NativeLayer | None:
    if axes.spec.running is not None:
        return None
    sizes = [axes.length(dim) for dim in axes.shared]
    shape = {"normalized_shape": sizes[0] if len(sizes) == 1 else sizes}
    return NativeLayer(f"torch.nn.{name}", {**shape, "eps": inner_eps(axes.spec), **affine})


def _group(axes: WholeAxes) -> NativeLayer | None:
    """Groups of channels: one, several, or each channel on its own."""
    if axes.rank < 2 or 0 not in axes.kept or not axes.learns_along((1,)):
        return None
    if not {*axes.kept, *axes.split} <= {0, 1} or axes.spec.running is not None:
        return None
    channels = axes.length(1)
    groups = channels if 1 in axes.kept else axes.groups(1)
    if groups is None:
        return None
    return NativeLayer(
        "torch.nn.GroupNorm",
        {
            "num_groups": groups,
            "num_channels": channels,
            "eps": inner_eps(axes.spec),
            **_affine(axes, "affine"),
        },
    )


def _affine(axes: WholeAxes, name: str, *, has_bias: bool = True) -> dict[str, bool]:
    """The arguments that say that a parameter is not there."""
    if axes.spec.scale is None:
        return {name: False}
    return {"bias": False} if has_bias and axes.spec.bias is None else {}


_SPACE = {2: 1, 3: 1, 4: 2, 5: 3}
"""From the rank of the input to the number in the name of the layer."""


def _momentum(decay: float) -> float:
    """The share of the new value, in as few digits as say it.

    >>> _momentum(0.9)
    0.1
    """
    short = float(f"{1 - decay:.12g}")
    return short if 1 - short == decay else 1 - decay
