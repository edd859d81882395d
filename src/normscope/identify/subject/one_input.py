"""`OneInput`: a layer as a function of one array of floats, its other inputs held fixed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from normscope.frameworks.arguments import misfit
from normscope.frameworks.arrays import to_numpy
from normscope.frameworks.live import Arguments, Live
from normscope.frameworks.registry import live_of
from normscope.frameworks.trees import Array

_REFUSAL = (
    "identify calls a layer, and an object of {kind} cannot be called; give a layer of a "
    "framework, an ONNX model, or a function from an array to an array"
)


class OneInput:
    """A layer as a function of one array of floats.

    Attributes:
        title: the layer in words.
        modes: the values of `training` that its signature tells apart; one only is (False,).
        dtype: the dtype of the numbers that it computes in.
        eps: the machine epsilon of that dtype.
        learned: the names of those arrays that are learned parameters; the others are state.
        constants: of the state, the names of what no call ever changes.
        notes: what the reader of the report should know about how it was called.
        problem: what a first call raised, where one was needed.
    """

    def __init__(
        self, live: Live, others: tuple[Any, ...] = (), inputs: Mapping[str, Any] | None = None
    ) -> None:
        self._live = live
        self._others = others
        self._inputs = dict(inputs or {})
        self.title = live.title
        self.modes = live.declared_modes
        self.dtype = live.dtype
        self.eps = live.eps
        self.learned = live.learned
        self.constants = live.constants
        self.notes = live.notes
        self.problem = live.problem

    def received(self, x: Array) -> Array:
        """`x` after rounding to the layer's dtype."""
        return to_numpy(self._live.tensor(x))

    def call(self, x: Array, training: bool) -> Array:
        """The output for one input; the state of the layer may change."""
        arguments, named = _arguments(self._live, x, self._others, self._inputs)
        return self._live.answer(arguments, named, training)

    def misfit(self, how: Callable[[Sequence[str], Sequence[str]], str]) -> str:
        """Why it cannot be called with its inputs, and what to write; "" if it can."""
        return misfit(self._live.function, 1 + len(self._others), list(self._inputs), how)

    def arrays(self) -> dict[str, Array]:
        """Copies of all parameters and state arrays, by name."""
        return self._live.arrays()

    def write(self, name: str, value: Array) -> None:
        """Give an array new values."""
        self._live.write(name, value)

    def put_back(self) -> None:
        """Put back what a call has changed besides the arrays, as far as that can be reached."""
        self._live.put_back_attributes()

    def settle(self) -> None:
        """From here on, what was changed besides the arrays counts as found, until the end."""
        self._live.settle()

    @property
    def may_remember(self) -> bool:
        """Whether a call may have changed something besides the arrays."""
        return self._live.may_remember

    def kept(self) -> AbstractContextManager[None]:
        """Whatever happens inside, the layer is afterwards as it was before."""
        return self._live.kept()


def one_input(
    layer: Any,
    shape: tuple[int, ...],
    others: tuple[Any, ...] = (),
    inputs: Mapping[str, Any] | None = None,
    dtype: np.dtype[Any] | None = None,
) -> OneInput:
    """A layer bound to one input.

    Args:
        layer: a layer of a framework, any callable, or a `Live`.
        shape: of the input.
        others: further inputs by position, held fixed.
        inputs: further inputs by name, held fixed.
        dtype: to call the layer in where its own arrays fix none; None is float32.

    Raises:
        SpecError: it cannot be called.
        MissingPackageError: what runs it is not installed.
    """
    zeros = np.zeros(shape)

    def first(live: Live) -> Arguments:
        return _arguments(live, zeros, others, inputs or {})

    live = layer if isinstance(layer, Live) else live_of(layer, first, _REFUSAL)
    if dtype is not None:
        live.use_dtype(dtype)
    live.take_batch(*first(live))
    return OneInput(live, others, inputs)


def _arguments(
    live: Live, x: Array, others: tuple[Any, ...], inputs: Mapping[str, Any]
) -> Arguments:
    named = {name: live.fixed(value) for name, value in inputs.items()}
    return (live.tensor(x), *map(live.fixed, others)), named
