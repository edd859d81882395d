"""Where values come from: which inputs of the model, and earlier calls of a layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.graph.operators import Graph, Value
from normscope.graph.replay import replay
from normscope.graph.sites import Site


class Origins:
    """The inputs on which the sites of a graph depend, and what layers that run twice are given.

    Args:
        graph: the graph; nothing is told of sites in the graphs that its nodes run.
        sites: all that it normalizes.
        arrays: the inputs of the model, in their order.
    """

    def __init__(
        self, graph: Graph, sites: Sequence[Site], arrays: Sequence[NDArray[Any]] = ()
    ) -> None:
        self._graph = graph
        self._arrays = arrays
        calls = Counter(site.path for site in sites if site.path and not site.dismissed)
        self._repeated = [site for site in sites if calls[site.path] > 1 and not site.dismissed]

    @cached_property
    def _masks(self) -> dict[Value, int]:
        """For each value a bit for each input, and for each y of a layer that runs again."""
        bits = {value: 1 << n for n, value in enumerate(self._graph.inputs)}
        ends = {site.y: 1 << (len(bits) + n) for n, site in enumerate(self._repeated)}
        masks = dict(bits)
        for node in self._graph.nodes:
            mask = 0
            for operand in node.operands:
                mask |= masks.get(operand, 0)
            for result in node.results:
                masks[result] = mask | ends.get(result, 0)
        return masks

    def inputs(self, site: Site) -> tuple[Value, ...]:
        """The inputs of the model on which x depends."""
        mask = self._masks.get(site.x, 0)
        return tuple(value for n, value in enumerate(self._graph.inputs) if mask >> n & 1)

    def follows(self, site: Site) -> bool:
        """Whether x depends on what another call of the same layer gave."""
        mask = self._masks.get(site.x, 0) >> len(self._graph.inputs)
        return any(
            other.path == site.path and other is not site and mask >> n & 1
            for n, other in enumerate(self._repeated)
        )

    def received(self, site: Site) -> NDArray[Any] | None:
        """What the site of a layer that runs again is given, for these inputs; None if unknown."""
        return self._received.get(site)

    @cached_property
    def _received(self) -> dict[Site, NDArray[Any]]:
        graph = self._graph
        if len(self._arrays) != len(graph.inputs):
            return {}
        given = {
            value: graph.arrays.from_numpy(np.asarray(array), value.dtype)
            for value, array in zip(graph.inputs, self._arrays, strict=True)
        }
        sites = [site for site in self._repeated if site.x in self._masks]
        try:
            made = replay(graph, [site.x for site in sites], given)
            return {
                site: np.asarray(graph.arrays.to_numpy(array))
                for site, array in zip(sites, made, strict=True)
            }
        except Exception:  # operators may refuse to be run again by any exception
            return {}
