"""`Session`: what is known of the tensors of TensorFlow while one model is traced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from normscope.frameworks.tensorflow.items import Item, constant
from normscope.graph.operators import Call, CannotTraceError, Graph, Value

Place = tuple[Call, str]
"""The layer that an operation belongs to, and its source line."""


class Session:
    """What all builders of one model share.

    Attributes:
        made: the layer and the source line of operations, by their graph and name.
        values: what stands for each tensor, by graph and name.
        graphs: which graph the operations of a graph of TensorFlow were added to, by its name.
    """

    def __init__(self, made: dict[tuple[str, str], Place]) -> None:
        self.made = made
        self.values: dict[tuple[str, str], Item] = {}
        self.graphs: dict[str, Graph] = {}
        self._unknown: dict[tuple[str, str], list[Any]] = {}

    def unknown(
        self, tensors: Sequence[Any], specs: Sequence[tuple[tuple[int, ...], str]]
    ) -> list[Any]:
        """Tensors of these shapes and dtypes that may depend on others in any way.

        Args:
            tensors: what they may depend on.
            specs: their shapes and dtypes.
        """
        made = [tf.compat.v1.placeholder(dtype, shape, "unknown") for shape, dtype in specs]
        for tensor in made:
            self._unknown[tensor.graph.name, tensor.op.name] = list(tensors)
        return made

    def origins(self, operation: Any) -> list[Any] | None:
        """On what a placeholder of `unknown` may depend; None for another operation."""
        return self._unknown.get((operation.graph.name, operation.name))

    def value(self, tensor: Any) -> Value:
        """The value of a tensor of one of the graphs.

        Raises:
            CannotTraceError: there is none.
        """
        if not is_symbolic(tensor):
            known = tf.convert_to_tensor(tensor)
            return constant(known.shape, known.dtype.name, known)
        found = self.values.get((tensor.graph.name, tensor.name))
        if isinstance(found, Value):
            return found
        raise CannotTraceError(f"the tensor {tensor.name} is none of those seen")

    def values_of(self, tree: Any) -> tuple[Value, ...]:
        """The values of all tensors in a nested structure that are known."""
        found = (
            self.values.get((tensor.graph.name, tensor.name))
            for tensor in tf.nest.flatten(tree)
            if tf.is_tensor(tensor) and is_symbolic(tensor)
        )
        return tuple(value for value in found if isinstance(value, Value))


def is_symbolic(tensor: Any) -> bool:
    """Whether a tensor is one of a graph, without numbers."""
    return bool(tf.is_symbolic_tensor(tensor))
