"""Any callable. What a function holds, as `lambda x: net(x)[0]` holds a model, is put back too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from normscope.frameworks.function.state import FunctionState
from normscope.frameworks.layer import mode_argument, mode_keyword
from normscope.frameworks.model import Model
from normscope.frameworks.registry import framework
from normscope.frameworks.steps import Recorder
from normscope.wording import function_title


class FunctionModel(Model):
    """A function or callable object; if it takes a keyword such as `training`, it has two modes."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.keyword = mode_keyword(function)
        state = FunctionState(function)
        super().__init__(
            function_title(function),
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
        from normscope.frameworks.torch.model import hooked

        with hooked(self.modules, recorder):
            yield
