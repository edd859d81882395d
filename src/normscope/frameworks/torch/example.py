"""Inputs of the shapes that a module of PyTorch tells itself."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import torch

_SAMPLES = 4
_MOST_ELEMENTS = 2**26


def example(module: torch.nn.Module, dtype: torch.dtype, device: torch.device) -> Any:
    """Inputs for a module; None if it tells no shapes.

    `example_input_array` is what Lightning has users set, `dummy_inputs` what the models of
    transformers have, and `pretrained_cfg["input_size"]` what those of timm say of one image.
    """
    for name in ("example_input_array", "dummy_inputs"):
        given = getattr(module, name, None)
        if isinstance(given, torch.Tensor | tuple | list | Mapping) and len(given):
            return given
    for name in ("pretrained_cfg", "default_cfg"):
        settings = getattr(module, name, None)
        size = _shape(settings.get("input_size")) if isinstance(settings, Mapping) else ()
        if size and _SAMPLES * prod(size) <= _MOST_ELEMENTS:
            generator = torch.Generator().manual_seed(0)
            x = torch.randn((_SAMPLES, *size), generator=generator)
            return x.to(device=device, dtype=dtype)
    return None


def _shape(size: Any) -> tuple[int, ...]:
    given = tuple(size) if isinstance(size, tuple | list) else ()
    return given if all(isinstance(n, int) and n > 0 for n in given) else ()
