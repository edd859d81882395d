"""`FunctionState`: everything that a function captures and a call may change, as it was found."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from normscope.frameworks.attributes import Attributes
from normscope.frameworks.function.captured import Captured, captured_by, is_plain
from normscope.frameworks.registry import state_of
from normscope.frameworks.state import State

if TYPE_CHECKING:
    from normscope.frameworks.torch.tensor_copies import TensorCopies


class FunctionState(State):
    """Variables of closures and modules, plain objects, containers, arrays, models and generators.

    >>> mean = np.zeros(2)
    >>> def layer(x):
    ...     global mean
    ...     mean = 0.9 * mean + 0.1 * x
    >>> found = FunctionState(layer)
    >>> layer(np.ones(2))
    >>> found.put_back()
    >>> mean
    array([0., 0.])

    Attributes:
        captured: the values, by name.
    """

    def __init__(self, function: Any) -> None:
        captured = captured_by(function)
        self.captured = captured.values
        parts = list({id(part): part for part in captured.values.values()}.values())
        plain = [part for part in parts if is_plain(part)]
        self._bound = [(names, dict(names.items())) for names in captured.names]
        self._attributes = Attributes([types.SimpleNamespace(**captured.values), *plain])
        self._states = [s for part in parts if (s := _state(part)) is not None]
        self._copies = _tensor_copies(captured, plain)
        self._examined = False

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Whatever happens inside, everything is afterwards as it was before."""
        with ExitStack() as states:
            for state in self._states:
                states.enter_context(state.kept())
            self._examined = True
            try:
                if self._copies is not None:
                    self._copies.install()
                yield
            finally:
                self._examined = False
                self._put_plain_back()

    def put_back(self, stream: int | None = 0) -> None:
        """Give everything its values back, large arrays only where random numbers are too."""
        self._put_plain_back(large=stream is not None)
        for state in self._states:
            state.put_back(stream)

    def _put_plain_back(self, large: bool = True) -> None:
        for names, found in self._bound:
            now = dict(names.items())
            for name in now.keys() - found.keys():
                del names[name]
            for name, value in found.items():
                if name not in now or now[name] is not value:
                    names[name] = value
        self._attributes.put_back(large)
        if self._copies is not None:
            if self._examined:
                self._copies.install()
            else:
                self._copies.give_back()


def _tensor_copies(captured: Captured, plain: list[Any]) -> TensorCopies | None:
    """Tensors of torch that are held as such."""
    torch = sys.modules.get("torch")
    if torch is None or not any(
        isinstance(part, torch.Tensor) for part in captured.values.values()
    ):
        return None
    from normscope.frameworks.torch.tensor_copies import TensorCopies

    return TensorCopies(plain, captured.names)


def _state(part: Any) -> State | None:
    return _Generator(part) if isinstance(part, np.random.Generator) else state_of(part)


class _Generator(State):
    """A random generator of NumPy."""

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator, self._found = generator, generator.bit_generator.state

    def put_back(self, stream: int | None = 0) -> None:
        """Let it draw again what it drew; or, in another stream, what comes later."""
        if stream is not None:
            self._generator.bit_generator.state = self._found
        if stream:
            self._generator.random(stream * 65536)
