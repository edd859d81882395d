"""Haiku: a transformed function, with its parameters and state or to be initialized here."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from normscope.frameworks.jax.arrays import leaves, to_numpy, with_leaf
from normscope.frameworks.jax.caller import Caller
from normscope.frameworks.layer import MODE_KEYWORDS, Adapter, Array, first_array, mode_argument

_LIKELY = ("is_training",)


class HaikuAdapter(Adapter):
    """`hk.transform(f)` or `hk.transform_with_state(f)`; f may take a keyword of the mode."""

    def __init__(
        self, layer: Any, shape: tuple[int, ...], others: tuple[Any, ...], inputs: dict[str, Any]
    ) -> None:
        self.others = others
        self.inputs = inputs
        transformed, *given = layer if type(layer) in (tuple, list) else (layer,)
        self.transformed = transformed
        self.stateful = type(transformed).__name__ == "TransformedWithState"
        zeros = jnp.zeros(shape)
        self.keyword, made = self._initialized(zeros)
        params, state = made if self.stateful else (made, {})
        self.tree = {
            "params": given[0] if given else params,
            "state": given[1] if len(given) > 1 else state,
        }
        modes = (True, False) if self.keyword else (False,)
        super().__init__("haiku transform", np.dtype(np.float32), modes)
        self.calls = 0
        self._caller = Caller()
        self.learned = frozenset(n for n in leaves(self.tree) if n.startswith("['params']"))

    def _initialized(self, zeros: Any) -> tuple[str | None, Any]:
        """The keyword that the function takes, found by trying, and its initial values."""
        key = jax.random.PRNGKey(0)
        for keyword in (*_LIKELY, *MODE_KEYWORDS):
            if keyword in self.inputs:
                continue
            told = mode_argument(keyword, training=True)
            try:
                return keyword, self.transformed.init(
                    key, zeros, *self.others, **self.inputs, **told
                )
            except TypeError:
                continue
        return None, self.transformed.init(key, zeros, *self.others, **self.inputs)

    def call(self, x: Array, training: bool) -> Array:
        """The output for one input."""
        return self._caller(lambda: self._output(x, training))

    def _output(self, x: Array, training: bool) -> Array:
        self.calls += 1
        key = jax.random.PRNGKey(self.calls)
        arguments = {**self.inputs, **mode_argument(self.keyword, training)}
        params, state = self.tree["params"], self.tree["state"]
        if not self.stateful:
            output = self.transformed.apply(params, key, jnp.asarray(x), *self.others, **arguments)
            return to_numpy(first_array(output))
        output, self.tree["state"] = self.transformed.apply(
            params, state, key, jnp.asarray(x), *self.others, **arguments
        )
        return to_numpy(first_array(output))

    def arrays(self) -> dict[str, Array]:
        """Parameters and state by name."""
        return leaves(self.tree)

    def write(self, name: str, value: Array) -> None:
        """Replace one array."""
        self.tree = with_leaf(self.tree, name, value)
