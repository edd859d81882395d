"""What the tests of traces of all libraries on JAX ask."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from normscope.frameworks.arrays import to_numpy
from normscope.frameworks.live import Live
from normscope.frameworks.registry import live_of
from normscope.frameworks.trees import arrays_by_name
from normscope.graph.operators import Graph
from normscope.graph.replay import replay
from normscope.graph.sites import find_sites

Array = NDArray[Any]


def live(model: Any, x: Any) -> Live:
    """A model, ready to be called with x."""
    found = live_of(model, lambda live: live.inputs(x).arguments(live.leaf), "")
    if found.problem is not None:
        raise found.problem
    return found


def traced(model: Live, x: Any, training: bool) -> Graph:
    """The graph of a model in a mode."""
    with model.kept():
        model.put_back()
        return model.trace(model.inputs(x), training)


def graph_of(model: Any, x: Any, training: bool = False) -> Graph:
    """The graph of a model in a mode."""
    return traced(live(model, x), x, training)


def assert_computes(model: Any, x: Any, training: bool) -> Graph:
    """The graph, run again, gives what the model gives; and tracing has left it as it was."""
    asked = live(model, x)
    given = asked.inputs(x)
    with asked.kept():
        found = asked.arrays()
        asked.put_back()
        graph = asked.trace(given, training)
        after = asked.arrays()
        assert all(np.array_equal(after[name], value) for name, value in found.items())
        asked.put_back()
        arguments, named = given.arguments(asked.leaf)
        expected = list(arrays_by_name(asked.call(arguments, named, training), "output"))

        @jax.jit  # at once is quicker than one by one
        def again(arrays: list[Any]) -> list[Any]:
            return replay(graph, graph.outputs, dict(zip(graph.inputs, arrays, strict=True)))

        made = again([jax.numpy.asarray(array) for array in given.arrays])
    assert graph.output_names == [name for name, _ in expected]
    for array, (_, own) in zip(made, expected, strict=True):
        np.testing.assert_allclose(to_numpy(array), to_numpy(own), rtol=2e-4, atol=1e-5)
    return graph


def layers(graph: Graph) -> dict[str, str]:
    """The classes of the layers that are called, by path; those in loops too."""
    calls = [call for part in (graph, *graph.bodies()) for call in part.calls]
    return {call.path: call.type for call in calls if call.path}


def sites(graph: Graph) -> dict[str, str]:
    """How each layer normalizes, by path: what is no normalization after all is left out.

    Of a site that is not all that its layer does, the path ends in "/".
    """
    found = {}
    for site in find_sites(graph):
        if not site.dismissed:
            whole = site.call.inputs[:1] == (site.x,) and site.call.outputs == (site.y,)
            found[f"{site.path}{'' if whole else '/'}"] = site.form.name
    return found


def parameters(graph: Graph) -> set[str]:
    """The names of the arrays that the operators take from the model."""
    values = {value for node in graph.nodes for value in node.operands}
    return {value.name for value in values if value.is_parameter}
