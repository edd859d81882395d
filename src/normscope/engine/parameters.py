"""Scale and bias of a call, as its plan wants them in memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from normscope.engine.operands import (
    Kind,
    is_plain,
    not_overwritten,
    parameter_dtype,
    written_out,
)
from normscope.engine.prepared import PreparedCall
from normscope.engine.validation import laid_along, parameter_axes
from normscope.notation.layout import Layout
from normscope.notation.spec import NormSpec

Array = NDArray[Any]
Axes = tuple[int, ...]


def checked_axes(
    spec: NormSpec, layout: Layout, scale: ArrayLike | None, bias: ArrayLike | None
) -> list[Axes]:
    """The axes of scale and of bias; none of one that is not there.

    Raises:
        SpecError: the spec has no such parameter.
        ShapeError, DtypeError: it is no array of numbers along these axes.
    """
    axes: list[Axes] = []
    for name, along, values in (("scale", spec.scale, scale), ("bias", spec.bias, bias)):
        if values is None:
            axes.append(())
            continue
        axes.append(parameter_axes(layout, name, along))
        laid_along(layout, name, axes[-1], values)
    return axes


@dataclass(frozen=True, eq=False, kw_only=True)
class Parameters:
    """How scale and bias are read, of calls of one form.

    Attributes:
        prepared: the call.
        dtype: how they lie in memory.
        as_they_are: of each, whether it can be used as it comes, but for its dtype;
        ready: and of both, dtype and all.
        spread: of each that is repeated along further axes: its shape with 1 in their places, and
            with their lengths; None where it is not, or `written_out` has more to do.
    """

    prepared: PreparedCall
    dtype: np.dtype[Any]
    as_they_are: tuple[bool, bool]
    ready: bool
    spread: list[tuple[tuple[int, ...], tuple[int, ...]] | None]

    @classmethod
    def like(
        cls,
        prepared: PreparedCall,
        kind: Kind,
        axes: list[Axes],
        scale: ArrayLike | None,
        bias: ArrayLike | None,
    ) -> Parameters:
        """Of a call whose x has elements of this kind, and of parameters along `axes`."""
        plan, spec, layout = prepared.plan, prepared.spec, prepared.layout
        longest = max(math.prod(layout.known_sizes[i] for i in along) for along in plan.parameters)
        dtype = parameter_dtype(kind, longest, plan.num_sets * plan.set_size, scale, bias)
        if spec.scale_shift:  # the sum is not to be rounded
            dtype = np.dtype(np.float64)
        as_they_are = [
            is_plain(values) and wanted == along
            for values, wanted, along in zip((scale, bias), plan.parameters, axes, strict=True)
        ]
        ready = [
            values is None or (plain and np.asarray(values).dtype == dtype)
            for values, plain in zip((scale, bias), as_they_are, strict=True)
        ]
        return cls(
            prepared=prepared,
            dtype=dtype,
            as_they_are=(as_they_are[0], as_they_are[1]),
            ready=all(ready) and not (spec.scale_shift and scale is not None),
            spread=[
                _spread(layout, along, wanted) if is_plain(values) else None
                for values, wanted, along in zip((scale, bias), plan.parameters, axes, strict=True)
            ],
        )

    def laid(self, name: str, values: ArrayLike | None, out: Array | None) -> Array | None:
        """A parameter in the shape of its axes."""
        if values is None:
            return None
        spec, layout = self.prepared.spec, self.prepared.layout
        along = spec.scale if name == "scale" else spec.bias
        array = laid_along(layout, name, parameter_axes(layout, name, along), values)
        return not_overwritten(array, out)

    def read(self, which: int, values: ArrayLike | None, out: Array | None) -> Array | None:
        """A parameter as the plan wants it in memory; a scale with `scale_shift` added."""
        if values is None:
            return None
        spec, layout = self.prepared.spec, self.prepared.layout
        spread = self.spread[which]
        if self.as_they_are[which] and isinstance(values, np.ndarray):
            array = values
        elif spread is not None and isinstance(values, np.ndarray):
            short, full = spread
            array = np.empty(full, self.dtype)
            array[...] = values.reshape(short)
        else:
            name = ("scale", "bias")[which]
            axes = parameter_axes(layout, name, (spec.scale, spec.bias)[which])
            array = laid_along(layout, name, axes, values)
            wanted = self.prepared.plan.parameters[which]
            if wanted != axes:
                array = written_out(layout, axes, array, wanted)
        array = np.ascontiguousarray(array, self.dtype)
        if which == 0 and spec.scale_shift:
            return array + spec.scale_shift
        return not_overwritten(array, out)


def _spread(
    layout: Layout, axes: Axes, wanted: Axes
) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """See `Parameters.spread`."""
    if wanted == axes or [i for i in wanted if i in axes] != list(axes):
        return None
    full = [layout.known_sizes[i] for i in wanted]
    short = [size if i in axes else 1 for i, size in zip(wanted, full, strict=True)]
    return tuple(short), tuple(full)
