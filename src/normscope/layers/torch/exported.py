"""The operators of torch that an exported model holds: exporters write each as a standard operator.

So a layer norm becomes `LayerNormalization` in ONNX, and not the dozen operators of the formula.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor
from torch.nn import functional

from normscope.layers.torch import operators
from normscope.layers.torch.formula import Moments
from normscope.layers.torch.own_call import own_call
from normscope.notation.layout import Layout
from normscope.notation.shape import Size
from normscope.notation.spec import Measure, NormSpec


def is_exporting() -> bool:
    """Whether a model is exported here, by `torch.export` or by `torch.jit.trace`."""
    return torch.compiler.is_exporting() or is_recorded()


def is_recorded() -> bool:
    """Whether `torch.jit.trace` records the run, as the older exporter to ONNX lets it."""
    return torch._C._get_tracing_state() is not None


def constant_shape(x: Tensor) -> tuple[int, ...]:
    """The shape of a tensor in numbers, which a record holds as constants."""
    with warnings.catch_warnings():  # which is what torch warns of
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
        return tuple(int(n) for n in x.shape)


def recorded_lengths(spec: NormSpec, x: Tensor) -> tuple[Size, ...]:
    """The lengths of a tensor that `torch.jit.trace` follows; None where any length would do.

    Its record would else hold as a constant what the user means to be open.

    >>> spec = NormSpec("b (g [c]) [h w]", sizes={"g": 2}, bias="w")
    >>> recorded_lengths(spec, torch.ones(2, 6, 4, 5))
    (None, 6, None, 5)
    """
    shape = constant_shape(x)
    layout = spec.layout(shape)
    names = [words for words in (spec.scale, spec.bias) if words is not None]
    held = {layout.axes[i].dim for words in names for i in layout.named(words)}
    held |= {axis.dim for axis in layout.axes if len(layout.parts(axis.dim)) > 1}
    return tuple(n if i in held else None for i, n in enumerate(shape))


def normalize(
    x: Tensor,
    spec: NormSpec,
    layout: Layout,
    *,
    scale: Tensor | None,
    bias: Tensor | None,
    residual: Tensor | None,
    negative_slope: float | None,
) -> tuple[Tensor, Moments | None] | None:
    """The results of `compute.run` by an operator of torch; None where none computes the spec."""
    if is_recorded() and spec.measure is Measure.MEAN_SQUARE:
        return None  # the exporter that goes with it knows no RMS norm
    call = own_call(spec, layout.shape)
    if call is not None and _is_of(x, scale, bias):
        return _finished(call(_added(x, residual), scale, bias), negative_slope), None
    done = operators.normalize(x, spec, layout, scale, bias, residual, negative_slope)
    if done is None:
        return None
    y, mean, variance = done
    return y, Moments(mean, variance, layout.set_size) if spec.running else None


def normalize_with(
    x: Tensor,
    spec: NormSpec,
    layout: Layout,
    mean: Tensor | None,
    var: Tensor | None,
    *,
    scale: Tensor | None,
    bias: Tensor | None,
    residual: Tensor | None,
    negative_slope: float | None,
) -> Tensor | None:
    """The result of `compute.run_with` by torch's batch norm; None where it is not the spec's."""
    if mean is None or var is None or not _is_batch_norm(spec, layout):
        return None
    if not _is_of(x, scale, bias) or not _is_of(x, mean, var):
        return None
    y = functional.batch_norm(_added(x, residual), mean, var, scale, bias, False, 0.0, spec.eps)
    return _finished(y, negative_slope)


def _is_batch_norm(spec: NormSpec, layout: Layout) -> bool:
    """Whether statistics and parameters lie along the second axis, and the formula is torch's."""
    other = spec.eps_outside or spec.floor or spec.scale_shift or spec.unit_below is not None
    if other or not spec.center or spec.measure is not Measure.VARIANCE:
        return False
    along = {layout.named(names) for names in (spec.scale, spec.bias) if names is not None}
    whole = len(layout.axes) == len(layout.shape)
    return whole and layout.kept == (1,) and along <= {(1,)}


def _is_of(x: Tensor, *parameters: Tensor | None) -> bool:
    return all(p is None or p.dtype == x.dtype for p in parameters)


def _added(x: Tensor, residual: Tensor | None) -> Tensor:
    return x if residual is None else x + residual


def _finished(y: Tensor, negative_slope: float | None) -> Tensor:
    return y if negative_slope is None else functional.leaky_relu(y, negative_slope)
