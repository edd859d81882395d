"""PyTorch Geometric: rows are the nodes of one graph, or of several together."""

from __future__ import annotations

from normscope.frameworks.preset_patterns import Preset
from normscope.notation.spec import Measure, NormSpec, spec


def mean_subtraction_norm() -> NormSpec:
    """torch_geometric.nn.MeanSubtractionNorm, called without `batch`: all nodes are one graph.

    With `batch` each graph is a set of its own, of any number of rows, which no pattern says.

    >>> print(mean_subtraction_norm())
    "[n] c", divided by nothing
    """
    return spec("[n] c", measure=Measure.NONE)


PRESETS: dict[str, Preset] = {
    "torch_geometric.MeanSubtractionNorm": mean_subtraction_norm,
}
