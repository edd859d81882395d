"""Flax Linen modules: bound to variables, in a pair with them, or to be initialized here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import jax
from flax import linen

from normscope.errors import NormscopeError
from normscope.frameworks.jax.live import TreeLive
from normscope.frameworks.live import FirstCall
from normscope.frameworks.mode_telling import (
    Telling,
    first_that_works,
    mode_keyword,
    ways_to_tell,
)
from normscope.frameworks.recorder import Recorder


class LinenLive(TreeLive):
    """A module of Flax Linen and its variables, of which the collection `params` is learned."""

    def __init__(self, model: Any, first: FirstCall) -> None:
        self.module, variables = _taken_apart(model)
        kind = type(self.module).__name__
        super().__init__(f"flax.linen.{kind}", kind, self.module.__call__, model_title=kind)
        self._was_given_variables = variables is not None
        arguments, named = first(self)
        self.telling = Telling()
        try:
            self.telling, variables, notes = told(self.module, variables, arguments, named)
            self.notes += notes
        except NormscopeError:
            raise
        except Exception as error:  # a module may refuse its input by any exception
            self.problem = error
        if self.telling.name:
            self.modes = (True, False)
        elif getattr(self.module, "use_running_average", None) is False:
            self.modes = (True,)
        self.remember_tree(variables or {})

    def unfit(self) -> str:
        """Variables that were made here are not those of the model."""
        if self._was_given_variables:
            return ""
        return f"the module {self.kind} has no variables; give a pair (module, variables)"

    def call(self, arguments: tuple[Any, ...], named: dict[str, Any], training: bool) -> Any:
        """One call in a mode."""
        if self.problem is not None:
            raise self.problem
        arguments, named = self.telling.arguments(arguments, named, training)
        output, changed = self.telling.module(self.module, training).apply(
            self.tree,
            *arguments,
            **named,
            mutable=[name for name in self.tree if name != "params"],
            rngs={"dropout": jax.random.key(self.draws.next())},
        )
        self.tree = {**self.tree, **changed}
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

    @property
    def model(self) -> Any:
        """The module, without its variables."""
        return self.module

    def marking(self) -> AbstractContextManager[None]:
        """An interceptor, which marks the calls of the modules inside."""
        from normscope.frameworks.flax.linen_trace import marking

        return marking()


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

        def apply() -> Any:
            return asked.apply(variables, *given, **by_name, mutable=mutable, rngs=keys)

        try:
            jax.eval_shape(apply)  # computes nothing
        except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError):
            apply()
        return variables

    return first_that_works(ways, attempt)


def _taken_apart(layer: Any) -> tuple[Any, dict[str, Any] | None]:
    if type(layer) in (tuple, list):
        return layer[0], dict(layer[1])
    if layer.scope is not None:
        module, variables = layer.unbind()
        return module, dict(variables)
    return layer, None
