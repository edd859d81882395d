"""`Probe`: one mode of a layer with known statistics sets; inputs and outputs in set form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from normscope.identify.formula.divisor import Curve
from normscope.identify.formula.hypotheses import Affine, Fit, fit_affine
from normscope.identify.sets.structure import Structure
from normscope.identify.subject.precision import FLOAT16_STEP, PRECISIONS
from normscope.identify.subject.subject import Floats, Subject
from normscope.identify.surroundings.extras import Extras
from normscope.notation.spec import Measure
from normscope.sight.changes import IS_HALF

_SCALE_ERROR = 3e-6
"""What an eps_outside of 0.1 leaves in the scale that large inputs give."""

OUTSIDE_NOTICED = 0.2
"""An eps_outside that leaves more."""


@dataclass
class Probe:
    """What is asked, and the random numbers to ask with."""

    subject: Subject
    training: bool
    structure: Structure
    rng: np.random.Generator

    @property
    def rounding(self) -> float:
        """The relative error that rounding may leave in a fit."""
        eps = self.subject.eps
        return 8 * eps if eps > IS_HALF else max(3e-5, 64 * eps)

    @property
    def unit(self) -> float:
        """The relative error that rounding may leave in a fitted scale, bias or divisor."""
        eps = self.subject.eps
        return eps / 2 if eps > IS_HALF else self.rounding

    def ask(self, x_sets: Floats) -> tuple[Floats, Floats]:
        """The input as the layer received it, and its output, both in set form."""
        x = self.subject.received(self.structure.from_sets(x_sets))
        y = self.subject(x, self.training)
        return self.structure.to_sets(x), self.structure.to_sets(y)

    def ask_all(self, inputs: list[Floats]) -> tuple[Floats, Floats]:
        """The same for several inputs, stacked along a new first axis."""
        pairs = [self.ask(x) for x in inputs]
        return np.stack([x for x, _ in pairs]), np.stack([y for _, y in pairs])

    def affine(self, fit: Fit, extras: Extras, x: Floats) -> Affine:
        """Scale and bias of each element as they are now, from inputs (calls, sets, elements)."""
        y = np.stack([self.ask(one)[1] for one in x])
        return fit_affine(fit.hypothesis.normalized(x), extras.undo_all(y, x))


@dataclass
class DivisorProbe:
    """Measures the divisor at given roots, one root per statistics set and call.

    Attributes:
        scale, bias: of each element, in set form.
        rounded: the precision of the statistics, where it is not the layer's own.
    """

    probe: Probe
    fit: Fit
    extras: Extras
    scale: Floats
    bias: Floats
    rounded: str | None = None

    def __call__(self, roots: Floats) -> Curve:
        """The divisors at these roots; there may be fewer roots than sets, which then repeat."""
        structure, hypothesis = self.probe.structure, self.fit.hypothesis
        size = (structure.num_sets, structure.set_size)
        shape = self.probe.rng.standard_normal(size)
        if hypothesis.center or hypothesis.measure is Measure.VARIANCE:
            shape = shape - shape.mean(axis=1, keepdims=True)  # nothing is lost to cancellation
        wanted = np.resize(roots, structure.num_sets)[:, np.newaxis]
        x, y = self.probe.ask(shape / hypothesis.root(shape) * wanted)
        z = self.extras.undo(y, x)
        root = hypothesis.root(x)[:, 0]
        numerator = self.scale * hypothesis.centred(x)
        known = np.isfinite(z) & np.isfinite(numerator)
        numerator, z = np.where(known, numerator, 0.0), np.where(known, z, 0.0)
        with np.errstate(all="ignore"):
            # in units of the root, since squares of 1e-17 come near the end of float32
            numerator = numerator / root[:, np.newaxis]
            weight = (numerator**2).sum(axis=1)
            inverse = (numerator * np.where(known, z - self.bias, 0.0)).sum(axis=1) / weight
            eps = self.probe.subject.eps * (30 if self.extras.activation else 2)
            amount = np.abs(z) + np.abs(np.nan_to_num(self.bias)) + self._added(x)
            if self.extras.activation is not None and self.extras.activation.bends:
                amount = amount + 1.0  # a sigmoid rounds near 1/2 as coarsely as near 1
            rounding = eps * amount
            if self.probe.subject.eps == PRECISIONS["float16"]:
                rounding = rounding + FLOAT16_STEP
            noise = np.sqrt((numerator**2 * rounding**2).sum(axis=1)) / weight
            if self.probe.subject.eps == PRECISIONS["float16"]:
                noise = noise + np.abs(inverse) * FLOAT16_STEP / root  # of the mean
            if self.rounded == "float16":
                squared_divisor = (root / inverse) ** 2
                noise = noise + np.abs(inverse) * FLOAT16_STEP / 4 / squared_divisor
            return Curve(root, inverse, np.maximum(noise, (eps + _SCALE_ERROR) * np.abs(inverse)))

    def _added(self, x: Floats) -> Floats:
        return np.abs(self.extras.residual * x)
