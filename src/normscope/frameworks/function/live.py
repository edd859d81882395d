"""Any callable. What it captures, as `lambda x: net(x)[0]` does a model, is put back too."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from normscope.frameworks.arrays import to_numpy
from normscope.frameworks.function.captured import captured_by
from normscope.frameworks.function.state import FunctionState
from normscope.frameworks.inputs import Inputs
from normscope.frameworks.live import FirstCall, Live
from normscope.frameworks.mode_telling import mode_argument, mode_keyword
from normscope.frameworks.recorder import Recorder
from normscope.frameworks.registry import is_of
from normscope.frameworks.trees import Array, first_array
from normscope.graph.operators import Graph
from normscope.wording import function_title


class FunctionLive(Live):
    """A function or callable object; if it takes a keyword such as `training`, it has two modes."""

    def __init__(self, function: Callable[..., Any], first: FirstCall) -> None:
        super().__init__(function_title(function), "function", function)
        self.function: Callable[..., Any] = function
        self._keyword = mode_keyword(function)
        if self._keyword is not None and self._keyword in first(self)[1]:
            self._keyword = None
        self.modes = (True, False) if self._keyword else (False,)
        self._state = FunctionState(function)
        self._settled = ExitStack()
        self._modules = {
            f"{name}.{path}" if path else name: module
            for name, part in self._state.captured.items()
            if type(part) not in (list, tuple) and is_of(part, "torch")
            for path, module in part.named_modules()
        }
        if not self._modules:
            self.opaque = (
                "as it runs, nothing is watched inside a function that holds no torch module"
            )
        self.remember(self._state)

    def use_dtype(self, dtype: np.dtype[Any]) -> None:
        """Give the function arrays of this dtype."""
        self.dtype, self.eps = dtype, float(np.finfo(dtype).eps)

    def call(self, arguments: tuple[Any, ...], named: dict[str, Any], training: bool) -> Any:
        """One call in a mode."""
        return self.function(*arguments, **named, **mode_argument(self._keyword, training))

    def answer(self, arguments: tuple[Any, ...], named: dict[str, Any], training: bool) -> Array:
        """The first array of the output for an array, or for a tensor of torch if it takes those.

        A function says that it wants tensors only by failing on an array.
        """
        x, *others = arguments
        try:
            output = self.call((x, *others), named, training)
        except (TypeError, AttributeError):
            torch = sys.modules.get("torch")
            if torch is None:
                raise
            with torch.no_grad():
                output = self.call((torch.from_numpy(x), *others), named, training)
        return to_numpy(first_array(output))

    @property
    def may_remember(self) -> bool:
        """Nothing that a function holds is an array by name."""
        return True

    def put_back_attributes(self) -> None:
        """What the function holds; its random generators go on."""
        self._state.put_back(stream=None)

    def settle(self) -> None:
        """What the function holds now is put back from here on, until the end."""
        self._state = FunctionState(self.function)
        self._settled.enter_context(self._state.kept())

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Whatever happens inside, what the function holds is afterwards as it was before."""
        with super().kept(), self._settled:
            yield

    @contextmanager
    def watched(self, recorder: Recorder) -> Iterator[None]:
        """Hooks on the modules of torch that the function holds."""
        if not self._modules:
            yield
            return
        from normscope.frameworks.torch.hooks import hooked

        with hooked(self._modules, recorder):
            yield

    def trace(self, given: Inputs, training: bool) -> Graph:
        """The operator graph of one call, where the function computes in PyTorch or JAX.

        Raises:
            CannotTraceError: it does not, or cannot be followed.
        """
        captured = captured_by(self.function).values  # as it is now
        if self._modules or self._is_given("torch", given):
            from normscope.frameworks.torch import functions as torch_functions

            return torch_functions.traced_function(self, given, training, captured, self._modules)
        if "jax" in sys.modules:
            from normscope.frameworks.jax import functions as jax_functions

            return jax_functions.traced_function(self, given, training, captured)
        return super().trace(given, training)

    def _is_given(self, package: str, given: Inputs) -> bool:
        """Whether an input is an array of a package."""
        found: list[bool] = []

        def note(original: Any, value: Array) -> Any:
            found.append(type(original).__module__.partition(".")[0] == package)
            return original

        given.arguments(note)
        return any(found)
