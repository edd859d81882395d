"""An operator of PyTorch that stands for what is not known: a layer whose code is not there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from normscope.graph.replay import CannotReplayError


def unknown(tensors: Sequence[Any], specs: Sequence[tuple[tuple[int, ...], str]]) -> list[Any]:
    """Tensors of these shapes and dtypes of which nothing is known, but what they may depend on.

    Args:
        tensors: what they may depend on.
        specs: their shapes and dtypes.
    """
    return [_unknown(list(tensors), list(shape), getattr(torch, d)) for shape, d in specs]


@torch.library.custom_op("normscope::unknown_layer", mutates_args=())
def _unknown(tensors: list[torch.Tensor], shape: list[int], dtype: torch.dtype) -> torch.Tensor:
    raise CannotReplayError("the code of a layer is not there")


@_unknown.register_fake
def _(tensors: list[torch.Tensor], shape: list[int], dtype: torch.dtype) -> torch.Tensor:
    return tensors[0].new_empty(shape, dtype=dtype)
