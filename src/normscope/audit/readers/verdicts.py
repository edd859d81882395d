"""Whether samples see each other in each mode: proved on the graphs, else seen by probing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from normscope.audit.samples import Samples
from normscope.frameworks.inputs import Inputs
from normscope.graph.operators import Graph
from normscope.scope import scope


def samples_of(
    model: Any,
    given: Inputs,
    axes: str | Mapping[str, str] | None,
    graphs: Mapping[bool, Graph],
    problems: Mapping[bool, str],
) -> dict[str, Samples]:
    """The verdict of each mode, as `scope` gives it.

    Args:
        model: is called.
        given: the inputs.
        axes: the names of their axes.
        graphs: of the modes, True is training.
        problems: why there is none of a mode.
    """
    found = scope(model, given.tree, axes=axes).to_dict()
    return {mode: Samples(**found["samples"][mode]) for mode in ("training", "inference")}
