"""NS903 std-used-as-variance: deviations of ImageNet stand where a variance is expected.

What it finds:
    The deviations 0.229, 0.224 and 0.225 of ImageNet, in the place of a variance: the input is
    divided by their roots. At the input of a model, as by `Normalization(variance=[0.229, ...])`,
    or as running variance of a batch normalization.

Why it matters:
    Inputs come out at half the spread that is meant.

How it is found:
    From all operators that scale and shift an input by constants, and the factor that they make
    together. A model that makes up for it by a second scaling, as EfficientNet of
    keras.applications with its trained weights, is right as a whole, and nothing is said.

Measured:
    The factor of each channel, which is 1 / sqrt(deviation) and not 1 / deviation.

Known limits:
    Weights that were trained with it need it: then keep it. Other data sets have other deviations,
    which are not known here.

Use instead:
    variance=[0.229**2, 0.224**2, 0.225**2].

References:
    tensorflow#49930, keras-cv PR 740, tensorflow/hub#821
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.rule import Rule, Symptom

_DEVIATION = np.array([0.229, 0.224, 0.225])
_CLOSE = 1e-4


class StdUsedAsVariance(Rule):
    code, name, since = "NS903", "std-used-as-variance", "0.1"
    severity = Severity.WARNING
    symptoms = (Symptom.PORT, Symptom.FINETUNING)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        stored = site.stored("running_var")
        if stored is None or not site.is_called("batchnorm"):
            return  # other scalings are seen as what they make of the input, with what follows
        variance = stored.astype(np.float64).ravel()
        if _unit(variance) is not None:
            yield self._found(site.path, 1 / np.sqrt(variance))

    def check_model(self, graph: ModelGraph) -> Iterator[Finding]:
        told: set[str] = set()
        for entry in graph.entries:
            whole = np.ones(1)
            path = ""
            for step in entry.steps:
                scale = step.scale.ravel()
                if scale.size not in (1, whole.size) and whole.size != 1:
                    break
                whole = whole * scale
                path = step.path if scale.size == 3 else path
            else:
                with np.errstate(divide="ignore"):
                    fits = whole.size == 3 and _unit(1 / whole**2) is not None
                if fits and path not in told:
                    told.add(path)
                    yield self._found(path, whole)

    def _found(self, path: str, factors: NDArray[np.float64]) -> Finding:
        said = ", ".join(f"{factor:.4g}" for factor in factors)
        return self.finding(
            path,
            f"channels are multiplied by {said}, which is 1 / sqrt(deviation) of ImageNet: its "
            "deviations stand where a variance is expected",
            fix="square them: 0.229**2, 0.224**2, 0.225**2; weights that were trained with it need "
            "it as it is",
            evidence={"factors": factors.tolist()},
        )


def _unit(variance: NDArray[np.float64]) -> float | None:
    """By what the deviations of ImageNet are multiplied, where they stand as a variance."""
    if variance.size != 3:
        return None
    for order in (_DEVIATION, _DEVIATION[::-1]):
        units = variance.ravel() / order
        if np.allclose(units, units[0], rtol=_CLOSE):
            return float(units[0])
    return None
