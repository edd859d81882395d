"""Flax NNX modules. A copy is examined, so the module itself is never touched."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from normscope.identify.adapters.base import (
    Adapter,
    Array,
    first_array,
    mode_argument,
    mode_keyword,
)
from normscope.identify.adapters.jax_arrays import is_number, to_numpy
from normscope.identify.adapters.jax_caller import Caller


class NnxAdapter(Adapter):
    """A module of Flax NNX, told its mode by `train()` and `eval()`."""

    def __init__(self, module: Any, others: tuple[Any, ...], inputs: dict[str, Any]) -> None:
        self.others = others
        self.inputs = inputs
        self.module = nnx.clone(module)
        self.keyword = mode_keyword(type(module).__call__)
        if self.keyword is not None and hasattr(module, self.keyword):
            self.keyword = None  # train() and eval() set it
        super().__init__(f"flax.nnx.{type(module).__name__}", np.dtype(np.float32), (True, False))
        self._caller = Caller()
        self.variables = {
            ".".join(map(str, path)): node
            for path, node in nnx.iter_graph(self.module)
            if isinstance(node, nnx.Variable) and is_number(node.get_value())
        }
        self.learned = frozenset(
            name for name, node in self.variables.items() if isinstance(node, nnx.Param)
        )

    def call(self, x: Array, training: bool) -> Array:
        """The output for one input."""
        if training:
            self.module.train()
        else:
            self.module.eval()
        arguments = {**self.inputs, **mode_argument(self.keyword, training)}

        def called() -> Array:
            return to_numpy(first_array(self.module(jnp.asarray(x), *self.others, **arguments)))

        return self._caller(called)

    def arrays(self) -> dict[str, Array]:
        """Parameters and state by name."""
        return {name: to_numpy(node.get_value()) for name, node in self.variables.items()}

    def write(self, name: str, value: Array) -> None:
        """Replace one array."""
        node = self.variables[name]
        node.set_value(jnp.asarray(value, dtype=node.get_value().dtype))
