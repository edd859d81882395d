"""The weights that a native layer is given, checked against the spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from normscope.errors import ShapeError, SpecError
from normscope.frameworks.native.whole_axes import WholeAxes
from normscope.frameworks.statement import stated
from normscope.notation.spec import NormSpec
from normscope.wording import counted

Weights = Mapping[str, ArrayLike]
"""Arrays under "scale", "bias", "mean" and "var" (the running statistics); not all are needed."""


def stated_with_weights(
    normalization: NormSpec | str, fields_and_sizes: dict[str, Any], weights: Weights | None
) -> NormSpec:
    """The spec that a caller states; with a bare pattern, weights run along the axis `c`.

    Raises:
        PatternError, SpecError: the normalization is not stated correctly.

    Example:
        >>> print(stated_with_weights("b [c]", {}, {"scale": [1.0, 2.0]}))
        "b [c]", eps=1e-05, scale along c
    """
    scaled, biased = (
        name in (weights or {}) and name not in fields_and_sizes for name in ("scale", "bias")
    )
    return stated(normalization, fields_and_sizes, scaled, biased)


def flat_weights(axes: WholeAxes, weights: Weights | None) -> dict[str, NDArray[np.float64]]:
    """Each weight as one row of numbers, in the order of the array's axes.

    Args:
        axes: the spec on its shape; its parameters run along whole axes in the array's order.
        weights: scale and bias in the shape of the axes that the spec names, or flat; mean and var
            one value per running statistic, flat or in the shape of the axes outside brackets.

    Raises:
        SpecError: a weight that the spec does not have, or mean without var.
        ShapeError: a weight has another number of values.
    """
    given = dict(weights or {})
    spec = axes.spec
    known = [name for name in ("scale", "bias") if getattr(spec, name) is not None]
    known += ["mean", "var"] if spec.running is not None else []
    for name in given:
        if name not in known:
            raise SpecError(f"{spec} has no {name!r}; its weights are {', '.join(known) or 'none'}")
    if ("mean" in given) != ("var" in given):
        raise SpecError("the running mean and var belong together: give both or neither")
    return {name: _flat(axes, name, values) for name, values in given.items()}


def _flat(axes: WholeAxes, name: str, values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    wanted = _count(axes, name)
    if array.size != wanted:
        raise ShapeError(
            f"{name} needs {counted(wanted, 'value')} for the shape {axes.layout.shape}, it has "
            f"{array.size}",
            axes.spec.pattern,
            array.shape,
        )
    return array.ravel()


def _count(axes: WholeAxes, name: str) -> int:
    """The number of values of a weight."""
    layout = axes.layout
    if name in ("scale", "bias"):
        along = layout.named(getattr(axes.spec, name))
    else:  # running statistics are no sample's own: they never vary along the first axis
        along = tuple(i for i in layout.kept if layout.axes[i].dim > 0)
    return int(np.prod(layout.place(along).shape, dtype=np.int64))
