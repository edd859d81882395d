"""`Norm` while torch compiles or exports a model: one function, which the compiler does not read.

Patterns and layouts are worked out by ordinary Python; the compiler sees the torch operators that
come of it, and lengths that stay open. A spec goes in as text, a constant that the compiler can
guard. The module is imported when a model is first compiled: it brings the compiler with it.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, distributed

from normscope.errors import ShapeError
from normscope.layers.common.parameters import check_set_size
from normscope.layers.torch import exported, formula
from normscope.layers.torch.exported import constant_shape, is_recorded, recorded_lengths
from normscope.layers.torch.fit import Fit, fitted, known_lengths
from normscope.layers.torch.formula import Moments
from normscope.layers.torch.memory import applied_variance
from normscope.layers.torch.synchronization import name_of, named, processes_of
from normscope.layers.torch.weights import weight_shapes
from normscope.notation.layout import Layout
from normscope.notation.spec import NormSpec

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

Tensors = dict[str, Tensor]
"""By name: `x`; of `mask`, `residual`, and the layer's parameters and buffers what is there."""


def normalize(
    spec: NormSpec,
    tensors: Tensors,
    by_running: bool,
    negative_slope: float | None,
    synchronized: bool | ProcessGroup | None = None,
) -> Tensor:
    """What `Norm.forward` computes, as one call for the compiler.

    Args:
        spec: the normalization.
        tensors: the input, and all that the layer holds.
        by_running: whether the running statistics are used; if not, they are moved.
        negative_slope: of a LeakyReLU that follows.
        synchronized: True, or the process group that shares the statistics.

    Raises:
        ShapeError: the input does not meet the pattern or the parameters. The compiler passes it on
            in the text of an error of its own, as those of torch's layers.
    """
    text = "" + _text_of(spec)  # what joins is a text to the compiler, what is returned is not
    if synchronized is True:  # read here, the compiler sees when processes are joined later
        synchronized = distributed.group.WORLD if distributed.is_available() else None
    group = None if synchronized is None else _group_of(synchronized)
    names = tuple(tensors)
    y: Tensor = _normalize(text, by_running, negative_slope, group, names, *tensors.values())
    return y


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator, unused-ignore]
def _group_of(group: bool | ProcessGroup) -> str | None:
    return name_of(group) if group else None


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator, unused-ignore]
def _text_of(spec: NormSpec) -> str:
    return json.dumps(spec.to_dict())


@lru_cache(maxsize=1024)
def _spec_of(text: str) -> NormSpec:
    return NormSpec.from_dict(json.loads(text))


@torch.compiler.allow_in_graph  # type: ignore[untyped-decorator, unused-ignore]
@torch.compiler.disable  # type: ignore[untyped-decorator, unused-ignore]
def _normalize(
    text: str,
    by_running: bool,
    negative_slope: float | None,
    group: str | None,
    names: tuple[str, ...],
    *values: Tensor,
) -> Tensor:
    """One node of a graph; where a graph was given up and it runs as it is, it is not read either.

    All that it depends on is among its arguments, so no other guard is needed.
    """
    spec, tensors = _spec_of(text), dict(zip(names, values, strict=True))
    x = tensors["x"]
    given: dict[str, Any] = {
        "scale": tensors.get("weight"),
        "bias": tensors.get("bias"),
        "residual": tensors.get("residual"),
        "negative_slope": negative_slope,
    }
    fit = fitted(spec, recorded_lengths(spec, x) if is_recorded() else known_lengths(x))
    _check_weights(spec, fit.layout, tensors)
    mean, var = tensors.get("running_mean"), tensors.get("running_var")
    if by_running and fit.applied is not None:
        applied, layout = fit.applied
        hidden = tensors.get("mask")
        return _with(x, applied, layout, mean, applied_variance(applied, var), hidden, given)
    y, found = _by_batch(x, spec, fit, tensors.get("mask"), group, given)
    if found is not None and fit.memory is not None:
        fit.memory.move(found, mean, var)
        if "num_batches_tracked" in tensors:
            fit.memory.count_batch(tensors["num_batches_tracked"])
    return y


def _by_batch(
    x: Tensor,
    spec: NormSpec,
    fit: Fit,
    mask: Tensor | None,
    group: str | None,
    given: dict[str, Any],
) -> tuple[Tensor, Moments | None]:
    """By the batch's own statistics: the compiler fuses the formula, exporters name operators."""
    layout, processes = fit.layout, None
    if group is not None:
        processes = processes_of(named(group), spec, layout, traced=True)
    if processes is None:
        if fit.too_few:
            check_set_size(spec, layout)
        if exported.is_exporting() and mask is None:
            done = exported.normalize(x, spec, layout, **given)
            if done is not None:
                return done
    y, found = formula.normalize(x, spec, layout, mask=mask, processes=processes, **given)
    return y, found if spec.running else None


def _with(
    x: Tensor,
    spec: NormSpec,
    layout: Layout,
    mean: Tensor | None,
    var: Tensor | None,
    mask: Tensor | None,
    given: dict[str, Any],
) -> Tensor:
    """By running statistics; a mask matters to gradients alone, which nothing exported has."""
    if exported.is_exporting():
        y = exported.normalize_with(x, spec, layout, mean, var, **given)
        if y is not None:
            return y
        mask = None
    return formula.normalized(x, spec, layout, mean, var, mask=mask, **given)


def _check_weights(spec: NormSpec, layout: Layout, tensors: Tensors) -> None:
    for name, wanted in weight_shapes(spec, layout).items():
        if name not in tensors:  # somebody took it away
            continue
        found = constant_shape(tensors[name])
        if wanted is not None and found != wanted:
            raise ShapeError(
                f"{name} has the shape {found}, and this input needs {wanted}",
                spec.pattern,
                layout.shape,
            )
