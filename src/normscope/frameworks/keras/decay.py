"""Which variables of a model an optimizer of Keras decays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def decays(variables: Mapping[str, Any], optimizer: Any) -> Mapping[str, float] | None:
    """The weight decay of each variable that is trained, by name; None where that is not told.

    Its own method would remember the answer for good, so what is excluded is looked up here.

    Args:
        variables: by name.
        optimizer: of Keras 3.
    """
    decay = getattr(optimizer, "weight_decay", None)
    key = getattr(optimizer, "_var_key", None)
    if key is None or not isinstance(decay, int | float | None):
        return None
    excluded = getattr(optimizer, "_exclude_from_weight_decay", None) or ()
    pattern = getattr(optimizer, "_exclude_from_weight_decay_pattern", None)

    def decayed(variable: Any) -> bool:
        by_name = pattern is not None and pattern.search(variable.name) is not None
        return not by_name and key(variable) not in excluded

    return {
        name: float(decay or 0.0) if decayed(variable) else 0.0
        for name, variable in variables.items()
        if variable.trainable
    }
