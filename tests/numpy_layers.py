"""Layers of NumPy whose parameters and state are arrays by name, as those of a framework are."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from normscope.frameworks.live import Live
from normscope.identify.formula.probe import Probe
from normscope.identify.sets.structure import axis_structure
from normscope.identify.subject.mode import Mode
from normscope.identify.subject.one_input import OneInput
from normscope.identify.subject.subject import Subject

Array = NDArray[np.floating]
Arrays = dict[str, NDArray[np.generic]]
Forward = Callable[[Array, Arrays, bool], Array]


class NumpyLayer(Live):
    """A function of an input, arrays that it may change, and whether it is training."""

    def __init__(
        self, forward: Forward, arrays: Mapping[str, NDArray[np.generic]], *learned: str
    ) -> None:
        super().__init__("a layer of NumPy")
        self.forward = forward
        self.modes = (True, False)
        self.held = {name: value.copy() for name, value in arrays.items()}
        self.learned = frozenset(learned)

    def call(
        self, arguments: tuple[Array, ...], named: Mapping[str, Array], training: bool
    ) -> Array:
        (x,) = arguments
        return self.forward(x, self.held, training)

    def arrays(self) -> Arrays:
        return {name: value.copy() for name, value in self.held.items()}

    def write(self, name: str, value: NDArray[np.generic]) -> None:
        self.held[name] = value.copy()


def asked(
    forward: Forward,
    shape: tuple[int, ...],
    arrays: Mapping[str, NDArray[np.generic]] | None = None,
    *learned: str,
    training: bool = False,
) -> Mode:
    """A mode of such a layer."""
    subject = Subject(OneInput(NumpyLayer(forward, arrays or {}, *learned)), shape)
    return Mode(subject, training, subject.precision, np.random.default_rng(0))


def probed(function: Callable[[Array], Array], shape: tuple[int, ...] = (6, 8)) -> Probe:
    """A function of the input alone, each row of which is a statistics set."""
    mode = asked(lambda x, arrays, training: function(x), shape)
    names = tuple("bcd"[: len(shape)])
    return Probe(mode, axis_structure(shape, names, kept=tuple(range(len(shape) - 1))))
