"""Modules of Flax Linen: bound to variables, or in a pair with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen

from normscope.errors import SpecError
from normscope.frameworks.flax.linen_layer import told
from normscope.frameworks.layer import Array
from normscope.frameworks.model import Model
from normscope.frameworks.steps import Recorder
from normscope.frameworks.telling import Telling


class LinenModel(Model):
    """A module and its variables; as these are values, nothing has to be put back."""

    def __init__(self, model: Any, given: Any) -> None:
        module, variables = model if type(model) in (tuple, list) else _unbound(model)
        self.module, self.stream = module, 0
        super().__init__("", "", (), [], module.__call__)
        arguments, named = self.inputs(given).arguments(self.leaf)
        problem: Exception | None = None
        try:
            self.telling, self.variables, notes = told(module, dict(variables), arguments, named)
        except Exception as error:  # which is evidence too, once it is called
            self.telling, self.variables, notes, problem = Telling(), {}, [], error
        self._problem = problem
        super().__init__(
            type(module).__name__,
            type(module).__name__,
            (True, False) if self.telling.name else (False,),
            [],
            module.__call__,
        )
        self.notes += notes

    def leaf(self, original: Any, value: Array) -> Any:
        """New values as an array of JAX."""
        return jnp.asarray(super().leaf(original, value))

    def put_back(self, stream: int | None = 0) -> None:
        """The keys that the next call is given for its random numbers."""
        super().put_back(stream)
        self.stream = self.stream + 1 if stream is None else stream

    def call(self, arguments: tuple[Any, ...], named: dict[str, Any], training: bool) -> Any:
        """One call in a mode."""
        if self._problem is not None:
            raise self._problem
        arguments, named = self.telling.arguments(arguments, named, training)
        output, _ = self.telling.module(self.module, training).apply(
            self.variables,
            *arguments,
            **named,
            mutable=[name for name in self.variables if name != "params"],
            rngs={"dropout": jax.random.key(self.stream)},
        )
        return output

    @contextmanager
    def watched(self, recorder: Recorder) -> Iterator[None]:
        """What Linen offers for it: each method call of a module passes an interceptor."""

        def report(method: Any, arguments: Any, named: Any, context: Any) -> Any:
            path = ".".join(context.module.path)
            if context.method_name != "__call__" or not path:
                return method(*arguments, **named)
            recorder.enter(path, type(context.module).__name__, (arguments, named))
            output = method(*arguments, **named)
            recorder.leave(output)
            return output

        with linen.intercept_methods(report):
            yield


def _unbound(module: Any) -> tuple[Any, Any]:
    if module.scope is None:
        raise SpecError(
            f"the module {type(module).__name__} has no variables; give a pair (module, variables)"
        )
    apart: tuple[Any, Any] = module.unbind()
    return apart
