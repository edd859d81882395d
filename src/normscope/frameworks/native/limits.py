"""Where the layers of a framework end: in what they differ from a spec, and why there is none.

Frameworks have the formula `(x - m) / sqrt(v + eps) * scale + bias`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from normscope.errors import SpecError
from normscope.frameworks.native.layer import NativeLayer
from normscope.notation.layout import Layout
from normscope.notation.spec import Measure, NormSpec

Describe = Callable[[NormSpec, Layout], NativeLayer | None]
"""The recognition of one framework's layers."""


def difference(spec: NormSpec, *, running_ddof: int) -> str:
    """The difference of a framework's layer from the spec, in words; empty if there is none.

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


def refused(framework: str, spec: NormSpec, reason: str, nearest: NativeLayer | None) -> SpecError:
    """The error for a spec that a framework has no layer for: why, and what comes nearest."""
    lines = [f"no layer of {framework} computes {spec}", reason]
    if nearest is not None:
        lines.append(f"the nearest is {nearest.code}")
    lines.append("normscope.layers has a Norm that computes any spec")
    return SpecError("\n  ".join(lines))


def no_layer(
    framework: str, spec: NormSpec, layout: Layout, describe: Describe, reach: str
) -> SpecError:
    """The error for a spec that no layer comes near to; `reach`: which sets its layers have."""
    if spec.measure is Measure.NONE:
        reason = "its layers that subtract the mean divide by something, too"
        return refused(framework, spec, reason + _by_hand(layout), None)
    for change, changed in _simpler(spec):
        nearest = describe(changed, layout)
        if nearest is not None:
            return refused(framework, spec, f"it has one {change}", nearest)
    return refused(framework, spec, reach, None)


def _by_hand(layout: Layout) -> str:
    """The code that subtracts the mean without a layer, where whole axes are shared."""
    dims = tuple(layout.axes[i].dim for i in layout.shared)
    if any(len(layout.parts(dim)) > 1 for dim in dims):
        return ""
    return f"; write x - x.mean({dims if len(dims) > 1 else dims[0]}, keepdims=True)"


def _simpler(spec: NormSpec) -> list[tuple[str, NormSpec]]:
    """Specs that ask for less, the nearest first, and what each gives up."""
    bare = replace(spec, scale=None, bias=None, scale_shift=0)
    changes = [("only without running statistics", replace(spec, running=None))]
    if spec.scale is None and spec.bias is not None:
        changes.append((f"only with a scale along {spec.bias} too", replace(spec, scale=spec.bias)))
    if spec.scale is not None and spec.bias is not None:
        changes.append(("only without the bias", replace(spec, bias=None)))
        changes.append(
            ("only with the bias along the scale's axes", replace(spec, bias=spec.scale))
        )
    if spec.scale is None:
        changes.append(("only with a scale", replace(bare, scale=_shared_names(spec))))
    changes.append(("only without scale and bias, or with them along other axes", bare))
    changes.append(("only for mean and variance", _centred(spec)))
    changes.append(("only for mean and variance, and without these parameters", _centred(bare)))
    return changes


def _centred(spec: NormSpec) -> NormSpec:
    return replace(spec, center=True, measure=Measure.VARIANCE, ddof=0)


def _shared_names(spec: NormSpec) -> str | None:
    """The names of the axes in brackets, where each stands once and without `...`."""
    names = [axis.name for axis in spec.parsed.axes if axis.shared and axis.size is None]
    usable = len(set(names)) == len(names) and not spec.parsed.repeated.intersection(names)
    return " ".join(names) if names and usable else None
