"""Whether samples see each other in each mode: proved on the graphs, else seen by probing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from normscope.frameworks.inputs import Inputs
from normscope.frameworks.live import Live
from normscope.graph.operators import Graph
from normscope.graph.proof import samples_apart
from normscope.scope.calls import Calls
from normscope.scope.examine import Examination
from normscope.scope.proved import Traced
from normscope.sight.verdict import Samples, Word


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
    if not any(_many(array.shape, axis) for array, axis in zip(given.arrays, axes, strict=True)):
        found = {training: _with_way_on(one, given, axes) for training, one in found.items()}
    missing = Samples(why="the model could not be followed in this mode")
    one_mode = len(live.modes) == 1
    return {
        name: found.get(live.modes[0] if one_mode else training, missing)
        for training, name in ((True, "training"), (False, "inference"))
    }


def _many(shape: tuple[int, ...], axis: int | None) -> bool:
    return axis is not None and shape[axis] > 1


def _with_way_on(samples: Samples, given: Inputs, axes: Sequence[int | None]) -> Samples:
    """What to do where there is one sample only, of which nothing can be told."""
    if samples.verdict is not Word.UNKNOWN:
        return samples
    pairs = zip(given.arrays, axes, strict=True)
    shapes = [(array.shape, axis) for array, axis in pairs if axis is not None]
    if not shapes:
        return samples
    shape, axis = shapes[0]
    two = ",".join("2" if dim == axis else str(size) for dim, size in enumerate(shape))
    return replace(
        samples,
        why="one sample is too few to tell; give inputs of at least two, as with --shape "
        f"{two}, and if the file fixes the batch at one, export it with a free one",
    )
