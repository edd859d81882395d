"""NS802 norm-decomposed: a normalization in a file is many small operators, and could be one.

What it finds:
    A layer norm, RMS norm, instance norm or group norm in an ONNX file or exported program that is
    written out as means, squares, roots and products.

Why it matters:
    A runtime that does not recognize the pattern runs each operator by itself, several times
    slower, and in float16 takes the squares in float16, where they overflow from 256 on. As one
    operator it keeps float32 inside, and a kernel made for it is chosen.

How it is found:
    A statistic that comes back onto its own source is a normalization; its axes and eps are those
    that reproduce what the operators compute.

Measured:
    The number of operators, the axes over which statistics are shared, and eps.

Known limits:
    Many runtimes recognize common patterns, and lose nothing. A formula that is no standard layer
    is not reported. Live models are not accused: what they are compiled to is not known.

Use instead:
    Export with an opset that has the operator (LayerNormalization since 17, GroupNormalization
    since 21, RMSNormalization since 23; InstanceNormalization always), from the layer of the
    framework.

References:
    NVIDIA/TensorRT#2781, NVIDIA/TensorRT#4111, rf-detr#176, onnx#2379, onnx#4085
"""

from __future__ import annotations

from collections.abc import Iterator

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import Kind, ModelGraph, Site
from normscope.audit.rule import Rule, Symptom
from normscope.notation.spec import Measure

_SINCE = {
    "LayerNormalization": 17,
    "RMSNormalization": 23,
    "GroupNormalization": 21,
    "InstanceNormalization": 1,
}
_OF_TORCH = {
    "LayerNormalization": "torch.nn.functional.layer_norm",
    "RMSNormalization": "torch.nn.functional.rms_norm",
    "GroupNormalization": "torch.nn.functional.group_norm",
    "InstanceNormalization": "torch.nn.functional.instance_norm",
}
_FEWEST = 4
"""Operators; fewer are hardly worth a word."""


class NormDecomposed(Rule):
    code, name, since = "NS802", "norm-decomposed", "0.1"
    severity = Severity.INFO
    symptoms = (Symptom.DEPLOYMENT, Symptom.PRECISION)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        exported = graph.framework == "onnx" or "exported" in graph.details
        if not exported or site.composite or site.probe is None:
            return
        count = len(site.probe.operators)
        operator = standard_operator(site)
        if operator is None or count < _FEWEST or site.spec is None or site.layout is None:
            return
        axes = sorted({axis.dim for axis in site.layout.axes if axis.shared})
        half = site.dtype == "float16"  # of the statistic; what is scaled after it may be narrower
        said = (
            f"these {count} operators are {operator} over {_axes(axes)} with eps={site.spec.eps:g}"
        )
        if half:
            said += "; in float16 their squares overflow from 256 on"
        yield self.finding(
            site,
            said,
            fix=_fix(operator, graph),
            evidence={
                "operators": count,
                "operator": operator,
                "axes": axes,
                "eps": site.spec.eps,
                "float16": half,
            },
            severity=Severity.WARNING if half else Severity.INFO,
        )


def standard_operator(site: Site) -> str | None:
    """The operator of ONNX that does what a site does; None if there is none."""
    spec, layout = site.spec, site.layout
    if spec is None or layout is None or site.kind is not Kind.NORMALIZATION or not site.verified:
        return None
    if spec.ddof or spec.eps_outside or spec.floor or spec.unit_below is not None:
        return None
    rank = len(layout.shape)
    shared = {axis.dim for axis in layout.axes if axis.shared}
    grouped = {axis.dim for axis in layout.axes if not axis.shared} & shared
    last = shared == set(range(min(shared), rank)) and not grouped
    if site.couples_samples(spec) is not False:
        return None
    if spec.measure == Measure.MEAN_SQUARE and not spec.center:
        return "RMSNormalization" if last else None
    if spec.measure != Measure.VARIANCE or not spec.center:
        return None
    if grouped == {1} and shared == set(range(1, rank)):
        return "GroupNormalization"
    scaled = {layout.axes[n].dim for n in layout.named(spec.scale)} if spec.scale else set()
    if rank > 2 and shared == set(range(2, rank)) and scaled <= {1}:
        return "InstanceNormalization" if rank > 3 or scaled == {1} else "LayerNormalization"
    return "LayerNormalization" if last else None


def _fix(operator: str, graph: ModelGraph) -> str:
    if graph.framework != "onnx":
        return f"write it as {_OF_TORCH[operator]} and export again"
    opset, needed = graph.details.get("opset"), _SINCE[operator]
    if isinstance(opset, int) and opset < needed:
        return (
            f"export it as one operator, with opset {needed} or later; this file has opset {opset}"
        )
    return "export it as one operator, from the layer of the framework"


def _axes(axes: list[int]) -> str:
    if len(axes) == 1:
        return f"axis {axes[0]}"
    return f"axes {', '.join(map(str, axes))}"
