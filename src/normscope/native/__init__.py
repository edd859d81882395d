"""A spec -> the framework's own layer that computes exactly this, where there is one.

A framework is imported when its function is called.
"""

from normscope.native.flax import to_flax
from normscope.native.keras import to_keras
from normscope.native.torch import to_torch

__all__ = ["to_flax", "to_keras", "to_torch"]
