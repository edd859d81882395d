"""`Probe`: one mode of a layer with known statistics sets; inputs and outputs in set form."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from normscope.identify.formula.affine_fit import Affine, Fit, fit_affine
from normscope.identify.sets.structure import Structure
from normscope.identify.subject.mode import Mode
from normscope.identify.subject.precision import Precision
from normscope.identify.subject.subject import Floats, Subject
from normscope.identify.surroundings.extras import Extras


@dataclass(frozen=True)
class Probe:
    """A mode of a layer, and its statistics sets."""

    mode: Mode
    structure: Structure

    @property
    def subject(self) -> Subject:
        """The layer."""
        return self.mode.subject

    @property
    def rng(self) -> np.random.Generator:
        """The random numbers to ask with."""
        return self.mode.rng

    @property
    def precision(self) -> Precision:
        """What the mode computes in."""
        return self.mode.precision

    def at(self, precision: Precision) -> Probe:
        """The probe of a mode that is known to compute in this precision."""
        return replace(self, mode=self.mode.at(precision))

    def ask(self, x_sets: Floats) -> tuple[Floats, Floats]:
        """The input as the layer received it, and its output, both in set form."""
        x = self.mode.received(self.structure.from_sets(x_sets))
        y = self.mode(x)
        return self.structure.to_sets(x), self.structure.to_sets(y)

    def ask_all(self, inputs: list[Floats]) -> tuple[Floats, Floats]:
        """Several inputs as the layer received them, and their outputs, along a new first axis."""
        asked = [self.ask(x) for x in inputs]
        return np.stack([x for x, _ in asked]), np.stack([y for _, y in asked])

    def affine(self, fit: Fit, extras: Extras, x: Floats) -> Affine:
        """Scale and bias of each element as they are now, from inputs (calls, sets, elements)."""
        y = np.stack([self.ask(one)[1] for one in x])
        return fit_affine(fit.hypothesis.normalized(x), extras.undo_all(y, x))
