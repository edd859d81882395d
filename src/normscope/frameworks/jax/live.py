"""What models of the libraries on JAX have in common: arrays of JAX, calls, trees of values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from normscope.frameworks.jax.caller import Caller
from normscope.frameworks.jax.draws import Draws
from normscope.frameworks.jax.trees import leaves, with_leaf
from normscope.frameworks.live import Live
from normscope.frameworks.state import State
from normscope.frameworks.trees import Array


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
