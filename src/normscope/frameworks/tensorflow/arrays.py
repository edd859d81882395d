"""Tensors of TensorFlow as NumPy arrays, and back."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from normscope.frameworks.trees import Array


def to_numpy(tensor: Any) -> Array:
    """The numbers of a tensor or variable."""
    return np.array(tensor.numpy())


def like(original: Any, value: Array) -> Any:
    """New values in the dtype of a tensor."""
    # TensorFlow is optional, and whoever gives a tensor has loaded it
    return sys.modules["tensorflow"].cast(np.array(value), original.dtype)
