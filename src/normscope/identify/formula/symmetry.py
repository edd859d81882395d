"""Could it be a normalization, though no formula fits? Told by what all normalizations share.

Whatever the measure, and whatever function of each element comes after it,

    y[i] = f_i((x[i] - m) / D),    m and D symmetric in the elements of the statistics set,

so it does not matter for y[i] in which order the other elements stand, nor, far above every
epsilon, in which unit all of them are given. A linear layer, an attention or a softmax fails. Where
f_i takes x[i] + (x[i] - m) / D, as in relu(x + n(x)), the unit matters, but other symmetries are
left.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from normscope.identify.formula.hypotheses import uneven_inputs
from normscope.identify.formula.probe import Probe
from normscope.identify.subject.nan_statistics import largest, median
from normscope.identify.subject.subject import Floats

_SPREAD = (3.0, 6.0)
"""Above every epsilon, yet so small that no softmax has come to its limit."""

_SAME_ORDER, _SAME_UNIT = 0.01, 0.1
"""Shares of the output's spread that rounding, and an epsilon of 0.1, may leave."""

_FEW = 0.02
"""Of so few outputs more may be left: those that an activation rounds to another step."""


def may_be_a_normalization(probe: Probe) -> bool:
    """Whether neither the order of the other elements nor the unit of all of them matters.

    A residual is allowed for: it grows with the unit by a fixed share of the input.
    """
    structure = probe.structure
    inputs = [
        probe.subject.received(
            structure.from_sets(
                uneven_inputs(probe.rng, structure.num_sets, structure.set_size, _SPREAD)
            )
        )
        for _ in range(3)
    ]
    x, y = probe.ask_all([structure.to_sets(one) for one in inputs])
    if not np.isfinite(y).all():
        return True  # nothing can be excluded
    spread = float(np.std(y - y.mean(axis=(0, 1))))
    if not _order_is_no_matter(probe, x, y, spread):
        return False
    return _unit_is_no_matter(probe, x, y, spread) or _only_beside_itself(probe, x, y, spread)


def _order_is_no_matter(probe: Probe, x: Floats, y: Floats, spread: float) -> bool:
    size = probe.structure.set_size
    for one, before in zip(x, y, strict=True):
        fixed = int(probe.rng.integers(size))
        others = np.delete(np.arange(size), fixed)
        order = np.arange(size)
        order[others] = np.roll(probe.rng.permutation(others), 1)
        _, after = probe.ask(one[:, order])
        if largest(after[:, fixed] - before[:, fixed]) > _SAME_ORDER * spread:
            return False
    return True


def _unit_is_no_matter(probe: Probe, x: Floats, y: Floats, spread: float) -> bool:
    _, doubled = probe.ask_all([2 * one for one in x])
    growth = doubled - y
    share = (growth * x).sum(axis=0) / (x * x).sum(axis=0)  # of a residual, for each element
    left = growth - np.median(share) * x
    return float(np.mean(np.abs(left) > _SAME_UNIT * spread)) < _FEW


def _only_beside_itself(probe: Probe, x: Floats, y: Floats, spread: float) -> bool:
    """Whether y[i] is a function of x[i] + n[i], where the unit does matter.

    Then n[i] stays what it is if all others move away from x[i] by one factor, or, where no mean is
    subtracted, change their signs; and far out y[i] grows with x[i] by one share on each side of 0.
    """
    return (
        _same_if_others_change(probe, x, y, spread, lambda own, others: own + 2 * (others - own))
        or _same_if_others_change(probe, x, y, spread, lambda own, others: -others)
    ) and _grows_evenly(probe, 10 * x)


def _same_if_others_change(
    probe: Probe, x: Floats, y: Floats, spread: float, change: Callable[[Floats, Floats], Floats]
) -> bool:
    for one, before in zip(x, y, strict=True):
        fixed = int(probe.rng.integers(probe.structure.set_size))
        own = one[:, fixed : fixed + 1]
        changed = change(own, one)
        changed[:, fixed] = one[:, fixed]
        _, after = probe.ask(changed)
        if largest(after[:, fixed] - before[:, fixed]) > _SAME_ORDER * spread:
            return False
    return True


def _grows_evenly(probe: Probe, x: Floats) -> bool:
    """Whether what x adds to the output is one share of it above 0, and one below."""
    x, y = probe.ask_all(list(x))
    _, doubled = probe.ask_all(list(2 * x))
    share = (doubled - y) / x
    sides = [share[x > 0], share[x < 0]]
    size = max(
        1e-3, *(abs(median(side)) for side in sides)
    )  # what is below 1e-3 has come to a limit
    return all(np.mean(np.abs(side - median(side)) > 0.03 * size) < 0.25 for side in sides)
