"""What stands for the tensors of TensorFlow while a graph is built, arrays or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from normscope.graph.operators import Graph, Value


class Handle:
    """A variable, a table, or another thing that is no array."""

    def __init__(self, tensor: Any) -> None:
        self.tensor = tensor

    def __hash__(self) -> int:
        return id(self.tensor)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Handle) and other.tensor is self.tensor


@dataclass(frozen=True)
class Reserved:
    """A list of tensors that is still empty, and whose tensors have a shape not known yet."""

    length: int
    dtype: str


@dataclass(frozen=True)
class Slices:
    """A list that a loop reads element by element: what this round reads."""

    now: Value


@dataclass(frozen=True)
class Stacked:
    """A list that a loop writes element by element."""


Item = Value | Handle | Reserved | Slices | Stacked


def constant(shape: Any, dtype: str, tensor: Any, name: str = "") -> Value:
    """A value of which the tensor is known."""
    return Graph.constant(tuple(map(int, shape)), dtype, lambda: tensor, name)


def zeros(empty: Reserved, element: tuple[int, ...]) -> Value:
    """The array of an empty list, once the shape of its elements is known."""
    shape = (empty.length, *element)
    return Graph.constant(shape, empty.dtype, lambda: tf.zeros(shape, empty.dtype))
