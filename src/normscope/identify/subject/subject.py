"""`Subject`: a layer under examination, whose arrays are put back after each call and each move."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from normscope.frameworks.trees import Array
from normscope.identify.subject.one_input import OneInput
from normscope.identify.subject.precision import Precision, rounded

Floats = NDArray[np.float64]

MAX_CALLS = 200
"""So often a layer is called at most."""


class TooManyCallsError(Exception):
    """The layer would have to be called more often than is allowed."""


class Subject:
    """A layer that can be called again and again without remembering it.

    Attributes:
        shape: of the input.
        calls: how often the layer was called so far.
        rearranged: what was done to an output of another shape, in words.
        restless: per mode, the names of the state arrays that a call changed.
        found: the arrays as they were found.
    """

    def __init__(self, adapter: OneInput, shape: tuple[int, ...]) -> None:
        self.adapter = adapter
        self.shape = shape
        self.calls = 0
        self._limit = MAX_CALLS
        self.restless: dict[bool, set[str]] = {True: set(), False: set()}
        self.rearranged: str | None = None
        self._now = adapter.arrays()
        self.found = {name: value.copy() for name, value in self._now.items()}

    @property
    def precision(self) -> Precision:
        """The precision of the layer's dtype."""
        return Precision(self.adapter.eps, self.adapter.eps)

    @property
    def learned(self) -> dict[str, Floats]:
        """The parameters with their present values."""
        return self._floats(learned=True)

    @property
    def state(self) -> dict[str, Floats]:
        """The other arrays of real numbers, such as running statistics."""
        return self._floats(learned=False)

    def _floats(self, learned: bool) -> dict[str, Floats]:
        return {
            name: np.asarray(value, np.float64)
            for name, value in self._now.items()
            if (name in self.adapter.learned) == learned and value.dtype.kind == "f" and value.size
        }

    def received(self, x: Array, into: str | None = None) -> Floats:
        """`x` as the layer will receive it, rounded to its dtype.

        Args:
            x: an input.
            into: a coarser precision, by name, to which the layer rounds what it receives.
        """
        with np.errstate(over="ignore", under="ignore"):
            if into is not None:
                x = rounded(x, into)
            return np.asarray(self.adapter.received(np.asarray(x)), np.float64)

    def __call__(self, x: Array, training: bool) -> Floats:
        """The output; the layer's state is afterwards what it was."""
        return self.step(x, training)[0]

    def step(self, x: Array, training: bool) -> tuple[Floats, dict[str, Array]]:
        """The output, and the arrays as the call left them, before they are put back."""
        if self.calls >= self._limit:
            raise TooManyCallsError(f"no answer within {self._limit} calls")
        self.calls += 1
        try:
            y, after = self._called(x, training)
        finally:
            self.adapter.put_back()
        self.restless[training].update(self._write_arrays_back(after))
        return y, after

    def _called(self, x: Array, training: bool) -> tuple[Floats, dict[str, Array]]:
        with np.errstate(all="ignore"):
            y = self.adapter.call(self.adapter.received(np.asarray(x)), training)
        return self._in_input_order(np.asarray(y, np.float64)), self.adapter.arrays()

    def _write_arrays_back(self, after: dict[str, Array]) -> list[str]:
        """Undo what a call has made of the arrays; the names of those that it changed."""
        changed = [
            name
            for name, value in after.items()
            if name not in self._now or not _same_bits(value, self._now[name])
        ]
        for name in changed:
            if name in self._now:
                self.adapter.write(name, self._now[name])
        return changed

    def remembers(self, training: bool, eps: float, rng: np.random.Generator) -> bool:
        """Whether a call on another input changes what the next one gives, with equal arrays.

        Then the layer holds a memory that no array shows, as in a closure or an attribute. It is
        asked in one mode before and after a call in training, of which only arrays are put back.

        Args:
            training: the mode.
            eps: the machine epsilon of its outputs.
            rng: random numbers.
        """
        if not self.adapter.may_remember:
            return False
        x, other = rng.standard_normal((2, *self.shape))
        by = self.adapter.modes[0]
        try:
            try:
                before = self(x, training)
            except Exception:  # a scaler that is not fitted yet
                before = None
            self._write_arrays_back(self._called(3 * other + 2, by)[1])
            after, arrays = self._called(x, training)
            self._write_arrays_back(arrays)
            self.calls += 2
        finally:
            self.adapter.put_back()
        if before is None or before.shape != after.shape:
            return True
        size = np.abs(np.where(np.isfinite(before), before, 0.0)).max(initial=0.0)
        moved = np.abs(before - after) > 64 * eps * size
        return bool(np.any(moved | (np.isfinite(before) != np.isfinite(after))))

    def settle(self, rng: np.random.Generator) -> None:
        """Train the layer once; what it then remembers counts as found, until the end."""
        self._write_arrays_back(
            self._called(3 * rng.standard_normal(self.shape) + 2, self.adapter.modes[0])[1]
        )
        self.calls += 1
        self.adapter.settle()

    def _in_input_order(self, y: Floats) -> Floats:
        """An output with the input's elements in another shape, in the input's shape."""
        if y.shape == self.shape or y.size != np.prod(self.shape):
            return y
        if sorted(y.shape) == sorted(self.shape) and len(set(y.shape)) == y.ndim:
            self.rearranged = f"the output is transposed to {y.shape}"
            return y.transpose([y.shape.index(size) for size in self.shape])
        self.rearranged = f"the output has the shape {y.shape}"
        return y.reshape(self.shape)

    @property
    def calls_left(self) -> int:
        """How often the layer may still be called."""
        return max(0, self._limit - self.calls)

    @contextmanager
    def granted(self, calls: int) -> Iterator[None]:
        """Inside, at least so many further calls are allowed."""
        before = self._limit
        self._limit = max(before, self.calls + calls)
        try:
            yield
        finally:
            self._limit = before

    @contextmanager
    def moved(self, values: Mapping[str, Array]) -> Iterator[None]:
        """Inside, some arrays have other values; afterwards those from before, whatever happens."""
        before = {name: self._now[name] for name in values}
        try:
            for name, value in values.items():
                self._write(name, value)
            yield
        finally:
            self._restore(before)

    @contextmanager
    def as_found(self, *names: str) -> Iterator[None]:
        """Inside, some arrays have the values that they were found with."""
        with self.moved({name: self.found[name] for name in names}):
            yield

    def _write(self, name: str, value: Array) -> None:
        old = self._now[name]
        self.adapter.write(name, np.asarray(value).reshape(old.shape).astype(old.dtype))
        # what was stored may be rounded further, as in bfloat16
        self._now[name] = self.adapter.arrays()[name]

    def _restore(self, values: Mapping[str, Array]) -> None:
        for name, value in values.items():
            if not _same_bits(self._now[name], value):
                self.adapter.write(name, value)
                self._now[name] = value.copy()

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """Whatever happens inside, the layer and all random generators are left as found."""
        numpy_state, python_state = np.random.get_state(), random.getstate()
        try:
            with self.adapter.kept():
                try:
                    yield
                finally:
                    self._restore(self.found)
        finally:
            np.random.set_state(numpy_state)
            random.setstate(python_state)


def _same_bits(a: Array, b: Array) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()
