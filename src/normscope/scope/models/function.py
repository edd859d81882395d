"""Any callable. What a function holds, as `lambda x: net(x)[0]` holds a model, is put back too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from normscope.identify.adapters.base import mode_argument, mode_keyword
from normscope.identify.adapters.function_state import FunctionState
from normscope.identify.adapters.homes import framework
from normscope.scope.models.base import Model
from normscope.scope.steps import Recorder


class FunctionModel(Model):
    """A function or callable object; if it takes a keyword such as `training`, it has two modes."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.keyword = mode_keyword(function)
        name = getattr(function, "__qualname__", type(function).__qualname__)
        title = name.rpartition("<locals>.")[2]
        state = FunctionState(function)
        super().__init__(
            "the function" if title == "<lambda>" else title,
            "function",
            (True, False) if self.keyword else (False,),
            [state],
            function,
        )
        self.modules = {
            f"{name}.{path}" if path else name: module
            for name, part in state.held.items()
            if type(part) not in (list, tuple) and framework(part) == "torch"
            for path, module in part.named_modules()
        }
        if not self.modules:
            self.opaque = "nothing is seen inside a function that holds no torch module"

    def call(self, arguments: tuple[Any, ...], named: dict[str, Any], training: bool) -> Any:
        """One call in a mode."""
        return self.function(*arguments, **named, **mode_argument(self.keyword, training))

    @contextmanager
    def watched(self, recorder: Recorder) -> Iterator[None]:
        """Hooks on the modules that the function holds."""
        if not self.modules:
            yield
            return
        from normscope.scope.models.torch import hooked

        with hooked(self.modules, recorder):
            yield
