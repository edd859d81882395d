"""Statistics in a coarser precision than the layer's own: they jump, and all of a set with them.

As its input changes smoothly, so does the output of a layer that computes all in one precision. A
mean or a measure that is rounded on its way changes in steps; then every output of the statistics
set jumps at once, by a number and by a share of its normalized value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from normscope.identify.formula.affine_fit import Fit
from normscope.identify.formula.probe import Probe
from normscope.identify.subject.precision import PRECISIONS
from normscope.identify.subject.subject import Floats
from normscope.identify.surroundings.extras import Extras

_SIZE = 4.0
"""Spread and mean: neither an epsilon of 0.1 nor an overflow of squares in float16 is near."""

_CALLS, _STEP, _ORDER = 8, 1e-2, 4
"""Steps so small that a smooth output differs by 1e-8 in fourth order."""

_NORM = 70**0.5
"""Of the fourth difference: noise of size 1 gives differences of this size."""

_SMOOTH = 1e-5
"""Jumps below this share of the spread are rounding in float32, or what a smooth output has."""

_FLOAT16, _BFLOAT16, _COARSEST = 3.5e-4, 6e-4, 1e-2
"""Jumps up to the first are those of float16, from the second on those of bfloat16: rounding leaves
0.29 of a unit in the last place, in a variance half of that, and a mean is as large as the spread.
In sets of four they were measured up to three times as large.
"""

_TOGETHER = 0.5
"""So much of the jumps may be left when those are taken off that all of a set have in common."""


@dataclass(frozen=True)
class Jumps:
    """What a layer gave for inputs that change step by step, and the precision that this shows.

    Attributes:
        kind: the precision, by name.
        eps: its machine epsilon.
        x, y: (calls, sets, elements).
    """

    kind: str
    eps: float
    x: Floats
    y: Floats


def jumps_of(probe: Probe, overflows: bool) -> Jumps | None:
    """The precision of the statistics, if the outputs jump as those of a half precision do.

    Args:
        probe: the mode.
        overflows: whether large inputs do so inside, as they do in float16 alone.
    """
    structure = probe.structure
    rng, one_each = probe.rng, (structure.num_sets, 1)
    start, way = _SIZE * rng.standard_normal((2, structure.num_sets, structure.set_size))
    start += _SIZE * rng.choice([-1, 1], one_each) * rng.uniform(0.9, 1.1, one_each)
    way += rng.choice([-1, 1], one_each) * start  # mean and spread go on at each step
    x, y = probe.ask_all([start + _STEP * number * way for number in range(_CALLS)])
    if not np.isfinite(y).all():
        return None
    steps = np.sqrt(np.mean(np.diff(y, n=_ORDER, axis=0) ** 2, axis=0)) / _NORM
    spread = np.std(y, axis=(0, 2))
    varies = spread > 0
    if not varies.any():
        return None
    # most elements: where an activation cuts off, nothing jumps, and at its bend all do
    of_sets = np.quantile(steps[varies] / spread[varies, np.newaxis], 0.75, axis=1)
    size = float(np.median(of_sets))
    if not _SMOOTH < size < _COARSEST:
        return None
    if overflows or size < _FLOAT16:
        return Jumps("float16", PRECISIONS["float16"], x, y)
    kind = "bfloat16" if size > _BFLOAT16 else "float16 or bfloat16"
    return Jumps(kind, PRECISIONS["bfloat16"], x, y)


def jump_together(jumps: Jumps, fit: Fit, extras: Extras) -> bool:
    """Whether, below the fit, the elements of a set jump by one number and one share of each."""
    affine = fit.affine
    z = extras.undo(jumps.y, jumps.x)
    with np.errstate(all="ignore"):
        n = (z - affine.bias) / affine.scale
        jump = np.diff(n, n=_ORDER, axis=0)
    left, total = 0.0, 0.0
    values_of = np.broadcast_to(n[0], jump.shape)
    for one, values in zip(
        jump.reshape(-1, n.shape[-1]), values_of.reshape(-1, n.shape[-1]), strict=True
    ):
        known = np.isfinite(one) & np.isfinite(values)
        if known.sum() < 4:
            continue
        design = np.stack([np.ones(int(known.sum())), values[known]], axis=1)
        fitted = design @ np.linalg.lstsq(design, one[known], rcond=None)[0]
        free = known.sum() - 2
        left += float(np.sum((one[known] - fitted) ** 2)) / free
        total += float(np.mean(one[known] ** 2))
    return total > 0 and left < _TOGETHER**2 * total
