"""A spec as the Keras 3 layer to write today, where there is one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from normscope.layout import Layout
from normscope.spec import Measure, NormSpec


@dataclass(frozen=True)
class KerasLayer:
    """Source of a Keras 3 layer.

    Attributes:
        code: the layer.
        difference: in what its formula differs from the spec, if it does.
        caution: where it does not do what it says, if there is such a place.
    """

    code: str
    difference: str = ""
    caution: str = ""


NOT_ON_TORCH = (
    "not with the torch backend: there Keras 3.15 normalizes the last axes, whatever axis= says"
)


def keras_layer(spec: NormSpec, layout: Layout) -> KerasLayer | None:
    """The Keras 3 layer over the axes of a spec.

    Args:
        spec: a normalization.
        layout: the same, fitted to a shape.

    Returns:
        The layer, with a `difference` if Keras 3 normalizes these axes by another formula only;
        None if it has no layer over these axes, or none with these parameters.

    Example:
        >>> from normscope.spec import spec
        >>> s = spec("b c [h w]", eps=1e-3, scale="c", bias="c")
        >>> keras_layer(s, s.layout((8, 128, 56, 56))).code
        'keras.layers.GroupNormalization(groups=-1, axis=1, epsilon=0.001)'
    """
    writer = _Writer(spec, layout)
    code = writer.code()
    if code is None:
        return None
    misplaced = "LayerNormalization" in code and not writer.shares_the_last_axes
    return KerasLayer(code, _difference(spec), NOT_ON_TORCH if misplaced else "")


def _keras_eps(spec: NormSpec) -> float:
    """The epsilon that comes nearest; Keras has it inside the root only."""
    return spec.eps or spec.eps_outside**2


def _difference(spec: NormSpec) -> str:
    """What Keras 3 lacks: an epsilon outside the root, a floor, a ddof, a (1 + scale)."""
    if spec.measure is Measure.L2:
        return "" if (spec.eps, spec.floor) == (0, 1e-6) else "its least divisor is always 1e-06"
    if spec.eps_outside:
        worst = 0.0 if spec.eps else spec.eps_outside**2
        return (
            f"it has epsilon inside the root only, so its outputs are larger: by "
            f"{_excess(spec, 1.0)} where the variance is 1, by {_excess(spec, worst)} at most"
        )
    if spec.floor:
        return f"it has no least divisor of {spec.floor:g}"
    if spec.ddof:
        return f"it divides the sum of squares by N instead of N - {spec.ddof}"
    if spec.scale_shift:
        return "it multiplies by scale instead of 1 + scale: add 1 to the stored values"
    return ""


def _excess(spec: NormSpec, variance: float) -> str:
    """By how many percent the outputs of the Keras layer are larger at one variance."""
    ours = math.sqrt(variance + spec.eps) + spec.eps_outside
    theirs = math.sqrt(variance + _keras_eps(spec))
    return f"{100 * (ours / theirs - 1):.2g} %"


@dataclass(frozen=True)
class _Writer:
    """Recognizes which Keras layer has the axes of a layout."""

    spec: NormSpec
    layout: Layout

    def code(self) -> str | None:
        spec = self.spec
        if spec.bias not in (None, spec.scale) and spec.scale is not None:
            return None
        plain = spec.measure is Measure.VARIANCE and spec.center
        if plain and self.split_dims:
            return self.group()
        if plain:
            return self.batch() or self.layer() or self.group()
        if not spec.center and spec.bias is None and len(self.shared_dims) == 1:
            return self.without_mean(self.shared_dims[0])
        return None

    @property
    def rank(self) -> int:
        return len(self.layout.shape)

    @property
    def split_dims(self) -> list[int]:
        return [dim for dim in range(self.rank) if len(self.layout.parts(dim)) > 1]

    @property
    def shared_dims(self) -> list[int]:
        return [d for d in range(self.rank) if all(p.shared for p in self.layout.parts(d))]

    @property
    def shares_the_last_axes(self) -> bool:
        return self.shared_dims == list(range(self.rank - len(self.shared_dims), self.rank))

    @property
    def kept_dims(self) -> list[int]:
        return [d for d in range(self.rank) if not any(p.shared for p in self.layout.parts(d))]

    @property
    def parameter_dims(self) -> list[int] | None:
        """The axes of the learned parameters in their order; None without parameters."""
        names = self.spec.scale if self.spec.scale is not None else self.spec.bias
        if names is None:
            return None
        return list(dict.fromkeys(self.layout.axes[i].dim for i in self.layout.named(names)))

    def batch(self) -> str | None:
        if 0 not in self.shared_dims or len(self.kept_dims) != 1:
            return None
        if self.parameter_dims not in (None, self.kept_dims):
            return None
        if self.spec.running is None:
            return self.call("BatchNormalization", self.kept_dims[0]) + "(x, training=True)"
        momentum = f"momentum={self.spec.running.decay:g}"
        return self.call("BatchNormalization", self.kept_dims[0], momentum)

    def layer(self) -> str | None:
        if 0 in self.shared_dims or self.parameter_dims not in (None, self.shared_dims):
            return None
        dims = self.shared_dims
        return self.call("LayerNormalization", dims[0] if len(dims) == 1 else dims)

    def group(self) -> str | None:
        """One group per sample, per channel, or per several channels."""
        dims = self.parameter_dims
        if dims is None or len(dims) != 1 or dims[0] == 0 or 0 not in self.kept_dims:
            return None
        (channels,) = dims
        if any(dim not in (0, channels) for dim in (*self.kept_dims, *self.split_dims)):
            return None
        groups = self.groups(channels)
        return groups and self.call("GroupNormalization", channels, before=f"groups={groups}")

    def groups(self, channels: int) -> str | None:
        parts = self.layout.parts(channels)
        match [part.shared for part in parts]:
            case [True]:
                return "1"
            case [False]:
                return "-1"
            case [False, True]:
                whole = self.layout.named(self.spec.scale or self.spec.bias or "")
                covers = [self.layout.axes[i] for i in whole] == list(parts)
                return str(parts[0].size) if covers and parts[0].size else None
        return None

    def without_mean(self, dim: int) -> str | None:
        if self.split_dims or dim == 0:
            return None
        if self.spec.measure is Measure.L2 and self.parameter_dims is None:
            return f"keras.layers.UnitNormalization(axis={self.axis(dim)})"
        if self.spec.measure is Measure.MEAN_SQUARE and self.parameter_dims == [dim]:
            return (
                f"keras.layers.RMSNormalization(axis={self.axis(dim)}, "
                f"epsilon={_keras_eps(self.spec):g})"
            )
        return None

    def call(self, name: str, axis: int | Sequence[int], after: str = "", before: str = "") -> str:
        where = self.axis(axis) if isinstance(axis, int) else list(axis)
        flags = [
            f"{flag}=False"
            for flag, names in (("center", self.spec.bias), ("scale", self.spec.scale))
            if names is None
        ]
        arguments = [before, f"axis={where}", after, f"epsilon={_keras_eps(self.spec):g}", *flags]
        return f"keras.layers.{name}({', '.join(a for a in arguments if a)})"

    def axis(self, dim: int) -> int:
        return -1 if dim == self.rank - 1 else dim
