"""An operator of JAX that stands for what is not known: a layer whose code is not there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
from jax.extend.core import Primitive

from normscope.graph.replay import CannotReplayError

_UNKNOWN: Any = Primitive("unknown_layer")
_UNKNOWN.multiple_results = True


def unknown(tensors: Sequence[Any], specs: Sequence[tuple[tuple[int, ...], str]]) -> list[Any]:
    """Arrays of these shapes and dtypes of which nothing is known, but what they may depend on.

    Args:
        tensors: what they may depend on.
        specs: their shapes and dtypes.
    """
    return list(_UNKNOWN.bind(*tensors, specs=tuple(specs)))


def _run(*tensors: Any, specs: Any) -> Any:
    raise CannotReplayError("the code of a layer is not there")


def _shapes(*avals: Any, specs: Any) -> list[Any]:
    return [jax.core.ShapedArray(shape, jax.numpy.dtype(dtype)) for shape, dtype in specs]


_UNKNOWN.def_impl(_run)
_UNKNOWN.def_abstract_eval(_shapes)
