"""Haiku: a transformed function, with its parameters and state or to be initialized here."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import jax

from normscope.errors import NormscopeError
from normscope.frameworks.jax.live import TreeLive
from normscope.frameworks.live import Arguments, FirstCall
from normscope.frameworks.mode_telling import MODE_KEYWORDS, mode_argument

_USUAL = ("is_training",)


class HaikuLive(TreeLive):
    """`hk.transform(f)` or `hk.transform_with_state(f)`; f may take a keyword of the mode."""

    def __init__(self, model: Any, first: FirstCall) -> None:
        transformed, *given = model if type(model) in (tuple, list) else (model,)
        super().__init__("haiku transform", type(transformed).__name__)
        self.opaque = (
            "as it runs, the modules inside a transformed function of Haiku are not watched"
        )
        self._transformed = transformed
        self._stateful = type(transformed).__name__ == "TransformedWithState"
        self._was_given_parameters = bool(given)
        self._keyword: str | None = None
        params: Any = {}
        state: Any = {}
        arguments = first(self)
        try:
            self._keyword, made = self._initialized(arguments)
            params, state = made if self._stateful else (made, {})
        except NormscopeError:
            raise
        except Exception as error:  # a function may refuse its input by any exception
            self.problem = error
        self.modes = (True, False) if self._keyword else (False,)
        self.remember_tree(
            {
                "params": given[0] if given else params,
                "state": given[1] if len(given) > 1 else state,
            }
        )

    def unfit(self) -> str:
        """Parameters that were made here are not those of the model."""
        if self._was_given_parameters:
            return ""
        state = ", state" if self._stateful else ""
        return f"the transformed function has no parameters; give (transformed, params{state})"

    def _initialized(self, first: Arguments) -> tuple[str | None, Any]:
        """The keyword that the function takes, found by trying, and its initial values."""
        arguments, named = first
        key = jax.random.PRNGKey(0)

        def init(**told: bool) -> Any:
            def initialized() -> Any:
                return self._transformed.init(key, *arguments, **named, **told)

            # where there are parameters, nothing has to be computed
            return jax.eval_shape(initialized) if self._was_given_parameters else initialized()

        for keyword in (*_USUAL, *MODE_KEYWORDS):
            if keyword in named:
                continue
            told = mode_argument(keyword, training=True)
            try:
                return keyword, init(**told)
            except TypeError:
                continue
        return None, init()

    def call(self, arguments: tuple[Any, ...], named: dict[str, Any], training: bool) -> Any:
        """One call in a mode."""
        if self.problem is not None:
            raise self.problem
        key = jax.random.PRNGKey(self.draws.next())
        named = {**named, **mode_argument(self._keyword, training)}
        params, state = self.tree["params"], self.tree["state"]
        if not self._stateful:
            return self._transformed.apply(params, key, *arguments, **named)
        output, state = self._transformed.apply(params, state, key, *arguments, **named)
        self.tree = {"params": params, "state": state}
        return output

    # --- what happens inside --------------------------------------------------------------------

    def array_name(self, path: tuple[Any, ...]) -> str:
        """The module and the name in it: "linear/w"."""
        return super().array_name(path[1:])

    def marking(self) -> AbstractContextManager[None]:
        """An interceptor, which marks the calls of the modules inside."""
        from normscope.frameworks.haiku.trace import marking

        return marking()
