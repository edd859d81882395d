"""Flax Linen modules: bound to variables, in a pair with them, or to be initialized here."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from normscope.identify.adapters.base import (
    Adapter,
    Array,
    first_array,
    mode_argument,
    mode_keyword,
)
from normscope.identify.adapters.jax_arrays import leaves, to_numpy, with_leaf
from normscope.identify.adapters.jax_caller import Caller


class LinenAdapter(Adapter):
    """A module of Flax Linen and its variables, of which the collection `params` is learned."""

    def __init__(
        self, layer: Any, shape: tuple[int, ...], others: tuple[Any, ...], inputs: dict[str, Any]
    ) -> None:
        self.others = others
        self.inputs = inputs
        self.module, self.variables = _taken_apart(layer)
        keyword = mode_keyword(type(self.module).__call__)
        # a mode that is fixed when the module is made cannot be given again
        fixed = keyword is None or getattr(self.module, keyword, None) is not None
        self.keyword = None if fixed else keyword
        modes = (True, False) if self.keyword else (False,)
        name = type(self.module).__name__
        if self.keyword is None and getattr(self.module, "use_running_average", None) is False:
            modes = (True,)
        super().__init__(f"flax.linen.{name}", np.dtype(np.float32), modes)
        self.calls = 0
        self._caller = Caller()
        if self.variables is None:
            keys = {kind: jax.random.key(0) for kind in ("params", "dropout")}
            self.variables = self.module.init(
                keys, jnp.zeros(shape), *others, **inputs, **mode_argument(self.keyword, False)
            )
        self.learned = frozenset(n for n in leaves(self.variables) if n.startswith("['params']"))

    def call(self, x: Array, training: bool) -> Array:
        """The output for one input."""
        return self._caller(lambda: self._output(x, training))

    def _output(self, x: Array, training: bool) -> Array:
        assert self.variables is not None
        self.calls += 1
        output, changed = self.module.apply(
            self.variables,
            jnp.asarray(x),
            *self.others,
            **self.inputs,
            **mode_argument(self.keyword, training),
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


def _taken_apart(layer: Any) -> tuple[Any, Any]:
    if type(layer) in (tuple, list):
        return layer[0], dict(layer[1])
    if layer.scope is not None:
        module, variables = layer.unbind()
        return module, dict(variables)
    return layer, None
