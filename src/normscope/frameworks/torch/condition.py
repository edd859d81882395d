"""How a module of PyTorch stands: its mode, what of it is learned, what counts its updates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from normscope.errors import SpecError
from normscope.frameworks.condition import UNKNOWN, Condition
from normscope.frameworks.torch.settings import is_norm
from normscope.graph.operators import Node, calls_around
from normscope.notation.running import Running

_BatchNorm = torch.nn.modules.batchnorm._BatchNorm
_InstanceNorm = torch.nn.modules.instancenorm._InstanceNorm


def condition(node: Node, parameters: Mapping[str, str]) -> Condition:
    """How the layer stands that an operator belongs to.

    Args:
        node: an operator that normalizes; the layers of its calls are in the state as given.
        parameters: where the model holds its scale and bias, by role.
    """
    layers = [call.layer for call in calls_around(node.call)]
    modules = [layer for layer in layers if isinstance(layer, torch.nn.Module)]
    if not modules:
        return UNKNOWN
    own = modules[0]
    return Condition(
        training=own.training and not getattr(_norm(own), "frozen", False),
        trainable=_trainable(modules, parameters),
        learning=any(p.requires_grad for p in modules[-1].parameters()),
        updates=_updates(own),
        decay=_decay(modules, node),
        unused=_unused(own),
    )


def _trainable(modules: list[torch.nn.Module], parameters: Mapping[str, str]) -> bool | None:
    given = [_parameter(modules[-1], parameters[r]) for r in ("scale", "bias") if r in parameters]
    found = [parameter for parameter in given if parameter is not None]
    for module in modules:
        found = found or list(module.parameters())
    return any(parameter.requires_grad for parameter in found) if found else None


def _parameter(model: torch.nn.Module, path: str) -> torch.nn.Parameter | None:
    try:
        return model.get_parameter(path)
    except AttributeError:  # none has this path, or it is a buffer
        return None


def _updates(module: torch.nn.Module) -> int | None:
    count = getattr(module, "num_batches_tracked", None)
    if not isinstance(count, torch.Tensor) or count.numel() != 1 or count.is_meta:
        return None
    return int(count)


def _decay(modules: list[torch.nn.Module], node: Node) -> float | None:
    """One minus the share of the new value, which torch calls momentum."""
    own: Any = modules[0]
    norm = _norm(own)
    if norm is not None:
        running: Running | None = norm.spec.running
        return None if norm.frozen or running is None else running.decay
    if isinstance(own, _BatchNorm | _InstanceNorm):
        share = own.momentum if own.track_running_stats else None
    elif (share := node.settings.get("momentum")) is not None:
        learned = dict(modules[-1].named_parameters())
        if not any(o.is_parameter and o.name not in learned for o in node.operands):
            share = None
    return 1 - share if isinstance(share, int | float) else None


def _norm(module: torch.nn.Module) -> Any:
    """The module if it is a `Norm` of normscope, which says more than torch's own; else None."""
    try:
        return module if is_norm(module) else None
    except SpecError:  # of a class with a forward of its own: its statistics are those of its base
        return module


def _unused(module: torch.nn.Module) -> tuple[str, ...]:
    """Instance normalization takes its own statistics in both modes unless it tracks them."""
    if not isinstance(module, _InstanceNorm) or module.track_running_stats:
        return ()
    names = ("running_mean", "running_var")
    return tuple(name for name in names if getattr(module, name, None) is not None)
