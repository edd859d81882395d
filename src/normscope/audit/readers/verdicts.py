"""Whether samples see each other in each mode: proved on the graphs, else seen by probing."""

from __future__ import annotations

from collections.abc import Mapping

from normscope.frameworks.inputs import Inputs
from normscope.frameworks.live import Live
from normscope.graph.operators import Graph
from normscope.graph.proof import samples_apart
from normscope.scope.calls import Calls
from normscope.scope.examine import Examination
from normscope.scope.proved import Traced
from normscope.sight.verdict import Samples


def samples_of(
    live: Live, given: Inputs, names: list[tuple[str, ...]], graphs: Mapping[bool, Graph]
) -> dict[str, Samples]:
    """The verdict of each mode, as `scope` gives it; of a model with one mode, both say the same.

    Args:
        live: the model, which is called where the graphs leave it open; its state may change.
        given: its inputs.
        names: of their axes.
        graphs: of the modes, True is training.
    """
    examination = Examination(Calls(live, given), names, names_first=False)
    axes = [examination.sample_axes.get(name) for name in given.names]
    found = {
        training: examination.mode(training, Traced(samples_apart(graph, axes))).samples
        for training, graph in graphs.items()
    }
    missing = Samples(why="the model could not be followed in this mode")
    one_mode = len(live.modes) == 1
    return {
        name: found.get(live.modes[0] if one_mode else training, missing)
        for training, name in ((True, "training"), (False, "inference"))
    }
