"""Tensors of PyTorch as NumPy arrays, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from normscope.frameworks.trees import Array


def to_numpy(tensor: torch.Tensor) -> Array:
    """The numbers of a tensor, also of a sparse one."""
    tensor = tensor.detach().cpu()
    if tensor.layout is not torch.strided:
        tensor = tensor.to_dense()
    if tensor.is_complex():
        tensor = tensor.resolve_conj()
    if tensor.is_floating_point() and tensor.itemsize < 4:
        tensor = tensor.float()  # exact, and NumPy has neither bfloat16 nor floats of 8 bits
    return np.array(tensor.numpy())


def like(original: torch.Tensor, value: Array) -> torch.Tensor:
    """New values in the dtype and on the device of a tensor, with gradients where it has them."""
    tensor = torch.from_numpy(np.array(value)).to(original.dtype).to(original.device)
    return tensor.requires_grad_(bool(original.requires_grad))


def as_tensor(value: Any) -> Any:
    """A fresh tensor for an array of NumPy or a tensor; anything else as it is."""
    if type(value) is np.ndarray:
        return torch.from_numpy(value.copy())
    return value.detach().clone() if isinstance(value, torch.Tensor) else value
