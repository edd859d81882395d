"""A recalibrated model asked: its layers by `identify`, the whole by `scope`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from normscope.errors import SpecError
from normscope.identify import identify
from normscope.layers.torch.exact_statistics import Found, Statistics
from normscope.layers.torch.norm import Norm
from normscope.layers.torch.norm_then import with_children_off
from normscope.layers.torch.verification import checked_layers, said_of, scope_of
from normscope.wording import counted

_LENGTH = 4
"""Of every axis of the inputs of torch's layers but that of the channels."""


def checked(
    model: torch.nn.Module,
    layers: Mapping[str, Statistics],
    seen: Mapping[str, Found],
    inputs: Any,
) -> tuple[str, ...]:
    """What was found, in words.

    Args:
        model: with its new running statistics.
        layers: those that have them.
        seen: what each sees at inference now.
        inputs: of the model, for `scope`; None where they are not known.

    Raises:
        SpecError: a layer does not use its running statistics at inference.
    """
    modules = {name: layer.module for name, layer in layers.items()}
    norms = [module for module in modules.values() if isinstance(module, Norm)]
    others = {name: one for name, one in modules.items() if not isinstance(one, Norm)}
    lines = [_left(layers, seen), *(checked_layers(norms) if norms else ())]
    for name, module in others.items():
        _check(name, module)
    if others:
        lines.append(
            f"identify finds that {counted(len(others), 'layer')} of torch normalize by what is "
            "stored, at inference"
        )
    if inputs is not None:
        lines.append(f"by scope, {said_of(scope_of(model, inputs))}")
    return tuple(lines)


def _left(layers: Mapping[str, Statistics], seen: Mapping[str, Found]) -> str:
    """How far what the layers hold is from what they see."""
    apart = [layers[name].moved(found) for name, found in seen.items()]
    mean = max(moved for moved, _ in apart)
    var = max(abs(ratio - 1) for _, ratio in apart)
    return (
        f"on the same data, what a layer sees at inference is within {mean:.2g} standard "
        f"deviations of its running mean, and within {var:.2g} of its running variance"
    )


def _check(name: str, module: Any) -> None:
    rank = _RANKS.get(type(module).__name__, 4)
    shape = [_LENGTH, module.num_features, *[_LENGTH] * (rank - 2)]
    found = identify(with_children_off(module), shape).infer_report
    if found.spec is None or not found.stored:
        raise SpecError(
            f"{name}: asked from outside at the shape {tuple(shape)}, this {type(module).__name__} "
            "does not normalize by its running statistics at inference; they were measured all the "
            "same. Has it a forward of its own?"
        )


_RANKS = {
    "BatchNorm1d": 2,
    "BatchNorm2d": 4,
    "BatchNorm3d": 5,
    "SyncBatchNorm": 4,
    "InstanceNorm1d": 3,
    "InstanceNorm2d": 4,
    "InstanceNorm3d": 5,
}
