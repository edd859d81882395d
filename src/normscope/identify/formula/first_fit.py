"""The first step of the formula: hypothesis, scale and bias, and what has to be taken off first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from normscope.identify.formula.affine_fit import FirstFit, best_fit, fit_affine
from normscope.identify.formula.hypotheses import (
    BELOW_OVERFLOW,
    BEYOND,
    HYPOTHESES,
    LARGE,
    MEAN_ONLY,
    MODERATE,
    SMALL,
)
from normscope.identify.formula.probe import Probe
from normscope.identify.formula.rounded_statistics import jump_together, jumps_of
from normscope.identify.formula.surrounded_fit import below_activation, beside_residual, fit_inputs
from normscope.identify.formula.unsolved import Unsolved
from normscope.identify.subject.subject import Floats
from normscope.identify.surroundings.extras import Extras

_CALLS, _MORE_CALLS, _FEWER_CALLS = 6, 6, 8
_NEAR = 0.05
"""What a statistic in bfloat16 leaves at most."""

NO_FIT = Unsolved(
    "no single mean and measure over the elements that see each other explains the output", True
)
"""No hypothesis fits, and nothing else was recognized."""


def first_fit(probe: Probe, again: bool = False) -> FirstFit | Unsolved:
    """Fit scale * n(x) + bias, bare, below an activation, or beside a residual.

    If something nearly fits, the statistics may be rounded more coarsely than all else: then the
    fit says that the mode computes in their precision.

    Args:
        probe: the mode.
        again: with other parameters nothing did fit; what costs many calls is not tried again.
    """
    precision = probe.precision
    may_jump = not precision.is_half and precision.into is None
    calls = _CALLS + _MORE_CALLS if precision.is_half else _CALLS
    jumps = None
    spread = LARGE
    x, y = probe.ask_all(fit_inputs(probe, spread, calls))
    overflows = _overflows(y)
    if may_jump and (overflows or _nearly_fits(x, y, precision.rounding)):
        jumps = jumps_of(probe, overflows)
    if jumps is None:
        if overflows:
            spread = BELOW_OVERFLOW if precision.is_half else MODERATE
            x, y = probe.ask_all(fit_inputs(probe, spread, calls))
        return _fit_as_is(probe, x, y, spread, again)
    spread = BELOW_OVERFLOW if jumps.kind == "float16" else LARGE
    x, y = probe.ask_all(fit_inputs(probe, spread, _CALLS + _MORE_CALLS))
    found = _fit_as_is(probe.at(precision.at(jumps.eps)), x, y, spread, again)
    if isinstance(found, Unsolved):
        return found
    if jump_together(jumps, found.fit, found.extras):
        return replace(found, rounded=jumps.kind)
    return NO_FIT


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
) -> FirstFit | Unsolved:
    """Fit in the precision that the mode is taken to have."""
    precision = probe.precision
    rounding = max(precision.rounding, 3e-3 if spread is MODERATE else 0.0)
    fit = best_fit(x, y, rounding)
    if fit is not None:
        return FirstFit(fit, Extras(), x, precision)
    beyond = best_fit(x, y, rounding, (*BEYOND, MEAN_ONLY))
    if beyond is not None and beyond.hypothesis is not MEAN_ONLY:
        return Unsolved(f"y = {beyond.hypothesis.words}", True)
    if beyond is None:
        more_x, more_y = probe.ask_all(fit_inputs(probe, spread, _MORE_CALLS))
        x, y = np.concatenate([x, more_x]), np.concatenate([y, more_y])
        found = below_activation(precision, x, y, rounding) or beside_residual(probe)
        if found is not None:
            return found
        if again:
            return NO_FIT
    return _mean_only(probe, len(x), bare=beyond is not None) or NO_FIT


def _mean_only(probe: Probe, calls: int, bare: bool) -> FirstFit | None:
    """The mean is subtracted and nothing is divided: seen on small inputs.

    Large ones would hide the bias, and bring an activation to its limits.

    Args:
        probe: the mode.
        calls: how many inputs to take where nothing comes after the subtraction.
        bare: large inputs have shown that nothing comes after it.
    """
    hypotheses = (MEAN_ONLY, *HYPOTHESES)
    precision = probe.precision
    x, y = probe.ask_all(fit_inputs(probe, SMALL, calls if bare else _FEWER_CALLS))
    if not np.isfinite(y).all():
        return None
    fit = best_fit(x, y, precision.rounding, hypotheses)
    if fit is None and not bare:
        found = below_activation(precision, x, y, precision.rounding, hypotheses)
    else:
        found = None if fit is None else FirstFit(fit, Extras(), x, precision)
    only = found is not None and found.fit.hypothesis is MEAN_ONLY
    return found if only else None
