"""Flax NNX modules. A copy is examined, so the module itself is never touched."""

from __future__ import annotations

import inspect
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from normscope.frameworks.jax.arrays import is_number, to_numpy
from normscope.frameworks.jax.caller import Caller
from normscope.frameworks.layer import Adapter, Array, first_array, mode_keyword
from normscope.frameworks.telling import Telling, first_that_works, ways_to_tell


class NnxAdapter(Adapter):
    """A module of Flax NNX, told its mode by `train()` and `eval()`."""

    def __init__(
        self, module: Any, shape: tuple[int, ...], others: tuple[Any, ...], inputs: dict[str, Any]
    ) -> None:
        self.others = others
        self.inputs = inputs
        self.module = nnx.clone(module)
        self.telling, notes = told(module, (jnp.zeros(shape), *others), inputs)
        super().__init__(f"flax.nnx.{type(module).__name__}", np.dtype(np.float32), (True, False))
        self._caller = Caller()
        self.notes += notes
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
        arguments, named = self.telling.arguments(
            (jnp.asarray(x), *self.others), self.inputs, training
        )

        def called() -> Array:
            return to_numpy(first_array(self.module(*arguments, **named)))

        return self._caller(called)

    def arrays(self) -> dict[str, Array]:
        """Parameters and state by name."""
        return {name: to_numpy(node.get_value()) for name, node in self.variables.items()}

    def write(self, name: str, value: Array) -> None:
        """Replace one array."""
        node = self.variables[name]
        node.set_value(jnp.asarray(value, dtype=node.get_value().dtype))


def told(
    module: Any, arguments: tuple[Any, ...], named: dict[str, Any]
) -> tuple[Telling, list[str]]:
    """How a module is told its mode, besides `train()` and `eval()`; tried on a copy of it."""
    name = mode_keyword(type(module).__call__)
    # train() and eval() set what is an attribute too, unless it is asked for all the same
    if name is None or (name in vars(module) and not _required(type(module).__call__, name)):
        return Telling(), []
    ways = ways_to_tell(type(module).__call__, len(arguments), named)

    def attempt(way: Telling) -> None:
        copy = nnx.clone(module)
        copy.eval()
        given, by_name = way.arguments(arguments, named, training=False)
        copy(*given, **by_name)

    telling, _, notes = first_that_works(ways, attempt)
    return telling, notes


def _required(call: Any, name: str) -> bool:
    return inspect.signature(call).parameters[name].default is inspect.Parameter.empty
