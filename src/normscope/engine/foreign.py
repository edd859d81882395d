"""Arrays of other libraries, for which `normalize` has somebody else: told by their class alone."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

Taker = Callable[..., Any]

TAKERS = {("torch", "Tensor"): ("normscope.layers.torch.normalize", "normalize")}
"""Who takes arrays of a class, by module and name of both. These are names: the engine imports no
framework, and nothing that does before such an array comes."""


def taker_of(x: object) -> Taker | None:
    """Who normalizes such an array; None where nobody is told.

    >>> taker_of([1.0]) is None
    True
    """
    for kind in type(x).__mro__:
        found = TAKERS.get((kind.__module__, kind.__name__))
        if found is not None:
            taker: Taker = getattr(import_module(found[0]), found[1])
            return taker
    return None
