"""`DivisorProbe`: measures the divisor at given roots of the measure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from normscope.identify.formula.affine_fit import Fit
from normscope.identify.formula.divisor import Curve
from normscope.identify.formula.probe import Probe
from normscope.identify.subject.precision import FLOAT16_STEP, PRECISIONS
from normscope.identify.subject.subject import Floats
from normscope.identify.surroundings.extras import Extras
from normscope.notation.spec import Measure

_SCALE_ERROR = 3e-6
"""What an eps_outside of 0.1 leaves in the scale that large inputs give."""

OUTSIDE_NOTICED = 0.2
"""An eps_outside that leaves more."""


@dataclass(frozen=True)
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
            eps = self.probe.precision.eps * (30 if self.extras.activation else 2)
            amount = np.abs(z) + np.abs(np.nan_to_num(self.bias)) + self._added(x)
            if self.extras.activation is not None and self.extras.activation.curved:
                amount = amount + 1.0  # a sigmoid rounds near 1/2 as coarsely as near 1
            rounding = eps * amount
            if self.probe.precision.eps == PRECISIONS["float16"]:
                rounding = rounding + FLOAT16_STEP
            noise = np.sqrt((numerator**2 * rounding**2).sum(axis=1)) / weight
            if self.probe.precision.eps == PRECISIONS["float16"]:
                noise = noise + np.abs(inverse) * FLOAT16_STEP / root  # of the mean
            if self.rounded == "float16":
                squared_divisor = (root / inverse) ** 2
                noise = noise + np.abs(inverse) * FLOAT16_STEP / 4 / squared_divisor
            return Curve(root, inverse, np.maximum(noise, (eps + _SCALE_ERROR) * np.abs(inverse)))

    def _added(self, x: Floats) -> Floats:
        return np.abs(self.extras.residual * x)
