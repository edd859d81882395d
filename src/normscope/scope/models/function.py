"""Any callable. What a function holds, as `lambda x: net(x)[0]` holds a model, is put back too."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from normscope.identify.adapters.attributes import Attributes
from normscope.identify.adapters.base import mode_argument, mode_keyword
from normscope.identify.adapters.choose import framework
from normscope.scope.models.base import Model, State
from normscope.scope.models.held import held_by
from normscope.scope.steps import Recorder
from normscope.wording import function_title


class FunctionModel(Model):
    """A function or callable object; if it takes a keyword such as `training`, it has two modes."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.keyword = mode_keyword(function)
        held = held_by(function)
        super().__init__(
            function_title(function),
            "function",
            (True, False) if self.keyword else (False,),
            [_Plain(held), *(s for part in held.values() if (s := _state(part)) is not None)],
            function,
        )
        self.modules = {
            f"{name}.{path}" if path else name: module
            for name, part in held.items()
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


def _state(part: Any) -> State | None:
    match None if type(part) in (list, tuple) else framework(part):
        case "torch":
            from normscope.identify.adapters.torch_state import TorchState

            return TorchState(part)
        case "keras":
            from normscope.identify.adapters.keras_state import KerasState

            return KerasState(part) if part.built else None
        case "nnx":
            from normscope.identify.adapters.nnx_state import NnxState

            return NnxState(part)
        case _:
            return _Generator(part) if isinstance(part, np.random.Generator) else None


class _Plain:
    """What Python itself holds: lists, dicts and arrays, and the attributes of plain objects."""

    def __init__(self, held: dict[str, Any]) -> None:
        owners = [part for part in held.values() if _is_plain(part)]
        self._attributes = Attributes([types.SimpleNamespace(**held), *owners])

    def put_back(self, stream: int | None = 0) -> None:
        """Give everything its values back."""
        self._attributes.put_back()


class _Generator:
    """A random generator of NumPy."""

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator, self._found = generator, generator.bit_generator.state

    def put_back(self, stream: int | None = 0) -> None:
        """Let it draw again what it drew; or, in another stream, what comes later."""
        if stream is not None:
            self._generator.bit_generator.state = self._found
        if stream:
            self._generator.random(stream * 65536)


def _is_plain(part: Any) -> bool:
    """Whether an object has attributes that are its memory, and no framework cares for them."""
    code = types.ModuleType | types.FunctionType | types.MethodType | type
    return hasattr(part, "__dict__") and not isinstance(part, code) and framework(part) is None
