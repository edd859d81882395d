"""The shapes of the parameters and buffers of `Norm`, under the names that torch's layers use."""

from __future__ import annotations

from normscope.layers.common.parameters import joined_shape
from normscope.layers.torch.memory import inference_spec
from normscope.notation.layout import Layout
from normscope.notation.spec import Measure, NormSpec

PARAMETERS = ("weight", "bias")
BUFFERS = ("running_mean", "running_var")

Shapes = dict[str, tuple[int, ...] | None]
"""By name; None where the shape is not known before the first input."""


def weight_shapes(spec: NormSpec, layout: Layout) -> Shapes:
    """The shapes of the parameters and running statistics that a spec has.

    >>> spec = NormSpec("b (g [c]) [s...]", sizes={"g": 4}, scale="g c", bias="s...")
    >>> weight_shapes(spec, spec.layout((None, 8, 5, 5)))
    {'weight': (8,), 'bias': (5, 5)}
    >>> weight_shapes(spec, spec.layout((None, None, None)))
    {'weight': None, 'bias': None}
    """
    shapes = {
        name: _known(spec, layout, layout.named(names))
        for name, names in (("weight", spec.scale), ("bias", spec.bias))
        if names is not None
    }
    if spec.running is None:
        return shapes
    applied = inference_spec(spec)
    kept = applied.layout(layout.shape).kept
    shapes["running_mean"] = _known(spec, layout, kept)
    if spec.measure is not Measure.NONE:
        shapes["running_var"] = shapes["running_mean"]
    if not spec.center:
        del shapes["running_mean"]
    return shapes


def _known(spec: NormSpec, layout: Layout, axes: tuple[int, ...]) -> tuple[int, ...] | None:
    """The lengths of axes, or None where one of them is not known, or how many they are."""
    for i in axes:
        base = layout.axes[i].base
        counted = base not in spec.parsed.repeated or isinstance(spec.sizes.get(base), tuple)
        if not counted and layout.axes[i].size is None:
            return None
    joined = joined_shape(layout, axes)
    known = tuple(length for length in joined if length is not None)
    return known if len(known) == len(joined) else None
