"""NS206 rmsnorm-default-eps: eps is the machine epsilon, which nobody chose.

What it finds:
    An RMS normalization of torch whose eps was left out, so that it is the machine epsilon of
    float32, 1.19e-7; or, in files, of that value.

Why it matters:
    Other libraries use 1e-5 or 1e-6. Rows with small values come out several times larger than
    there, which shows when weights are ported; and the default has changed between releases of
    torch for half precision.

How it is found:
    From the eps that the site was seen to use.

Measured:
    How large a row of size 1e-4 comes out, and how large it would with eps=1e-6.

Known limits:
    Where activations are never that small, the difference cannot be seen. Somebody may have chosen
    this very number. Of several places in a model, it is said at the first.

Use instead:
    An eps that is written down: `torch.nn.RMSNorm(dim, eps=1e-6)`.

References:
    pytorch PR 173039, pytorch#155527, coremltools PR 2822
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import Kind, ModelGraph, Site
from normscope.audit.probe import Probe
from normscope.audit.rule import Rule, Symptom, once_per_model
from normscope.notation.spec import Measure
from normscope.wording import counted

_FRAMEWORKS = ("torch", "onnx", "function")
_SMALL = 1e-4
_OTHER = 1e-6


class RmsnormDefaultEps(Rule):
    code, name, since = "NS206", "rmsnorm-default-eps", "0.1"
    severity = Severity.INFO
    symptoms = (Symptom.PORT,)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        alike = _with_default_eps(graph)
        if not alike or alike[0] is not site or site.spec is None or site.probe is None:
            return  # it is said at the first of them
        size, eps = site.probe.once(size_of_a_small_row), site.spec.eps
        if size is None:
            return
        other = _SMALL / np.sqrt(_SMALL**2 + _OTHER)
        more = len(alike) - 1
        yield self.finding(
            site,
            f"eps={eps:.3g} is the machine epsilon of float32, as where it is left out: a row "
            f"of size {_SMALL:g} comes out at {size:.3g}, with eps={_OTHER:g} at {other:.3g}"
            + (f"; so it is at {counted(more, 'more place')}" if more else ""),
            fix="write the eps down, such as eps=1e-6",
            evidence={
                "eps": eps,
                "row": _SMALL,
                "size": size,
                "size_with_1e-6": other,
                "places": len(alike),
            },
        )


@once_per_model
def _with_default_eps(graph: ModelGraph) -> list[Site]:
    """The sites whose eps is that which is taken where none is given."""
    return [site for site in graph.sites if _has_default_eps(site, graph)]


def _has_default_eps(site: Site, graph: ModelGraph) -> bool:
    spec, probe = site.spec, site.probe
    if spec is None or probe is None or site.kind is not Kind.NORMALIZATION:
        return False
    if spec.measure != Measure.MEAN_SQUARE or spec.center:
        return False
    return graph.framework in _FRAMEWORKS and _is_machine_epsilon(spec.eps, probe.dtype)


def size_of_a_small_row(probe: Probe) -> float | None:
    """The root mean square of what comes out of a row of 1e-4 of either sign."""
    shape = probe.few_samples
    if shape is None:
        return None
    signs = np.random.default_rng(0).choice([-1.0, 1.0], shape)
    y = probe.bare(_SMALL * signs, training=True)
    return None if y is None else float(np.sqrt(np.mean(y**2)))


def _is_machine_epsilon(eps: float, dtype: str) -> bool:
    """Whether it is that of float32; in half precision an eps is seen less exactly."""
    exact = 1e-3 if dtype in ("float32", "float64") else 0.05
    return abs(eps / float(np.finfo(np.float32).eps) - 1) < exact
