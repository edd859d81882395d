"""Flax Linen modules: bound to variables, in a pair with them, or to be initialized here."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from normscope.frameworks.jax.arrays import leaves, to_numpy, with_leaf
from normscope.frameworks.jax.caller import Caller
from normscope.frameworks.layer import Adapter, Array, first_array, mode_keyword
from normscope.frameworks.telling import Telling, first_that_works, ways_to_tell


class LinenAdapter(Adapter):
    """A module of Flax Linen and its variables, of which the collection `params` is learned."""

    def __init__(
        self, layer: Any, shape: tuple[int, ...], others: tuple[Any, ...], inputs: dict[str, Any]
    ) -> None:
        self.others = others
        self.inputs = inputs
        self.module, self.variables = _taken_apart(layer)
        self.telling, self.variables, notes = told(
            self.module, self.variables, (jnp.zeros(shape), *others), inputs
        )
        modes = (True, False) if self.telling.name else (False,)
        name = type(self.module).__name__
        if not self.telling.name and getattr(self.module, "use_running_average", None) is False:
            modes = (True,)
        super().__init__(f"flax.linen.{name}", np.dtype(np.float32), modes)
        self.calls = 0
        self._caller = Caller()
        self.notes += notes
        self.learned = frozenset(n for n in leaves(self.variables) if n.startswith("['params']"))

    def call(self, x: Array, training: bool) -> Array:
        """The output for one input."""
        return self._caller(lambda: self._output(x, training))

    def _output(self, x: Array, training: bool) -> Array:
        assert self.variables is not None
        self.calls += 1
        arguments, named = self.telling.arguments(
            (jnp.asarray(x), *self.others), self.inputs, training
        )
        output, changed = self.telling.module(self.module, training).apply(
            self.variables,
            *arguments,
            **named,
            mutable=[name for name in self.variables if name != "params"],
            rngs={"dropout": jax.random.key(self.calls)},
        )
        self.variables = {**self.variables, **changed}
        return to_numpy(first_array(output))

    def arrays(self) -> dict[str, Array]:
        """Parameters and state by name."""
        return leaves(self.variables)

    def write(self, name: str, value: Array) -> None:
        """Replace one array."""
        self.variables = with_leaf(self.variables, name, value)


def told(
    module: Any, variables: dict[str, Any] | None, arguments: tuple[Any, ...], named: dict[str, Any]
) -> tuple[Telling, dict[str, Any], list[str]]:
    """How a module is told its mode, and its variables, which are made here if there are none."""
    name = mode_keyword(type(module).__call__)
    if name is not None and getattr(module, name, None) is not None:
        ways = [Telling()]  # a mode that is fixed when the module is made cannot be given again
    else:
        attribute = name is not None and hasattr(module, name)
        ways = ways_to_tell(type(module).__call__, len(arguments), named, attribute)
    keys = {kind: jax.random.key(0) for kind in ("params", "dropout")}

    def attempt(way: Telling) -> dict[str, Any]:
        given, by_name = way.arguments(arguments, named, training=False)
        asked = way.module(module, False)
        if variables is None:
            made: dict[str, Any] = asked.init(keys, *given, **by_name)
            return made
        mutable = [kind for kind in variables if kind != "params"]
        asked.apply(variables, *given, **by_name, mutable=mutable, rngs=keys)
        return variables

    return first_that_works(ways, attempt)


def _taken_apart(layer: Any) -> tuple[Any, Any]:
    if type(layer) in (tuple, list):
        return layer[0], dict(layer[1])
    if layer.scope is not None:
        module, variables = layer.unbind()
        return module, dict(variables)
    return layer, None
