"""NS902 double-normalization: the input is scaled twice.

What it finds:
    An input that is divided by 255 (or another large number) twice, one time perhaps inside of a
    pretrained model; from which the mean of ImageNet is subtracted twice; or from which a mean of
    0 to 255 is subtracted after it was scaled to 0 to 1.

Why it matters:
    Inputs are squeezed into a sliver of the range that the weights were trained on. Nothing fails;
    accuracy drops.

How it is found:
    From the operators that scale and shift an input by constants, before the first product or
    normalization, each run on the numbers 0 and 1.

Measured:
    The factor that all of them make together, or the numbers that are subtracted.

Known limits:
    What a data pipeline does before the model is not seen. A batch normalization at the input is no
    second scaling: it takes any.

Use instead:
    One scaling: leave out the layer, or the one that the pretrained model has inside
    (`include_preprocessing=False`).

References:
    tensorflow#48412, tensorflow#44745, keras#14950, keras#16081
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from normscope.audit.entry import Entry, InputStep
from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph
from normscope.audit.rule import Rule, Symptom

_SMALL = 0.02
"""Pixels of 0 to 255 are divided by their deviation, of 50 or more, by 127.5 or 255."""

_BYTES = (1 / 255, 1 / 256)


class DoubleNormalization(Rule):
    code, name, since = "NS902", "double-normalization", "0.1"
    severity = Severity.WARNING
    symptoms = (Symptom.FINETUNING, Symptom.LEARNING, Symptom.PORT)

    def check_model(self, graph: ModelGraph) -> Iterator[Finding]:
        told: set[str] = set()
        for entry in graph.entries:
            for finding in self._entry(entry):
                if finding.path not in told:
                    told.add(finding.path)
                    yield finding

    def _entry(self, entry: Entry) -> Iterator[Finding]:
        name = entry.name or "the input"
        scaled: InputStep | None = None
        unit = False
        subtracted: list[InputStep] = []
        for step in entry.steps:
            factor = float(np.abs(step.scale).max())
            mean = _mean(step)
            again = next((one for one in subtracted if _same(mean, _mean(one))), None)
            if again is not None:
                yield self._found(
                    step,
                    f"{name} has the mean {_listed(mean)} subtracted already"
                    f"{_at(again)}, and here again",
                    {"mean": mean.ravel().tolist()},
                )
            elif unit and mean.size and np.abs(mean).max() > 2:
                yield self._found(
                    step,
                    f"{name} was scaled to 0 to 1 before{_at(scaled)}, and here has a mean of "
                    f"{_listed(mean)} subtracted, as if it were 0 to 255",
                    {"mean": mean.ravel().tolist()},
                )
                unit = False
            if mean.size and np.abs(mean).max() > 0:
                subtracted.append(step)
            if 0 < factor <= _SMALL and scaled is not None:
                whole = factor * float(np.abs(scaled.scale).max())
                yield self._found(
                    step,
                    f"{name} was multiplied by {np.abs(scaled.scale).max():.4g} already"
                    f"{_at(scaled)}, and here by {factor:.4g}: by {whole:.3g} in all",
                    {"factor": whole},
                )
            elif 0 < factor <= _SMALL:
                scaled = step
                unit = any(np.isclose(factor, size, rtol=1e-3) for size in _BYTES)

    def _found(self, step: InputStep, message: str, evidence: dict[str, object]) -> Finding:
        return self.finding(
            step.path,
            message,
            fix="scale the input once: leave this out, or what was done before it",
            evidence=evidence,
        )


def _mean(step: InputStep) -> NDArray[np.float64]:
    """What a step subtracts before it scales; empty where it subtracts nothing."""
    if not step.shift.any() or not (step.scale == 1).all():
        return np.zeros(0)
    mean = -step.shift.ravel()
    return mean if (mean >= 0).all() or mean.size == 3 else np.zeros(0)


def _same(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    """Whether they are the same mean, of several channels, in one unit or another."""
    if a.size < 2 or a.shape != b.shape or not a.any() or not b.any():
        return False
    return any(np.allclose(a, b * unit, rtol=1e-3) for unit in (1, 255, 1 / 255))


def _listed(numbers: NDArray[np.float64]) -> str:
    return ", ".join(f"{number:.4g}" for number in numbers.ravel()[:3])


def _at(step: InputStep | None) -> str:
    return f" in {step.path}" if step is not None and step.path else ""
