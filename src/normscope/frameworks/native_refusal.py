"""What is said when a framework has no layer for a spec: why, and what comes nearest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from normscope.errors import SpecError
from normscope.frameworks.native import NativeLayer
from normscope.notation.layout import Layout
from normscope.notation.spec import Measure, NormSpec

Describe = Callable[[NormSpec, Layout], NativeLayer | None]
"""The recognition of one framework's layers."""


def refused(framework: str, spec: NormSpec, reason: str, nearest: NativeLayer | None) -> SpecError:
    """The error itself."""
    lines = [f"no layer of {framework} computes {spec}", reason]
    if nearest is not None:
        lines.append(f"the nearest is {nearest.code}")
    lines.append("normscope.layers has a Norm that computes any spec")
    return SpecError("\n  ".join(lines))


def no_layer(
    framework: str, spec: NormSpec, layout: Layout, describe: Describe, scope: str
) -> SpecError:
    """The error for a spec that no layer comes near to; `scope`: which sets its layers have."""
    if spec.measure is Measure.NONE:
        reason = "its layers that subtract the mean divide by something, too"
        return refused(framework, spec, reason + _by_hand(layout), None)
    for change, changed in _simpler(spec):
        nearest = describe(changed, layout)
        if nearest is not None:
            return refused(framework, spec, f"it has one {change}", nearest)
    return refused(framework, spec, scope, None)


def _by_hand(layout: Layout) -> str:
    """How to subtract the mean without a layer, where whole axes are shared."""
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
