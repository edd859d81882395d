"""A spec as the ONNX operator that computes it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from normscope.frameworks.native import NativeLayer
from normscope.frameworks.native.limits import difference, inner_eps
from normscope.frameworks.native.whole_axes import WholeAxes
from normscope.notation.layout import Layout
from normscope.notation.spec import Measure, NormSpec


def onnx_operator(spec: NormSpec, layout: Layout) -> NativeLayer | None:
    """The operator of ONNX over the axes of a spec, with its attributes.

    Args:
        spec: a normalization.
        layout: the spec fitted to a shape.

    Returns:
        The operator, with a `difference` if ONNX normalizes these axes by another formula only;
        None if it has no operator over these axes, or none with these parameters.

    Example:
        >>> from normscope import spec
        >>> s = spec("b h [c]", scale="c", bias="c")
        >>> onnx_operator(s, s.layout((8, 5, 32))).code
        'LayerNormalization(axis=-1, epsilon=1e-05)'
    """
    axes = WholeAxes(spec, layout)
    if not layout.shared:
        return None
    if spec.measure is Measure.VARIANCE and spec.center:
        found = _along_channels(axes) or _over_last(axes, "LayerNormalization")
    elif spec.measure is Measure.MEAN_SQUARE and not spec.center and spec.bias is None:
        found = _over_last(axes, "RMSNormalization")
    else:
        return None
    return found and replace(found, difference=difference(spec, running_ddof=0))


def _along_channels(axes: WholeAxes) -> NativeLayer | None:
    """Those that keep the channels of axis 1 apart, or groups of them."""
    if axes.rank < 2 or not axes.learns_along((1,)):
        return None
    running = axes.spec.running
    if axes.kept == (1,) and not axes.split and running is not None:
        return _described(axes, "BatchNormalization", momentum=running.decay)
    if running is not None or axes.rank < 3 or not axes.shared:
        return None
    if axes.kept == (0, 1) and not axes.split:
        return _described(axes, "InstanceNormalization")
    if axes.kept == (0,) and axes.split == (1,) and axes.groups(1) is not None:
        return _described(axes, "GroupNormalization", num_groups=axes.groups(1))
    return None


def _over_last(axes: WholeAxes, name: str) -> NativeLayer | None:
    if not axes.shares_last or axes.spec.running is not None:
        return None
    if not axes.learns_along(axes.shared):
        return None
    return _described(axes, name, axis=-len(axes.shared))


def _described(axes: WholeAxes, name: str, **attributes: Any) -> NativeLayer:
    return NativeLayer(name, {**attributes, "epsilon": inner_eps(axes.spec)})
