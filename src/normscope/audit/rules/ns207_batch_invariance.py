"""NS207 batch-invariance: a row comes out differently, bit by bit, alone and in a batch.

What it finds:
    A normalization of each sample by itself whose result changes in its last digits with the number
    of samples, because sums are taken in another order.

Why it matters:
    Greedy decoding flips between two almost equal tokens, so that a server answers differently
    under load, and a run cannot be repeated. Most models do not need the last digit, so this rule
    is applied only where it is selected: `--select NS207`.

How it is found:
    By running the site on many samples, and on each of the first few alone.

Measured:
    The largest difference, in units in the last place of the largest output.

Known limits:
    What is measured is what this machine computes, with this number of threads, at this size; a GPU
    chooses its order in other ways. Equal bits here promise nothing there. Sites that can be run
    with no other number of samples, such as those of JAX, are not judged.

Use instead:
    A kernel that takes its sums in the same order for any number of samples, such as
    `normscope.normalize`.

References:
    vllm PR 48391, sglang PR 28787, FastDeploy PR 6749, thinking-machines-lab/batch_invariant_ops#6
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import Kind, ModelGraph, Site
from normscope.audit.probe import Probe
from normscope.audit.rule import Rule, Symptom

_SAMPLES = 32
_MOST_ELEMENTS = 2**21
_ALONE = 4
_EPS = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float64": 2.0**-52}


class BatchInvariance(Rule):
    code, name, since = "NS207", "batch-invariance", "0.1"
    severity = Severity.INFO
    symptoms = (Symptom.BATCH,)
    default: ClassVar[bool] = False

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        if site.probe is None or site.kind is not Kind.NORMALIZATION:
            return
        if site.sample_axes != (0,) or site.samples_independent["infer"] is not True:
            return
        ulp = site.probe.once(difference)
        if not ulp:
            return
        yield self.finding(
            site,
            f"a sample alone and in a batch of {_SAMPLES} comes out differently by {ulp:.2g} units "
            "in the last place",
            fix="use a kernel that takes its sums in the same order for any number of samples",
            evidence={"ulp": ulp, "samples": _SAMPLES},
        )


def difference(probe: Probe) -> float | None:
    """The largest difference between samples alone and in a batch, in ulp; None if unknown."""
    rest = probe.shape[1:]
    if _SAMPLES * int(np.prod(rest)) > _MOST_ELEMENTS:
        return None
    x = np.random.default_rng(0).standard_normal((_SAMPLES, *rest))
    together = probe.bare(x)
    if together is None or together.shape != x.shape:
        return None
    alone = [probe.bare(x[n : n + 1]) for n in range(_ALONE)]
    if any(one is None or one.shape != (1, *rest) for one in alone):
        return None
    given = np.concatenate([one for one in alone if one is not None])
    off = float(np.abs(given - together[:_ALONE]).max())
    largest = float(np.abs(together[:_ALONE]).max())
    return off / (largest * _EPS.get(probe.dtype, 2.0**-23)) if largest else 0.0
