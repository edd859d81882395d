"""Batch norm over processes by kernels: what each measures and writes, one collective in between.

With g = dy * scale, N and the sums over all processes,

    dm = -rstd sum(g),   dM2 = -rstd^2 sum(g x^) / (2 (N - ddof)),   x^ = (x - m) rstd
    dx = g rstd + dm / N + 2 dM2 (x - m)

Kept for the backward pass are the input, and the statistics of each set. The messages are those of
`JoinedSets`, which takes all other calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from normscope.engine.given import given_statistics
from normscope.engine.partial_statistics import measured
from normscope.kernels.contract import (
    COUNT,
    DIVISOR,
    MEAN,
    PARTIAL_COUNT,
    PARTIAL_MEAN,
    PARTIAL_MEAN_REST,
    PARTIAL_ROOT,
    PARTIAL_ROOT_REST,
    ROWS,
)
from normscope.layers.common.shapes import is_split
from normscope.layers.torch import formula
from normscope.layers.torch.autograd import (
    before_activation,
    gradients_of,
    like_parameter,
    moments_of,
)
from normscope.layers.torch.formula import Moments
from normscope.layers.torch.kernels import Form, form_of, numbers
from normscope.layers.torch.operands import (
    Operands,
    can_run as kernels_can_run,
    is_eager,
    is_gradient,
)
from normscope.layers.torch.synchronization import Processes
from normscope.notation.layout import Layout
from normscope.notation.pattern import ANONYMOUS
from normscope.notation.spec import Measure, NormSpec

Floats = NDArray[np.float64]


@dataclass
class Call:
    """A call, and what the processes have measured.

    Attributes:
        spec, layout: the normalization, fitted to the part in this process.
        processes: that hold the other parts.
        slope: of a LeakyReLU that follows, or None.
        statistics: of the whole, in the rows of `normscope.kernels.contract`.
    """

    spec: NormSpec
    layout: Layout
    processes: Processes
    slope: float | None
    statistics: Floats | None = None


def can_run(given: Operands, spec: NormSpec, layout: Layout) -> bool:
    """Whether the kernels can run this call; on an empty part, whether they could on a full one."""
    x, scale, bias, _, _ = given
    if not is_eager() or not _is_simple(spec):
        return False
    if is_split(layout) or None in layout.shape or _kept_names(layout) is None:
        return False
    named = {layout.named(names) for names in (spec.scale, spec.bias) if names is not None}
    some = given if x.numel() else Operands(x.new_empty(1), scale, bias)
    return named <= {layout.kept} and kernels_can_run(spec, some)


def normalize(
    given: Operands,
    spec: NormSpec,
    layout: Layout,
    processes: Processes,
    slope: float | None = None,
) -> tuple[Tensor, Moments | None]:
    """Normalize by the statistics of all processes, where the kernels `can_run` it.

    Args:
        given: the tensors, without a mask.
        spec, layout: the normalization, fitted to the part in this process.
        processes: that hold the other parts.
        slope: of a LeakyReLU that follows, or None.

    Returns:
        y, and the `Moments` if the spec has running statistics: in float64, without a gradient.
    """
    x = given.x if given.residual is None else given.x + given.residual
    dtype = x.dtype
    if dtype.itemsize == 2:  # as the formula does, so that dx is rounded once
        x = x.float()
    call = Call(spec, layout, processes, slope)
    y: Tensor = _Normalize.apply(call, x, given.scale, given.bias)  # type: ignore[no-untyped-call]
    y = y.to(dtype)
    if spec.running is None:
        return y, None
    assert call.statistics is not None
    return y, _moments(call.statistics, spec, layout)


def _is_simple(spec: NormSpec) -> bool:
    plain = not spec.floor and not spec.eps_outside and spec.unit_below is None and spec.eps > 0
    return plain and spec.center and spec.measure is Measure.VARIANCE


@lru_cache(maxsize=1024)
def _kept_names(layout: Layout) -> str | None:
    """The axes outside brackets, as a spec names those of a parameter; None if it cannot."""
    repeated = layout.pattern.repeated
    bases = dict.fromkeys(layout.axes[i].base for i in layout.kept)
    names = " ".join(
        f"{base}..." if base in repeated and base != ANONYMOUS else base for base in bases
    )
    return names if names and layout.named(names) == layout.kept else None


@lru_cache(maxsize=1024)
def _with_sums(spec: NormSpec, layout: Layout) -> NormSpec:
    """The spec with a factor and a term for each set, whose gradients are sums over the set."""
    names = _kept_names(layout)
    return replace(spec, scale=names, bias=names, scale_shift=0)


# --- measure --------------------------------------------------------------------------------------


def _measured(x: Tensor, call: Call) -> Floats:
    """The statistics of the whole, by one collective."""
    own = measured(x.detach().numpy(), call.spec, call.layout, None)
    count = float(call.layout.set_size or 0)
    mean = own[PARTIAL_MEAN] + own[PARTIAL_MEAN_REST]
    squares = own[PARTIAL_COUNT] * (own[PARTIAL_ROOT] + own[PARTIAL_ROOT_REST]) ** 2
    whole, mean, squares = (
        found.numpy()
        for found in call.processes.joined(
            torch.tensor(count, device="cpu"),
            torch.from_numpy(mean),
            torch.from_numpy(squares),
            x.dtype,
        )
    )
    statistics = given_statistics(call.spec, mean, squares / _divisor(float(whole), call.spec))
    statistics[COUNT] = whole
    return statistics


def _divisor(count: float, spec: NormSpec) -> float:
    """N - ddof; 1 for an empty set, whose sum is 0, and NaN for one that is too small."""
    if count > spec.ddof:
        return count - spec.ddof
    return np.nan if count else 1.0


def _moments(statistics: Floats, spec: NormSpec, layout: Layout) -> Moments:
    mean, v, _ = moments_of(statistics, spec, layout, masked=False)
    return Moments(mean, v, torch.tensor(statistics[COUNT, 0], device="cpu"))


# --- gradients ------------------------------------------------------------------------------------


class _Normalize(torch.autograd.Function):
    """The kernels, with their own backward pass."""

    @staticmethod
    def forward(ctx: Any, call: Call, x: Tensor, scale: Tensor | None, bias: Tensor | None) -> Any:
        call.statistics = statistics = _measured(x, call)
        ctx.call = call
        ctx.save_for_backward(x, scale, bias)
        if not x.numel():
            return torch.empty_like(x)
        given = Operands(x, scale, bias)
        return form_of(call.spec, call.layout, given).run(given, call.slope, statistics, False)[0]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (dy,) = gradients
        call: Call = ctx.call
        x, scale, bias = ctx.saved_tensors
        needed = ctx.needs_input_grad[1:]
        if torch.is_grad_enabled() or not (is_eager() and is_gradient(dy)):
            return None, *_by_formula(dy, (x, scale, bias), call, needed)
        statistics = call.statistics
        assert statistics is not None
        if call.slope is not None and x.numel():
            given = Operands(x, scale, bias)
            form = form_of(call.spec, call.layout, given)
            dy = before_activation(dy, form, given, call.slope, statistics)
        d_scale, d_bias = _own_sums(dy, x, call, statistics)
        return (
            None,
            _input_gradient(dy, x, scale, call, d_scale, d_bias) if needed[0] else None,
            like_parameter(d_scale, scale) if needed[1] else None,
            like_parameter(d_bias, bias) if needed[2] else None,
        )


def _own_sums(dy: Tensor, x: Tensor, call: Call, statistics: Floats) -> tuple[Floats, Floats]:
    """sum(dy x^) and sum(dy) of each set, over the part in this process."""
    if not x.numel():
        return np.zeros(statistics.shape[1]), np.zeros(statistics.shape[1])
    d_scale, d_bias = _sums_form(x, call).parameter_gradients(dy, x, statistics)
    assert d_scale is not None
    assert d_bias is not None
    return d_scale.ravel(), d_bias.ravel()


def _sums_form(x: Tensor, call: Call) -> Form:
    sizes = [call.layout.known_sizes[i] for i in call.layout.kept]
    term = x.new_empty(sizes, dtype=torch.float64)
    return form_of(_with_sums(call.spec, call.layout), call.layout, Operands(x, term, term))


def _input_gradient(
    dy: Tensor, x: Tensor, scale: Tensor | None, call: Call, d_scale: Floats, d_bias: Floats
) -> Tensor:
    """The gradient of x, by one collective of the gradients of m and M2."""
    statistics = call.statistics
    assert statistics is not None
    rstd, count = 1 / statistics[DIVISOR], float(statistics[COUNT, 0])
    factor = rstd
    multiplied = numbers(scale)
    if multiplied is not None:
        factor = rstd * (multiplied.ravel().astype(np.float64) + call.spec.scale_shift)
    of_squares = -0.5 * factor * rstd * d_scale / _divisor(count, call.spec)
    own = torch.from_numpy(np.stack((-factor * d_bias, of_squares)))
    of_mean, of_squares = call.processes(own.to(x.dtype)).double()
    if not x.numel():
        return torch.empty_like(x)
    sizes = [call.layout.known_sizes[i] for i in call.layout.kept]
    given = Operands(x, (2 * of_squares).reshape(sizes), (of_mean / max(count, 1.0)).reshape(sizes))
    apart = np.ones((ROWS, statistics.shape[1]))  # what is divided by
    apart[MEAN] = statistics[MEAN]
    dx, _ = form_of(_with_sums(call.spec, call.layout), call.layout, given).run(
        given, None, apart, False
    )
    whole = enumerate(call.layout.known_sizes)
    shape = [1 if i in call.layout.shared else size for i, size in whole]
    return dx.addcmul_(dy, torch.from_numpy(factor).to(x.dtype).reshape(shape))


def _by_formula(
    dy: Tensor, inputs: Sequence[Tensor | None], call: Call, needed: Sequence[bool]
) -> tuple[Tensor | None, ...]:
    """The gradients as the formula has them, which can be derived again; in all processes."""
    with torch.enable_grad():
        x, scale, bias = (None if t is None else t.view_as(t) for t in inputs)
        assert x is not None
        y, _ = formula.normalize(
            x,
            call.spec,
            call.layout,
            scale=scale,
            bias=bias,
            negative_slope=call.slope,
            processes=call.processes,
        )
    return gradients_of(y, (x, scale, bias), dy, needed)
