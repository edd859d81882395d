"""What models of the libraries on JAX have in common: arrays of JAX, calls, trees of values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import jax
import jax.numpy as jnp

from normscope.frameworks.inputs import Inputs
from normscope.frameworks.jax.caller import Caller
from normscope.frameworks.jax.draws import Draws
from normscope.frameworks.jax.trees import leaves, with_leaf
from normscope.frameworks.live import Live
from normscope.frameworks.state import State
from normscope.frameworks.trees import Array
from normscope.graph.operators import Call, Graph


class JaxLive(Live):
    """A model that takes arrays of JAX."""

    def __init__(
        self,
        title: str,
        kind: str,
        function: Callable[..., Any] | None = None,
        *,
        model_title: str = "",
    ) -> None:
        super().__init__(title, kind, function, model_title=model_title)
        self._caller = Caller()

    def leaf(self, original: Any, value: Array) -> Any:
        """New values as an array of JAX."""
        return jnp.asarray(super().leaf(original, value))

    def tensor(self, x: Array) -> Any:
        """Numbers as an array of JAX."""
        return jnp.asarray(super().tensor(x))

    def repeated(self, call: Callable[[], Array]) -> Array:
        """Make a call that is made often; it shall not be compiled each time."""
        return self._caller(call)


class TreeLive(JaxLive):
    """A model whose arrays stand in one tree of values, which are replaced and never written to.

    Attributes:
        tree: parameters under `params`, and state.
        draws: numbers for the keys of random generators.
    """

    tree: Any
    draws: Draws

    def remember_tree(self, tree: Any, *states: State) -> None:
        """This tree is what is put back later."""
        self.tree = self._found = tree
        self.draws = Draws()
        self.learned = frozenset(name for name in leaves(tree) if name.startswith("['params']"))
        self.remember(self.draws, *states)

    def arrays(self) -> dict[str, Array]:
        """Parameters and state by name."""
        return leaves(self.tree)

    def write(self, name: str, value: Array) -> None:
        """Replace one array."""
        self.tree = with_leaf(self.tree, name, value)

    def put_back(self, stream: int | None = 0) -> None:
        """Everything as it was found, with the random numbers of a stream."""
        super().put_back(stream)
        self.tree = self._found

    # --- what happens inside --------------------------------------------------------------------

    def trace(self, given: Inputs, training: bool) -> Graph:
        """The operator graph of one call in a mode, found without computing it."""
        from normscope.frameworks.jax.trace import passed, prototypes, traced

        found, structure = jax.tree_util.tree_flatten_with_path(self.tree)
        names = [self.array_name(path) if self.is_held(leaf) else "" for path, leaf in found]

        def run(held: dict[str, Any], arrays: Sequence[Any]) -> Any:
            leaves = [
                held[name] if name else leaf for name, (_, leaf) in zip(names, found, strict=True)
            ]
            self.tree = jax.tree_util.tree_unflatten(structure, leaves)
            arguments, named = passed(given, arrays)
            with self.marking():
                return self.call(arguments, named, training)

        held = {name: leaf for name, (_, leaf) in zip(names, found, strict=True) if name}
        model = Call("", self.kind, layer=self.model)
        try:
            return traced(run, held, prototypes(given, self.leaf), model)
        finally:
            self.put_back()

    @property
    def model(self) -> Any:
        """The layer itself."""
        return None

    def array_name(self, path: tuple[Any, ...]) -> str:
        """The name of an array as the user of the library knows it, by where it is in the tree."""
        return "/".join(str(getattr(key, "key", getattr(key, "name", key))) for key in path)

    def is_held(self, leaf: Any) -> bool:
        """Whether a leaf of the tree is an array with which the model computes."""
        return hasattr(leaf, "dtype") and hasattr(leaf, "shape")

    def marking(self) -> AbstractContextManager[None]:
        """Within, the calls of the layers inside are marked."""
        return nullcontext()
