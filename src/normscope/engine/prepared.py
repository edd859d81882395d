"""A prepared call: all that kernels need of it that depends on the form of its arrays alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from normscope.engine.loops import Strides, atomic_strides
from normscope.engine.operands import Kind
from normscope.engine.plan import Plan, plan as find_plan
from normscope.kernels.contract import (
    CHUNK,
    DTYPES,
    MEASURE,
    MEASURES,
    Formula,
    is_square,
)
from normscope.kernels.library import address_of
from normscope.notation.layout import Layout
from normscope.notation.spec import Measure, NormSpec

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class PreparedCall:
    """A normalization of arrays of one form, or the backward pass of one.

    Attributes:
        spec: the normalization.
        layout: its pattern, fitted to the shape.
        plan: the loop nest.
        formula: the numbers of the spec, as kernels want them.
        dtype: the number of the dtype of x.
        size: how many bytes are read and written, but for other arrays than x and the output.
        contiguous: whether sets are contiguous rows: one run of neighbours each in all arrays, no
            longer than a chunk, of which all elements count, and squares are summed.
    """

    spec: NormSpec
    layout: Layout
    plan: Plan
    formula: Floats
    dtype: int
    size: int
    contiguous: bool

    @cached_property
    def kernel(self) -> int:
        """The address of the kernel that measures whole sets and writes their output."""
        if self.contiguous:
            return address_of("forward_contiguous_rows")
        return address_of(f"forward_{self.plan.mode}_normalize")


def prepare(
    spec: NormSpec,
    layout: Layout,
    dtype: Kind,
    strides: Sequence[tuple[int, ...] | None],
    parameters: Sequence[tuple[int, ...]] = ((), ()),
    *,
    bytes_in_cache: int | None = None,
) -> PreparedCall:
    """Prepare a call.

    Args:
        spec: the normalization.
        layout: its pattern, fitted to the shape.
        dtype: of x, in native byte order.
        strides: in bytes, of the arrays of the full size in the order of the nest, the last of
            which is a mask; None: not there.
        parameters: the atomic axes of the parameters; those that are not there have none.
        bytes_in_cache: how many bytes of an element shall be in cache together; None: those of x.
    """
    sizes = (*[dtype.itemsize] * (len(strides) - 1), 1)
    arrays = [
        None if along is None else atomic_strides(layout, along, size)
        for along, size in zip(strides, sizes, strict=True)
    ]
    plan = find_plan(layout, arrays, parameters, bytes_in_cache or dtype.itemsize)
    formula = formula_of(spec, dtype)
    return PreparedCall(
        spec=spec,
        layout=layout,
        plan=plan,
        formula=formula,
        dtype=DTYPES[dtype.name],
        size=2 * plan.num_sets * plan.set_size * dtype.itemsize,
        contiguous=_contiguous(plan, arrays) and is_square(float(formula[MEASURE])),
    )


def _contiguous(plan: Plan, arrays: Sequence[Strides | None]) -> bool:
    """Whether each set is one run of neighbours in all arrays of the full size, without a mask."""
    *given, mask = arrays
    row = plan.loops[-1]
    return (
        plan.mode == "rows"
        and plan.num_kept == len(plan.loops) - 1
        and row.size <= CHUNK
        and mask is None
        and all(row.strides[i] == 1 for i, array in enumerate(given) if array is not None)
    )


def measure_number(spec: NormSpec) -> int:
    """The number of what is measured, for the predicates of `normscope.kernels.contract`.

    Where nothing is divided the variance is measured all the same, in the pass that takes the mean.
    """
    return MEASURES[Measure.VARIANCE if spec.measure is Measure.NONE else spec.measure]


def formula_of(spec: NormSpec, dtype: Kind) -> Floats:
    """The numbers of a spec, for input of a dtype."""
    numbers = Formula(
        measure=measure_number(spec),
        center=spec.center,
        ddof=spec.ddof,
        eps=spec.eps,
        eps_outside=spec.eps_outside,
        floor=spec.floor,
        shift=spec.scale_shift,
        is_float64=dtype.name == "float64",
        unit_up_to=unit_up_to(spec),
    )
    return np.array(numbers, np.float64)


def unit_up_to(spec: NormSpec) -> float:
    """The largest divisor in whose place 1 stands."""
    if spec.measure is Measure.NONE:
        return np.inf
    if spec.unit_below is None:
        return -1.0
    return float(np.nextafter(spec.unit_below, 0.0))  # of 0 it is 0
