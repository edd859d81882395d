"""Any function from an array to an array: NumPy's own, or one that takes a framework's arrays."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from normscope.identify.adapters.base import (
    Adapter,
    Array,
    first_array,
    mode_argument,
    mode_keyword,
)
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
