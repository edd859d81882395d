"""In what a formula goes beyond `(x - m) / sqrt(v + eps) * scale + bias`, which frameworks have."""

from __future__ import annotations

import math

from normscope.notation.spec import NormSpec


def difference(spec: NormSpec, *, running_ddof: int) -> str:
    """What a framework's layer lacks to compute the spec; empty if nothing.

    Args:
        spec: a normalization.
        running_ddof: the ddof of the running variance of the framework's batch normalization.

    Example:
        >>> difference(NormSpec("b [c]", floor=1e-6), running_ddof=0)
        'it has no least divisor of 1e-06'
        >>> from normscope import Running
        >>> old = NormSpec("[b] c", running=Running(0.9, plus_eps=True, deviation=True))
        >>> difference(old, running_ddof=0).endswith("at inference, and something else in training")
        True
    """
    if spec.running is not None and spec.running.deviation and spec.running.plus_eps:
        outside = f" + {spec.eps_outside:g}" if spec.eps_outside else ""
        return (
            "its running statistic is the variance, not the root sqrt(variance + eps)"
            f"{', and it has no epsilon outside the root' if outside else ''}: with epsilon 0 and "
            f"the variance (stored value{outside})**2 it computes this at inference, and something "
            "else in training"
        )
    if spec.eps_outside:
        worst = 0.0 if spec.eps else spec.eps_outside**2
        return (
            f"it has epsilon inside the root only, so its outputs are larger: by "
            f"{_excess(spec, 1.0)} where the variance is 1, by {_excess(spec, worst)} at most"
        )
    if spec.floor:
        return f"it has no least divisor of {spec.floor:g}"
    if spec.unit_below is not None:
        small = f"less than {spec.unit_below:g}" if spec.unit_below else "0"
        return f"it has no guard, by which a divisor of {small} becomes 1"
    if spec.ddof:
        return f"it divides the sum of squares by N instead of N - {spec.ddof}"
    if spec.scale_shift:
        return "it multiplies by scale instead of 1 + scale: add 1 to the stored values"
    if spec.running is not None and spec.running.deviation:
        return "its running statistic is the variance, not a deviation: square the stored values"
    if spec.running is not None and spec.running.plus_eps:
        return "its running variance is the plain variance, without eps in it"
    if spec.running is not None and spec.running.ddof != running_ddof:
        stored, wanted = (
            f"N - {ddof}" if ddof else "N" for ddof in (running_ddof, spec.running.ddof)
        )
        return f"its running variance is divided by {stored} instead of {wanted}"
    return ""


def inner_eps(spec: NormSpec) -> float:
    """The epsilon inside the root that comes nearest to the spec's."""
    return spec.eps or spec.eps_outside**2


def _excess(spec: NormSpec, variance: float) -> str:
    """By how many percent outputs are larger with epsilon inside the root only."""
    ours = math.sqrt(variance + spec.eps) + spec.eps_outside
    theirs = math.sqrt(variance + inner_eps(spec))
    return f"{100 * (ours / theirs - 1):.2g} %"
