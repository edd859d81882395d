"""NS803 onnx-groupnorm-18: scale and bias of an ONNX normalization do not mean what they should.

What it finds:
    GroupNormalization of opset 18 to 20, whose scale and bias hold one number per group, where
    every framework has one per channel; such an operator with a number per channel, which that
    opset does not allow; and LayerNormalization, GroupNormalization or InstanceNormalization whose
    scale or bias does not fit the input, which the checker of ONNX accepts.

Why it matters:
    A converter that writes the weights of a framework into such an operator keeps one in several of
    them, or makes a file that some runtimes refuse and others run with other numbers. The operator
    was deprecated for this reason and written anew in opset 21.

How it is found:
    From the opset, the lengths of the stored arrays and the number of groups; by running the
    operator.

Measured:
    The numbers of groups, channels and stored scales.

Known limits:
    A scale per group may be meant so, although no framework has a layer of that kind.

Use instead:
    GroupNormalization of opset 21, with a scale and a bias for each channel.

References:
    onnx#5466, onnx#5284, onnx PR 5808, onnx-mlir PR 2915, openvino PR 17630, onnxruntime#24538
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import Kind, ModelGraph, Site
from normscope.audit.probe import Probe
from normscope.audit.rule import Rule, Symptom

_FITTING = ("GroupNormalization", "LayerNormalization", "InstanceNormalization", "RMSNormalization")


class OnnxGroupnorm18(Rule):
    code, name, since = "NS803", "onnx-groupnorm-18", "0.1"
    severity = Severity.WARNING
    symptoms = (Symptom.PORT, Symptom.DEPLOYMENT)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        if graph.framework != "onnx" or site.operator not in _FITTING or not site.input_shape:
            return
        if site.kind is Kind.UNKNOWN:
            yield from self._unfit(site)
            return
        opset = graph.details.get("opset", 0)
        if site.operator == "GroupNormalization" and 18 <= opset < 21:
            yield from self._of_old_opset(site, opset)

    def _of_old_opset(self, site: Site, opset: int) -> Iterator[Finding]:
        scale, spec = site.stored("scale"), site.spec
        if scale is None or spec is None or len(site.input_shape or ()) < 2:
            return
        channels = int((site.input_shape or ())[1] or 0)
        groups = spec.sizes.get("g", channels)
        if scale.size == groups != channels:
            said = f"one scale for each of {groups} groups, not for each of {channels} channels"
            fix = f"write GroupNormalization of opset 21, with {channels} scales and biases"
        elif scale.size == channels != groups:
            said = (
                f"{scale.size} scales, where opset {opset} wants one for each of {groups} groups: "
                "runtimes may refuse it"
            )
            fix = "declare opset 21, where scale and bias are per channel"
        else:
            return
        yield self.finding(
            site,
            f"GroupNormalization of opset {opset} has {said}",
            fix=fix,
            evidence={
                "opset": opset,
                "groups": groups,
                "channels": channels,
                "scales": int(scale.size),
            },
        )

    def _unfit(self, site: Site) -> Iterator[Finding]:
        """An operator that does not run on an input of its own shape."""
        probe = site.probe
        if probe is None or not site.composite or probe.once(_runs):
            return
        lengths = probe.once(_lengths)
        if not lengths:
            return
        yield self.finding(
            site,
            f"{site.operator} cannot be run on its input of shape "
            f"{'x'.join(map(str, probe.shape))}: its scale and bias have the lengths "
            f"{', '.join(map(str, lengths))}",
            fix="give scale and bias the lengths of the axes that they scale",
            evidence={"input_shape": list(probe.shape), "lengths": list(lengths)},
            severity=Severity.ERROR,
        )


def _runs(probe: Probe) -> bool:
    return probe(np.zeros(probe.shape)) is not None


def _lengths(probe: Probe) -> tuple[int, ...]:
    return tuple(sorted({int(array.size) for array in probe.stored().values()}))
