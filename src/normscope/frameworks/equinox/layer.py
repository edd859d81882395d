"""Equinox modules: trees of arrays, called for one example and mapped over the others."""

from __future__ import annotations

import inspect
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from normscope.frameworks.jax.arrays import leaves, to_numpy, with_leaf
from normscope.frameworks.jax.caller import Caller
from normscope.frameworks.layer import (
    Adapter,
    Array,
    class_title,
    first_array,
    mode_argument,
    mode_keyword,
)
from normscope.wording import counted


class EquinoxAdapter(Adapter):
    """A module of Equinox, or a pair of a module and its `State`."""

    def __init__(
        self, layer: Any, shape: tuple[int, ...], others: tuple[Any, ...], inputs: dict[str, Any]
    ) -> None:
        self.others = others
        self.inputs = inputs
        module, *given = layer if type(layer) in (tuple, list) else (layer,)
        self.axis_names = _attributes(module, "axis_name")
        self.stateful = bool(given)
        self.tree = {"params": module, "state": given[0] if given else None}
        self.switched = bool(_attributes(module, "inference"))  # or in a module inside
        keyword = mode_keyword(type(module).__call__)
        known = hasattr(module, keyword or "") or keyword in inputs
        self.keyword = None if known else keyword
        modes = (True, False) if self.switched or self.keyword else (False,)
        super().__init__(class_title(module), np.dtype(np.float32), modes)
        self.learned = frozenset(n for n in leaves(self.tree) if n.startswith("['params']"))
        self.takes_key = "key" in inspect.signature(type(module).__call__).parameters
        self.calls = 0
        self._caller = Caller()
        self.mapped = 1 if self.stateful else self._axes_to_map(shape)
        if self.mapped:
            self.notes.append(
                "the module takes one example, so it was mapped over the first "
                + counted(self.mapped, "axis")
            )

    def _axes_to_map(self, shape: tuple[int, ...]) -> int:
        """How many leading axes the module does not take itself, found by trying."""
        problem: Exception | None = None
        # some modules take a batch for an example without noticing, so that is tried last
        counts: list[int] = [*range(1, len(shape)), 0]
        for count in counts:
            try:
                self._called(jnp.zeros(shape), False, count)
            except Exception as error:  # a module may refuse a shape by any exception
                problem = problem or error
                continue
            return count
        assert problem is not None
        raise problem

    def _called(self, x: Any, training: bool, mapped: int) -> Any:
        module, state = self.tree["params"], self.tree["state"]
        named = dict(self.inputs)
        if self.takes_key:
            self.calls += 1
            named.setdefault("key", jax.random.PRNGKey(self.calls))
        named |= mode_argument(self.keyword, training)
        if self.switched:
            module = eqx.nn.inference_mode(module, not training)
        if self.stateful:
            mapped_call = jax.vmap(
                lambda one, kept: module(one, kept, *self.others, **named),
                axis_name=self.axis_names[0] if self.axis_names else None,
                in_axes=(0, None),
                out_axes=(0, None),
            )
            output, self.tree["state"] = mapped_call(x, state)  # type: ignore[no-untyped-call]
            return output

        def call(one: Any) -> Any:
            return module(one, *self.others, **named)

        for _ in range(mapped):
            call = jax.vmap(call)
        return call(x)

    def call(self, x: Array, training: bool) -> Array:
        """The output for one input."""
        return self._caller(lambda: self._output(x, training))

    def _output(self, x: Array, training: bool) -> Array:
        return to_numpy(first_array(self._called(jnp.asarray(x), training, self.mapped)))

    def arrays(self) -> dict[str, Array]:
        """Parameters and state by name."""
        return leaves(self.tree)

    def write(self, name: str, value: Array) -> None:
        """Replace one array."""
        self.tree = with_leaf(self.tree, name, value)


def _attributes(module: Any, name: str) -> list[Any]:
    """The values of an attribute of the module and of all modules inside, each once."""
    found: dict[Any, None] = {}

    def look(node: Any) -> bool:
        if isinstance(node, eqx.Module) and hasattr(node, name):
            found.setdefault(getattr(node, name))
        return False

    jax.tree_util.tree_flatten(module, is_leaf=look)
    return list(found)
