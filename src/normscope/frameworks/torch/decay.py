"""Which parameters of a module an optimizer of PyTorch decays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch


def decays(module: torch.nn.Module, optimizer: Any) -> Mapping[str, float] | None:
    """The weight decay of each parameter, by name; None where the optimizer does not tell it.

    Args:
        module: whose parameters are named.
        optimizer: an object with `param_groups`.
    """
    groups = getattr(optimizer, "param_groups", None)
    if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
        return None
    by_parameter = {
        id(parameter): float(group.get("weight_decay", 0.0))
        for group in groups
        for parameter in group.get("params", ())
    }
    named = module.named_parameters(remove_duplicate=False)
    found = {name: by_parameter[id(one)] for name, one in named if id(one) in by_parameter}
    return found or None  # it trains another model
