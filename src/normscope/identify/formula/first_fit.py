"""The first step of the formula: hypothesis, scale and bias, and what has to be taken off first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from normscope.identify.formula.hypotheses import (
    BELOW_OVERFLOW,
    BEYOND,
    HYPOTHESES,
    LARGE,
    MEAN_ONLY,
    MODERATE,
    SMALL,
    Fit,
    Hypothesis,
    best_fit,
    fit_affine,
    uneven_inputs,
)
from normscope.identify.formula.probe import Probe
from normscope.identify.formula.rounded_statistics import jump_together, jumps_of
from normscope.identify.subject.subject import Floats
from normscope.identify.surroundings.extras import (
    Activation,
    Extras,
    curves,
    explains,
    name_selu,
    name_straight,
    straights,
)
from normscope.sight.changes import IS_HALF

_CALLS, _MORE_CALLS, _FEWER_CALLS = 6, 6, 8
_NEAR = 0.05
"""What a statistic in bfloat16 leaves at most."""

_FEW = 400
"""So many elements tell whether an activation is worth a try."""


@dataclass(frozen=True)
class FirstFit:
    """A fit, what was taken off, and the inputs that it was made on (calls, sets, elements).

    Attributes:
        rounded: the precision that the statistics alone are rounded to, if they are.
    """

    fit: Fit
    extras: Extras
    x: Floats
    rounded: str | None = None


@dataclass(frozen=True)
class NoFit:
    """No hypothesis fits; `words` says what was seen instead, if anything."""

    words: str = ""


def first_fit(probe: Probe, again: bool = False) -> FirstFit | NoFit:
    """Fit scale * n(x) + bias, bare, below an activation, or beside a residual.

    If something nearly fits, the statistics may be rounded more coarsely than all else: the
    subject's machine epsilon is theirs from then on.

    Args:
        probe: the mode.
        again: with other parameters nothing did fit; what costs many calls is not tried again.
    """
    subject = probe.subject
    exact = subject.eps
    may_jump = exact < IS_HALF and subject.into is None
    calls = _CALLS if exact < IS_HALF else _CALLS + _MORE_CALLS
    jumps = None
    spread = LARGE
    x, y = probe.ask_all(_inputs(probe, spread, calls))
    overflows = _overflows(y)
    if may_jump and (overflows or _nearly_fits(x, y, probe.rounding)):
        jumps = jumps_of(probe, overflows)
    if jumps is None:
        if overflows:
            spread = MODERATE if exact < IS_HALF else BELOW_OVERFLOW
            x, y = probe.ask_all(_inputs(probe, spread, calls))
        return _fit_as_is(probe, x, y, spread, again)
    subject.eps = jumps.eps
    spread = BELOW_OVERFLOW if jumps.kind == "float16" else LARGE
    x, y = probe.ask_all(_inputs(probe, spread, _CALLS + _MORE_CALLS))
    found = _fit_as_is(probe, x, y, spread, again)
    if isinstance(found, FirstFit) and jump_together(jumps, found.fit, found.extras):
        return replace(found, rounded=jumps.kind)
    subject.eps = exact
    return NoFit() if isinstance(found, FirstFit) else found


def _overflows(y: Floats) -> bool:
    """Whether a half precision inside does: its infinities are seen, or divide all to 0."""
    if not np.isfinite(y).all() or (np.ptp(y, axis=0) == 0).mean() > 0.5:
        return True
    alike = (y[0] == y[1]).all(axis=1)  # the second input is the negative of the first
    return bool(0 < alike.mean() < 1)


def _nearly_fits(x: Floats, y: Floats, rounding: float) -> bool:
    """Whether a hypothesis is off by more than rounding, but not by much."""
    residuals = [
        fit_affine(hypothesis.normalized(x), y).residual for hypothesis in (*HYPOTHESES, MEAN_ONLY)
    ]
    return rounding < min(residuals) < _NEAR


def _fit_as_is(
    probe: Probe, x: Floats, y: Floats, spread: tuple[float, float], again: bool
) -> FirstFit | NoFit:
    rounding = max(probe.rounding, 3e-3 if spread is MODERATE else 0.0)
    fit = best_fit(x, y, rounding)
    if fit is not None:
        return FirstFit(fit, Extras(), x)
    beyond = best_fit(x, y, rounding, (*BEYOND, MEAN_ONLY))
    if beyond is not None and beyond.hypothesis is not MEAN_ONLY:
        return NoFit(f"y = {beyond.hypothesis.words}")
    if beyond is None:
        more_x, more_y = probe.ask_all(_inputs(probe, spread, _MORE_CALLS))
        x, y = np.concatenate([x, more_x]), np.concatenate([y, more_y])
        found = _below_activation(x, y, rounding) or _beside_residual(probe)
        if found is not None:
            return found
    bare = beyond is not None
    return (None if again and not bare else _mean_only(probe, len(x), bare)) or NoFit()


def _mean_only(probe: Probe, calls: int, bare: bool) -> FirstFit | None:
    """The mean is subtracted and nothing is divided: seen on small inputs.

    Large ones would hide the bias, and bring an activation to its limits.
    """
    hypotheses = (MEAN_ONLY, *HYPOTHESES)
    x, y = probe.ask_all(_inputs(probe, SMALL, calls if bare else _FEWER_CALLS))
    if not np.isfinite(y).all():
        return None
    fit = best_fit(x, y, probe.rounding, hypotheses)
    if fit is None and not bare:
        found = _below_activation(x, y, probe.rounding, hypotheses)
    else:
        found = None if fit is None else FirstFit(fit, Extras(), x)
    only = found is not None and found.fit.hypothesis is MEAN_ONLY
    return found if only else None


def _inputs(probe: Probe, spread: tuple[float, float], count: int) -> list[Floats]:
    structure = probe.structure
    inputs = [
        uneven_inputs(probe.rng, structure.num_sets, structure.set_size, spread)
        for _ in range(count - 1)
    ]
    # with the negative of one input among the first, each element has been of either sign there
    return [inputs[0], -inputs[0], *inputs[1:]]


def _below_activation(
    x: Floats, y: Floats, rounding: float, hypotheses: Sequence[Hypothesis] = HYPOTHESES
) -> FirstFit | None:
    tolerance = 10 * rounding
    found: list[FirstFit] = []
    bare = straights(y)
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
        first = FirstFit(fit, Extras(activation), x)
        if activation in bare or explains(activation.forward, _expected(first), y, tolerance):
            found.append(first)
    for best in sorted(found, key=lambda first: first.fit.affine.residual):
        if best.extras.activation not in bare:
            return best
        named = _named(best, y, tolerance)
        refit = None if named is None else best_fit(x, named.undo(y), tolerance, hypotheses)
        if refit is not None:
            return FirstFit(refit, Extras(named), x)
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
    return name_straight(bare, z, y, tolerance) or name_selu(bare, z, y, tolerance)


def _beside_residual(probe: Probe) -> FirstFit | None:
    """Y = scale * n + bias + r * x: a third unknown per element."""
    x, y = probe.ask_all(_inputs(probe, MODERATE, 8))
    if not np.isfinite(y).all():
        return None
    share = _common_share(x, y)
    if share is None:
        return None
    fit = best_fit(x, y - share * x, 0.02)
    return None if fit is None else FirstFit(fit, Extras(residual=share), x)


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
