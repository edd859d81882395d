"""The memory of a tensor, which several tensors may share."""

from __future__ import annotations

import torch


def memory_of(tensor: torch.Tensor) -> int | None:
    """What tells the memory of a tensor from others; None for one that has no strides."""
    if tensor.layout is not torch.strided:
        return None
    try:
        return int(torch._C._storage_id(tensor))  # type: ignore[attr-defined]
    except (RuntimeError, NotImplementedError):  # some kinds of tensors have none
        return None


def storage_of(tensor: torch.Tensor) -> torch.UntypedStorage:
    """The memory of a tensor; not seen by modes, as it is not the program that asks."""
    with torch._C.DisableTorchFunction():
        return tensor.untyped_storage()
