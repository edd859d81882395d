"""Any function from an array to an array: NumPy's own, or one that takes a framework's arrays."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from normscope.frameworks.function.state import FunctionState
from normscope.frameworks.layer import Adapter, Array, first_array, mode_argument, mode_keyword
from normscope.wording import function_title


class FunctionAdapter(Adapter):
    """A callable; if it takes a keyword `training`, it has two modes."""

    def __init__(
        self,
        function: Callable[..., Any],
        others: tuple[Any, ...],
        inputs: dict[str, Any],
        dtype: np.dtype[Any],
    ) -> None:
        self.function = function
        self.others = others
        self.inputs = inputs
        self.keyword = mode_keyword(function)
        if self.keyword in inputs:
            self.keyword = None
        super().__init__(
            function_title(function),
            dtype,
            (True, False) if self.keyword else (False,),
        )
        self._state = FunctionState(function)
        self._kept = ExitStack()

    @property
    def may_remember(self) -> bool:
        """Nothing that a function holds is an array by name."""
        return True

    def put_back(self) -> None:
        """Put back what the function holds; its random generators go on."""
        self._state.put_back(stream=None)

    def settle(self) -> None:
        """What the function holds now is put back from here on, until the end."""
        self._state = FunctionState(self.function)
        self._kept.enter_context(self._state.kept())

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Whatever happens inside, what the function holds is afterwards as it was before."""
        with self._kept:
            self._kept.enter_context(self._state.kept())
            yield

    def call(self, x: Array, training: bool) -> Array:
        """The output for one input."""
        arguments = {**self.inputs, **mode_argument(self.keyword, training)}
        try:
            output = self.function(x, *self.others, **arguments)
        except (TypeError, AttributeError):
            torch = sys.modules.get("torch")
            if torch is None:
                raise
            # a function of torch tensors says so only by failing on an array
            with torch.no_grad():
                output = self.function(torch.from_numpy(x), *self.others, **arguments)
        output = first_array(output)
        if hasattr(output, "detach"):
            output = output.detach().cpu()
        return np.array(output)
