"""Equinox modules: trees of arrays, called for one example and mapped over the others."""

from __future__ import annotations

import inspect
from contextlib import AbstractContextManager
from typing import Any

import equinox as eqx
import jax

from normscope.errors import SpecError
from normscope.frameworks.function.state import FunctionState
from normscope.frameworks.inputs import Inputs
from normscope.frameworks.jax.live import TreeLive
from normscope.frameworks.layer_class import class_title
from normscope.frameworks.live import FirstCall
from normscope.frameworks.mode_telling import mode_argument, mode_keyword
from normscope.wording import counted, function_title, listed


class EquinoxLive(TreeLive):
    """A module of Equinox, or a pair of a module and its `State`.

    A pair is mapped over the examples, as Equinox has it; a module alone is called with its input
    as it is, unless `take_batch` finds that it has to be mapped.
    """

    def __init__(self, model: Any, first: FirstCall) -> None:
        module, *given = model if type(model) in (tuple, list) else (model,)
        super().__init__(
            class_title(module), type(module).__name__, module, model_title=function_title(module)
        )
        self.opaque = "as it runs, the modules inside a module of Equinox are not watched"
        self._axis_names = _attributes(module, "axis_name")
        self._stateful = bool(given)
        self._switched = bool(_attributes(module, "inference"))  # or in a module inside
        keyword = mode_keyword(type(module).__call__)
        known = hasattr(module, keyword or "") or keyword in first(self)[1]
        self._keyword = None if known else keyword
        self.modes = (True, False) if self._switched or self._keyword else (False,)
        self._takes_key = "key" in inspect.signature(type(module).__call__).parameters
        self._mapped = 1 if self._stateful else 0
        self._note_mapping()
        tree = {"params": module, "state": given[0] if given else None}
        self.remember_tree(tree, FunctionState(module))

    def _note_mapping(self) -> None:
        if self._mapped:
            axes = counted(self._mapped, "axis")
            self.notes.append(
                f"the module takes one example, so it was mapped over the first {axes}"
            )

    def inputs(self, given: Any) -> Inputs:
        """The inputs; a module with a state is mapped over one of them."""
        found = super().inputs(given)
        if self._stateful and len(found.arrays) > 1:
            raise SpecError(
                f"a module of Equinox with a state is mapped over one input, and "
                f"{listed(found.names)} came; give a function of all that maps it itself"
            )
        return found

    def take_batch(self, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        """Find out by trying how many leading axes the module does not take itself."""
        if self._stateful:
            return
        # some modules take a batch for an example without noticing, so that is tried last
        for count in [*range(1, arguments[0].ndim), 0]:
            self._mapped = count
            try:
                self.call(arguments, named, training=False)
            except Exception as error:  # a module may refuse a shape by any exception
                self.problem = self.problem or error
                continue
            self.problem = None
            break
        self._note_mapping()

    def call(self, arguments: tuple[Any, ...], named: dict[str, Any], training: bool) -> Any:
        """One call in a mode, mapped over leading axes of the first argument."""
        module, state = self.tree["params"], self.tree["state"]
        named = {**named, **mode_argument(self._keyword, training)}
        if self._takes_key:
            named.setdefault("key", jax.random.PRNGKey(self.draws.next()))
        if self._switched:
            module = eqx.nn.inference_mode(module, not training)
        if not self._mapped:
            return module(*arguments, **named)
        x, *others = arguments
        if self._stateful:
            mapped_call = jax.vmap(
                lambda one, kept: module(one, kept, *others, **named),
                axis_name=self._axis_names[0] if self._axis_names else None,
                in_axes=(0, None),
                out_axes=(0, None),
            )
            output, state = mapped_call(x, state)  # type: ignore[no-untyped-call]
            self.tree = {**self.tree, "state": state}
            return output

        def call(one: Any) -> Any:
            return module(one, *others, **named)

        for _ in range(self._mapped):
            call = jax.vmap(call)
        return call(x)

    # --- what happens inside --------------------------------------------------------------------

    @property
    def model(self) -> Any:
        """The module, as it was given."""
        return self._found["params"]

    def array_name(self, path: tuple[Any, ...]) -> str:
        """The path from the module: "layers[0].weight"; of its `State`, by number."""
        inside: str = jax.tree_util.keystr(path[1:]).removeprefix(".")
        return inside if path[0].key == "params" else f"state{jax.tree_util.keystr(path[1:])}"

    def is_held(self, leaf: Any) -> bool:
        """Arrays of JAX; arrays of NumPy are settings, as Equinox has it."""
        return isinstance(leaf, jax.Array)

    def marking(self) -> AbstractContextManager[None]:
        """The `__call__` of each class of modules in the model, replaced."""
        from normscope.frameworks.equinox.trace import marking

        return marking({"": self.model})


def _attributes(module: Any, name: str) -> list[Any]:
    """The values of an attribute of the module and of all modules inside, each once."""
    found: dict[Any, None] = {}

    def look(node: Any) -> bool:
        if isinstance(node, eqx.Module) and hasattr(node, name):
            found.setdefault(getattr(node, name))
        return False

    jax.tree_util.tree_flatten(module, is_leaf=look)
    return list(found)
