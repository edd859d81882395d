"""`UnknownLayer`: stands for a layer of a file of which nothing is known but its class."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import keras

from normscope.graph.operators import CannotTraceError

Spec = tuple[tuple[int | None, ...], str]
"""A shape and a dtype."""

Outputs = Callable[[list[Any], list[tuple[tuple[int, ...], str]]], list[Any]]
"""Gives tensors of these shapes and dtypes that may depend on all of the tensors given."""

_OUTPUTS: ContextVar[Outputs | None] = ContextVar("outputs", default=None)


@contextmanager
def unknown_outputs(make: Outputs) -> Iterator[None]:
    """Within, what layers give of which nothing is known is made so."""
    before = _OUTPUTS.set(make)
    try:
        yield
    finally:
        _OUTPUTS.reset(before)


def is_traced() -> bool:
    """Whether what such layers give is made somehow just now."""
    return _OUTPUTS.get() is not None


class UnknownLayer(keras.layers.Layer):  # type: ignore[misc]
    """A layer that can be traced, and not run.

    Attributes:
        kind: the class that the file names.
        specs: of its outputs; empty where the file does not tell, and then those of its input.
    """

    def __init__(self, kind: str, specs: Sequence[Spec] = (), name: str | None = None) -> None:
        super().__init__(name=name)
        self.kind = kind
        self.specs = [(tuple(shape), dtype) for shape, dtype in specs]
        self.supports_masking = True
        self._allow_non_tensor_positional_args = True

    def build(self, *shapes: Any, **named: Any) -> None:
        """Nothing has to be made."""
        self.built = True

    def compute_output_spec(self, *arguments: Any, **named: Any) -> Any:
        """The shapes that the file tells."""
        found = [keras.KerasTensor(s, d) for s, d in self._specs(_tensors(arguments, named))]
        return found[0] if len(found) == 1 else found

    def call(self, *arguments: Any, **named: Any) -> Any:
        """Tensors of which nothing is known; only while it is traced."""
        make = _OUTPUTS.get()
        if make is None:
            raise CannotTraceError(f"{self.kind} cannot be run: its code is not Keras's own")
        tensors = _tensors(arguments, named)
        specs = [(self._closed(shape, tensors), dtype) for shape, dtype in self._specs(tensors)]
        found = make(tensors, specs)
        return found[0] if len(found) == 1 else found

    def _specs(self, tensors: list[Any]) -> list[Spec]:
        if self.specs or not tensors:
            return self.specs
        first = tensors[0]
        return [(tuple(first.shape), keras.backend.standardize_dtype(first.dtype))]

    def _closed(self, shape: tuple[int | None, ...], tensors: list[Any]) -> tuple[int, ...]:
        given = tuple(tensors[0].shape) if tensors else ()
        found = []
        for place, length in enumerate(shape):
            alike = place == 0 or len(given) == len(shape)
            known = given[place] if alike and place < len(given) else None
            wanted = known if length is None else length
            if wanted is None:
                raise CannotTraceError(f"the file does not tell the shape that {self.kind} gives")
            found.append(int(wanted))
        return tuple(found)


def _tensors(arguments: Any, named: Any) -> list[Any]:
    flat = keras.tree.flatten((arguments, named))
    return [one for one in flat if hasattr(one, "shape") and hasattr(one, "dtype")]
