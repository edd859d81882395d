"""Which stored array is what, in a mode that works on each element alone: each is moved alone.

    y = scale * (x - mean) / D(spread) + bias

The spread is the one by whose root the result shrinks (a variance), or by itself (a deviation), the
mean the one that the result follows with a minus.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from normscope.identify.formula.affine_fit import Affine, fit_affine
from normscope.identify.formula.axes import along_axes, varying_axes
from normscope.identify.sets.structure import Structure, axis_structure
from normscope.identify.subject.mode import Mode
from normscope.identify.subject.nan_statistics import largest, median
from normscope.identify.subject.subject import Floats
from normscope.identify.surroundings.extras import Extras

_VARIANCE, _DEVIATION = -0.5, -1.0
"""The powers with which the result follows them."""


@dataclass(frozen=True)
class PointwiseProbe:
    """A mode that works on each element alone.

    Attributes:
        mode: the mode.
        names: of the axes.
        extras: what is taken off its outputs.
    """

    mode: Mode
    names: tuple[str, ...]
    extras: Extras

    @property
    def structure(self) -> Structure:
        """Every element is a set of its own."""
        return axis_structure(self.mode.shape, self.names)

    def inputs(self, calls: int) -> Floats:
        """Random inputs; every second one is the negative of the one before."""
        shape = ((calls + 1) // 2, *self.mode.shape)
        normal = self.mode.rng.standard_normal(shape)
        away_from_zero = 2 * normal + np.copysign(0.3, normal)  # where the slope could not be seen
        received = [self.mode.received(x) for x in away_from_zero]
        return np.stack([sign * x for x in received for sign in (1, -1)])

    def ask(self, x: Floats) -> tuple[Floats, Floats]:
        """Inputs (calls, axes...) and their outputs, each call as one column."""
        y = np.stack([self.mode(one) for one in x])
        return x.reshape(len(x), -1, 1), y.reshape(len(x), -1, 1)

    def affine(self, x: Floats) -> Affine:
        """Scale and bias of each element as they are now."""
        columns, y = self.ask(x)
        return fit_affine(columns, self.extras.undo(y, columns), least=2)

    def varying(self, values: Floats) -> tuple[int, ...]:
        """The axes along which a number of each element varies."""
        return varying_axes(self.structure, values, self.mode.precision.unit)


@dataclass(frozen=True)
class StoredArrays:
    """The names of the arrays by what they are.

    Attributes:
        spread: the variance or, with `deviation`, its root.
        axes: along which the spread varies, or the mean where there is no spread.
        puzzling: arrays that stretch the result in a way that is not understood.
    """

    mean: str | None
    spread: str | None
    deviation: bool
    scale: str | None
    bias: str | None
    axes: tuple[int, ...]
    puzzling: tuple[str, ...] = ()

    def written(self, root: Floats) -> Floats:
        """What is stored for the root of a variance."""
        return root if self.deviation else root**2

    def root(self, stored: Floats) -> Floats:
        """The root of the variance that is stored."""
        return stored if self.deviation else np.sqrt(stored)


def stored_arrays(probe: PointwiseProbe, x: Floats) -> StoredArrays:
    """Move each stored array alone, on some inputs."""
    subject, precision, rng = probe.mode.subject, probe.mode.precision, probe.mode.rng
    arrays = subject.state  # learned parameters have been moved away from 1 and 0, and so show
    mean = spread = scale = bias = None
    deviation = False
    axes: tuple[int, ...] = ()
    mean_axes: tuple[int, ...] = ()
    size = 10.0 if precision.is_half else 1e4  # larger squares of it would overflow in float16
    close = 0.1 if precision.is_half else 0.02
    puzzling: list[str] = []
    large = {name: size * rng.uniform(1, 3, value.shape) for name, value in arrays.items()}
    base = probe.affine(x)
    for name, value in arrays.items():
        with subject.moved({name: 1.5 * value + rng.uniform(0.5, 1.0, value.shape)}):
            moved = probe.affine(x)
        with np.errstate(all="ignore"):
            stretched = largest(moved.scale / base.scale - 1) > max(1e-2, 33 * precision.unit)
        scaled = _power(probe, x, name, value, large[name]) if stretched else None
        if scaled is not None:
            power, along = scaled
            if min(abs(power - _VARIANCE), abs(power - _DEVIATION)) < close:
                deviation = abs(power - _DEVIATION) < abs(power - _VARIANCE)
                spread, axes = name, along
            elif power > 0:
                scale = name
            else:
                puzzling.append(name)
            continue
        if stretched:
            puzzling.append(name)
            continue
        change = moved.bias - base.bias
        if largest(change) < max(1e-3, 8 * precision.unit):
            continue
        if median(change) > 0 and median(base.scale) > 0:
            bias = name
        else:
            mean, mean_axes = name, probe.varying(change)
    axes = axes if spread else mean_axes
    return StoredArrays(mean, spread, deviation, scale, bias, axes, tuple(puzzling))


def _power(
    probe: PointwiseProbe, x: Floats, name: str, value: Floats, large: Floats
) -> tuple[float, tuple[int, ...]] | None:
    """The power with which the result follows a large array; None if it does not scale it."""
    subject, precision = probe.mode.subject, probe.mode.precision
    second = large * probe.mode.rng.uniform(2, 3, value.shape)
    fits = []
    for new in (large, second):
        with subject.moved({name: new}):
            fits.append(probe.affine(x * 100))
    with np.errstate(all="ignore"):
        ratio = fits[1].scale / fits[0].scale
    if not largest(ratio - 1) > max(1e-2, 33 * precision.unit):
        return None
    along = probe.varying(ratio)
    found = along_axes(probe.structure, ratio, along)
    if found.size != value.size:
        return None
    powers = np.log(np.abs(found.ravel())) / np.log((second / large).ravel())
    return median(powers), along
