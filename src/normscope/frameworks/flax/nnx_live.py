"""Flax NNX modules. A copy is examined, so the module itself is never touched."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax.numpy as jnp
from flax import nnx

from normscope.errors import NormscopeError
from normscope.frameworks.arrays import to_numpy
from normscope.frameworks.flax.nnx_state import NnxState
from normscope.frameworks.inputs import Inputs
from normscope.frameworks.jax.classes import replaced_calls
from normscope.frameworks.jax.live import JaxLive
from normscope.frameworks.jax.trees import is_number
from normscope.frameworks.live import FirstCall
from normscope.frameworks.mode_telling import (
    Telling,
    first_that_works,
    mode_keyword,
    ways_to_tell,
)
from normscope.frameworks.recorder import Recorder
from normscope.frameworks.trees import Array
from normscope.graph.operators import Graph


class NnxLive(JaxLive):
    """A module of Flax NNX, told its mode by `train()` and `eval()`."""

    def __init__(self, module: Any, first: FirstCall) -> None:
        self.module = nnx.clone(module)
        kind = type(module).__name__
        home = type(module).__module__.partition(".")[0]
        super().__init__(
            f"flax.nnx.{kind}", kind, self.module.__call__, model_title=f"{home}.{kind}"
        )
        self.modes = (True, False)
        arguments, named = first(self)
        try:
            self.telling, notes = told(module, arguments, named)
            self.notes += notes
        except NormscopeError:
            raise
        except Exception as error:  # a module may refuse its input by any exception
            self.telling, self.problem = Telling(mode_keyword(type(module).__call__)), error
        self._variables = {
            ".".join(map(str, path)): node
            for path, node in nnx.iter_graph(self.module)
            if isinstance(node, nnx.Variable) and is_number(node.get_value())
        }
        self.learned = frozenset(
            name for name, node in self._variables.items() if isinstance(node, nnx.Param)
        )
        self._parts = {
            ".".join(map(str, path)): part for path, part in nnx.iter_modules(self.module) if path
        }
        self.remember(NnxState(self.module))

    def call(self, arguments: tuple[Any, ...], named: dict[str, Any], training: bool) -> Any:
        """One call in a mode, also where the first one failed: the other mode may do."""
        self._set_mode(training)
        arguments, named = self.telling.arguments(arguments, named, training)
        return self.module(*arguments, **named)

    def _set_mode(self, training: bool) -> None:
        if training:
            self.module.train()
        else:
            self.module.eval()

    def arrays(self) -> dict[str, Array]:
        """Parameters and state by name."""
        return {name: to_numpy(node.get_value()) for name, node in self._variables.items()}

    def write(self, name: str, value: Array) -> None:
        """Replace one array."""
        node = self._variables[name]
        node.set_value(jnp.asarray(value, dtype=node.get_value().dtype))

    def layers(self) -> dict[str, Any]:
        """All modules inside that can be called."""
        return {path: part for path, part in self._parts.items() if callable(part)}

    @contextmanager
    def watched(self, recorder: Recorder) -> Iterator[None]:
        """The `__call__` of each class in the model, replaced."""
        paths = {id(part): path for path, part in self._parts.items()}

        def reporting(original: Callable[..., Any]) -> Callable[..., Any]:
            return _reporting(original, paths, recorder)

        with replaced_calls(map(type, self._parts.values()), reporting):
            yield

    def trace(self, given: Inputs, training: bool) -> Graph:
        """The operator graph of one call in a mode, found without computing it."""
        from normscope.frameworks.flax.nnx_trace import traced_module

        self._set_mode(training)

        def call(module: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
            arguments, named = self.telling.arguments(arguments, named, training)
            return module(*arguments, **named)

        return traced_module(self.module, call, given, self.leaf)


def _reporting(
    original: Callable[..., Any], paths: dict[int, str], recorder: Recorder
) -> Callable[..., Any]:
    def call(module: Any, *arguments: Any, **named: Any) -> Any:
        path = paths.get(id(module))
        if path is None:  # of another model
            return original(module, *arguments, **named)
        recorder.enter(path, type(module).__name__, (arguments, named))
        output = original(module, *arguments, **named)
        recorder.leave(output)
        return output

    return call


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
