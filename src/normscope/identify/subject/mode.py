"""`Mode`: one mode of a layer, with what is needed to ask it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from normscope.frameworks.trees import Array
from normscope.identify.subject.precision import Precision
from normscope.identify.subject.subject import Floats, Subject


@dataclass(frozen=True)
class Mode:
    """One mode of a layer.

    Attributes:
        subject: the layer.
        training: which of its modes.
        precision: what it computes in, as far as that is known.
        rng: the random numbers to ask with.
    """

    subject: Subject
    training: bool
    precision: Precision
    rng: np.random.Generator

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the input."""
        return self.subject.shape

    @property
    def eps(self) -> float:
        """The machine epsilon of the precision that the outputs have."""
        return self.precision.eps

    def at(self, precision: Precision) -> Mode:
        """The mode where it is known to compute in this precision."""
        return replace(self, precision=precision)

    def received(self, x: Array) -> Floats:
        """`x` as the layer will receive it, rounded to what it rounds it to."""
        return self.subject.received(x, self.precision.into)

    def __call__(self, x: Array) -> Floats:
        """The output for one input."""
        return self.subject(x, self.training)
