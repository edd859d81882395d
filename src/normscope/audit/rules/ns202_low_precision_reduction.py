"""NS202 low-precision-reduction: squares or sums are taken in half precision.

What it finds:
    A normalization whose squares, sums or root are computed in float16 or bfloat16, such as a layer
    norm or RMS norm written by hand, or one that an exporter took apart.

Why it matters:
    In float16 the square of 256 is already infinite: the divisor becomes infinite and the row comes
    out as zeros or NaN, as soon as activations grow. In bfloat16 nothing overflows, but a statistic
    has 8 bits, so that whole rows are scaled and shifted wrongly.

How it is found:
    By running the site on numbers of one size after another, in the dtype of the model: a
    normalization does not change when its input is multiplied. In bfloat16, by comparing each
    statistics set with the same normalization in float64.

Measured:
    The size of the input from which the output is wrong, as a power of two; in bfloat16, by how
    much the scale of a statistics set is off.

Known limits:
    What is measured is what this machine computes. Kernels that accumulate in float32, as those of
    torch, Keras and Flax do today, are silent; a device that computes them in half precision is
    not seen. Sites that overflow only from 1024 on, such as a norm whose result itself is too large
    for float16, are not reported. Sets of fewer than 16 values are not judged in bfloat16.

Use instead:
    Take the statistics in float32, and convert the result: `norm(x.float()).to(x.dtype)`. In ONNX,
    export the normalization as one operator (LayerNormalization since opset 17).

References:
    meta-llama/llama#1048, NVIDIA/TensorRT#2564, NVIDIA/TensorRT#3101, NVIDIA/TensorRT#4493,
    pytorch/TensorRT#2730, pytorch#66707, rf-detr#176
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import Kind, ModelGraph, Site
from normscope.audit.probe import Probe
from normscope.audit.rule import Rule, Symptom
from normscope.notation.spec import Measure, NormSpec
from normscope.reference import reference

_MOST = 512.0
"""A site that overflows only beyond does so by more than a square."""

_WRONG = 0.1
_FEWEST = 16
_OFF = 0.0015
"""How far the scale or mean of a set may be off: half a unit in the last place of bfloat16 is
0.002 of one element, and averages out over a set."""

_UNSAID = ("BatchNormalization", "InstanceNormalization")
"""Operators of ONNX that do not say in which dtype they take their statistics."""


class LowPrecisionReduction(Rule):
    code, name, since = "NS202", "low-precision-reduction", "0.1"
    severity = Severity.ERROR
    symptoms = (Symptom.NAN, Symptom.PRECISION, Symptom.DEPLOYMENT)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        spec, probe = site.spec, site.probe
        if spec is None or probe is None or site.kind is Kind.STORED:
            return
        if spec.measure == Measure.NONE or spec.pattern is None:
            return
        if graph.framework == "onnx" and site.operator in _UNSAID:
            return
        dtypes = {one.dtype for one in probe.narrow}
        if "float16" in dtypes:
            found = probe.once(overflow)
            if found is not None:
                yield self._overflows(site, probe, *found)
        elif "bfloat16" in dtypes:
            off = probe.once(set_error, spec)
            if off is not None and off > _OFF:
                yield self.finding(
                    site,
                    f"{_operators(probe, 'bfloat16')} in bfloat16: the scale or mean of a "
                    f"statistics set is off by up to {off:.2%}, where float32 statistics are not",
                    fix="take the statistics in float32, and convert the result to bfloat16",
                    evidence={"dtype": "bfloat16", "off": off},
                    severity=Severity.WARNING,
                )

    def _overflows(self, site: Site, probe: Probe, size: float, result: str) -> Finding:
        return self.finding(
            site,
            f"{_operators(probe, 'float16')} in float16: from inputs of about {size:g} on "
            f"the output is {result}",
            fix="take the statistics in float32 and convert the result, or use one operator that "
            "does",
            evidence={"dtype": "float16", "size": size, "result": result},
        )


def overflow(probe: Probe) -> tuple[float, str] | None:
    """From which size of the input on the output is wrong, and what it is then; None if it is not.

    The numbers lie between half of that size and that size, with either sign.
    """
    shape = probe.few_samples
    if shape is None:
        return None
    rng = np.random.default_rng(0)
    x = rng.uniform(0.5, 1, shape) * rng.choice([-1.0, 1.0], shape)
    expected, again = probe.bare(4 * x, training=True), probe.bare(8 * x, training=True)
    if expected is None or again is None or _wrong(again, expected):
        return None  # it depends on the size of its input for another reason
    for power in range(4, 10):
        size = 2.0**power
        y = probe.bare(size * x, training=True)
        if y is not None and size <= _MOST and (result := _wrong(y, expected)):
            return size, result
    return None


def _wrong(y: np.ndarray, expected: np.ndarray) -> str:
    """What comes out in the place of what is expected; "" if that does."""
    if np.isnan(y).any():
        return "NaN"
    if not np.isfinite(y).all():
        return "infinite"
    largest = float(np.abs(expected).max())
    off = float(np.abs(y - expected).max())
    if off <= _WRONG * largest:
        return ""
    lost = (np.abs(y) < 1e-3 * largest) & (np.abs(expected) > 1e-2 * largest)
    return "0" if lost.any() else f"off by {off / largest:.0%}"


def set_error(probe: Probe, spec: NormSpec) -> float | None:
    """By how much the scale, or mean, of a statistics set is off at most, beside float64."""
    shape = probe.few_samples
    if shape is None:
        return None
    layout = spec.layout(shape)
    if layout.set_size is None or layout.set_size < _FEWEST:
        return None
    given = np.random.default_rng(0).standard_normal(shape) + (4 if spec.center else 0)
    x = probe.received(given)
    y = probe.bare(x, training=True)
    if y is None or y.shape != shape or not np.isfinite(y).all():
        return None
    bare = NormSpec(
        spec.pattern,
        spec.sizes,
        center=spec.center,
        measure=spec.measure,
        ddof=spec.ddof,
        eps=spec.eps,
        eps_outside=spec.eps_outside,
        floor=spec.floor,
        unit_below=spec.unit_below,
    )
    sizes = layout.known_sizes
    z, y = reference(x, bare).reshape(sizes), y.reshape(sizes)
    shared = tuple(n for n, axis in enumerate(layout.axes) if axis.shared)
    scale = (z * y).mean(shared) / (z * z).mean(shared)
    mean = (y - z).mean(shared) / np.sqrt((z * z).mean(shared))
    worst = np.abs(scale - 1).max(initial=0.0)
    return float(max(worst, np.abs(mean).max(initial=0.0) if spec.center else 0.0))


def _operators(probe: Probe, dtype: str) -> str:
    """The operators that take the statistics in a dtype, in words."""
    names = dict.fromkeys(one.name for one in probe.narrow if one.dtype == dtype)
    shown = ", ".join(list(names)[:3])
    return f"{shown} {'is' if len(names) == 1 else 'are'} computed"
