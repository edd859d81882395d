"""Fits of a normalization that an activation comes after, or that its input is added to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from normscope.identify.formula.affine_fit import FirstFit, best_fit, fit_affine
from normscope.identify.formula.hypotheses import HYPOTHESES, MODERATE, Hypothesis, uneven_inputs
from normscope.identify.formula.probe import Probe
from normscope.identify.subject.precision import Precision
from normscope.identify.subject.subject import Floats
from normscope.identify.surroundings.activation import Activation, curves, explains
from normscope.identify.surroundings.extras import Extras
from normscope.identify.surroundings.identity_branch import identity_branches, named_branch

_FEW = 400
"""So many elements tell whether an activation is worth a try."""


def fit_inputs(probe: Probe, spread: tuple[float, float], count: int) -> list[Floats]:
    """So many inputs of a spread, in set form."""
    structure = probe.structure
    inputs = [
        uneven_inputs(probe.rng, structure.num_sets, structure.set_size, spread)
        for _ in range(count - 1)
    ]
    # with the negative of one input among the first, each element has been of either sign there
    return [inputs[0], -inputs[0], *inputs[1:]]


def below_activation(
    precision: Precision,
    x: Floats,
    y: Floats,
    rounding: float,
    hypotheses: Sequence[Hypothesis] = HYPOTHESES,
) -> FirstFit | None:
    """A normalization below an activation; None if no activation makes one fit.

    Args:
        precision: what the mode computes in.
        x, y: inputs and outputs, (calls, sets, elements).
        rounding: the residual that rounding may leave.
        hypotheses: those that compete.
    """
    tolerance = 10 * rounding
    found: list[FirstFit] = []
    bare = identity_branches(y)
    some = np.linspace(0, x[0].size - 1, min(x[0].size, _FEW)).astype(int)
    candidates = [_picked(hypothesis.normalized(x), some) for hypothesis in hypotheses]
    for activation in (*bare, *curves()):
        z = activation.undo(_picked(y, some))
        if np.isfinite(z).mean() < 0.2:
            continue
        if all(fit_affine(n, z).residual > tolerance for n in candidates):
            continue  # a few elements tell soon
        fit = best_fit(x, activation.undo(y), tolerance, hypotheses)
        if fit is None:
            continue
        first = FirstFit(fit, Extras(activation), x, precision)
        if activation in bare or explains(activation.forward, _expected(first), y, tolerance):
            found.append(first)
    for best in sorted(found, key=lambda first: first.fit.affine.residual):
        if best.extras.activation not in bare:
            return best
        named = _named(best, y, tolerance)
        refit = None if named is None else best_fit(x, named.undo(y), tolerance, hypotheses)
        if refit is not None:
            return FirstFit(refit, Extras(named), x, precision)
    return None


def _picked(values: Floats, places: NDArray[np.int64]) -> Floats:
    """Some elements of arrays in set form (calls, sets, elements), as (calls, 1, places)."""
    return values.reshape(len(values), 1, -1)[:, :, places]


def _expected(first: FirstFit) -> Floats:
    """What the fit says of the values below the activation."""
    affine = first.fit.affine
    z: Floats = affine.scale * first.fit.hypothesis.normalized(first.x) + affine.bias
    return z


def _named(first: FirstFit, y: Floats, tolerance: float) -> Activation | None:
    assert first.extras.activation is not None
    bare, z = first.extras.activation, _expected(first)
    return named_branch(bare, z, y, tolerance)


def beside_residual(probe: Probe) -> FirstFit | None:
    """Y = scale * n + bias + r * x: a third unknown per element."""
    x, y = probe.ask_all(fit_inputs(probe, MODERATE, 8))
    if not np.isfinite(y).all():
        return None
    share = _common_share(x, y)
    if share is None:
        return None
    fit = best_fit(x, y - share * x, 0.02)
    return None if fit is None else FirstFit(fit, Extras(residual=share), x, probe.precision)


def _common_share(x: Floats, y: Floats) -> float | None:
    """The r of y = scale * n + bias + r * x, if some n gives the same r for all elements."""
    best: tuple[float, float] | None = None
    for hypothesis in HYPOTHESES:
        n = hypothesis.normalized(x)
        design = np.stack([n, np.ones_like(n), x], axis=-1).transpose(1, 2, 0, 3)
        try:
            solution = np.linalg.pinv(design) @ y.transpose(1, 2, 0)[..., np.newaxis]
        except np.linalg.LinAlgError:
            continue
        shares = solution[..., 2, 0]
        share, width = (
            float(np.median(shares)),
            float(np.median(np.abs(shares - np.median(shares)))),
        )
        if best is None or width < best[0]:
            best = width, share
    if best is None or best[0] > 1e-3 * max(abs(best[1]), 1e-3):
        return None
    rounded = round(best[1], 3)
    return rounded if abs(rounded) > 1e-2 else None
