"""A site as a function of its input: everything else stands still, its arrays are open."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.graph.operators import Graph, Node, Value
from normscope.graph.replay import CannotReplayError, replay
from normscope.graph.rules import Fixed
from normscope.graph.sites import Site


class Extracted:
    """A site as a function from x to y.

    Live values that do not come from x stand still: they are computed from what is given, else made
    up. The arrays of the model that the site uses can be read and written; the model keeps its own.

    Attributes:
        site: the site.
        made_up: the values that stand still at numbers that were made up.

    Example:
        `Extracted(graph, site)(array)` runs the operators of the site on a native array.
    """

    def __init__(self, graph: Graph, site: Site, given: Mapping[Value, Any] | None = None) -> None:
        self.site = site
        self.made_up: list[Value] = []
        self._graph = graph
        self._given = dict(given or {})
        self._held: dict[Value, Any] = {}
        self._open, self._moving = _plan(site)

    def __call__(self, x: Any) -> Any:
        """The native array y for a native array x; shapes may be others than those of the graph.

        Raises:
            CannotReplayError: an operator cannot be run again.
        """
        arrays = {self.site.x: x}
        for node in self._moving:
            if node.run is None:
                raise CannotReplayError(f"{node.operator} cannot be run again")
            operands = [arrays[v] if v in arrays else self._fixed(v) for v in node.operands]
            arrays.update(zip(node.results, node.run(operands), strict=True))
        return arrays[self.site.y]

    def names(self) -> tuple[str, ...]:
        """The paths of the arrays of the model that the site uses."""
        return tuple(self._open.parameters)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Their numbers, by path."""
        numbers = self._graph.arrays.to_numpy
        return {
            name: np.array(numbers(self._native(value)))
            for name, value in self._open.parameters.items()
        }

    def write(self, name: str, numbers: NDArray[Any]) -> None:
        """Give one of these arrays other numbers; the model itself keeps its own."""
        value = self._open.parameters[name]
        stale = self._open.made_of(value)
        self._held = {v: array for v, array in self._held.items() if v not in stale}
        self._held[value] = self._graph.arrays.from_numpy(numbers, value.dtype)

    def _native(self, value: Value) -> Any:
        if value not in self._held:
            assert value.data is not None
            self._held[value] = value.data()
        return self._held[value]

    def _fixed(self, value: Value) -> Any:
        """The array of what does not come from x."""
        if value not in self._held:
            self._held[value] = self._stands(value)
        return self._held[value]

    def _stands(self, value: Value) -> Any:
        node = value.node
        if value in self._given:
            return self._given[value]
        if node is not None and node in self._open.nodes:
            results = node.run([self._fixed(operand) for operand in node.operands])  # type: ignore[misc]
            for result, array in zip(node.results, results, strict=True):
                self._held.setdefault(result, array)
            return self._held[value]
        if not value.live:
            return replay(self._graph, [value], {})[0]
        if not value.is_float:
            try:
                return replay(self._graph, [value], self._given)[0]
            except CannotReplayError:
                pass
        self.made_up.append(value)
        return self._graph.arrays.from_numpy(_made_up(value, len(self.made_up)), value.dtype)


class _Open:
    """The arrays of the model that a site uses, and the operators that make its factors of them."""

    def __init__(self, values: Iterable[Value]) -> None:
        self.parameters: dict[str, Value] = {}
        self.order: list[Node] = []
        order: dict[Node, None] = {}
        known: dict[Value, bool] = {}

        def visit(value: Value) -> bool:
            """Whether a value is made of arrays of the model, by operators that can be run."""
            stack = [value]
            while stack:
                one = stack[-1]
                node = one.node
                if one in known:
                    stack.pop()
                elif one.live or node is None or node.run is None or isinstance(node.rule, Fixed):
                    known[one] = one.is_parameter and one.is_float
                    if known[one]:
                        self.parameters.setdefault(one.name, one)
                else:
                    missing = [operand for operand in node.operands if operand not in known]
                    if missing:
                        stack += missing
                        continue
                    opened = any(known[operand] for operand in node.operands)
                    known.update(dict.fromkeys(node.results, opened))
                    if opened:
                        order[node] = None
            return known[value]

        for value in values:
            visit(value)
        self.order = list(order)
        self.nodes = frozenset(order)

    def made_of(self, parameter: Value) -> set[Value]:
        """What is made of one of the arrays, itself too."""
        found = {parameter}
        for node in self.order:
            if not found.isdisjoint(node.operands):
                found.update(node.results)
        return found


def _plan(site: Site) -> tuple[_Open, list[Node]]:
    """The arrays that a site uses, and the operators to run for each x, in order."""
    reached = {site.x}
    forward: list[Node] = []
    for node in site.nodes:
        if not reached.isdisjoint(node.operands):
            reached.update(node.results)
            forward.append(node)
    needed, moving = {site.y}, []
    for node in reversed(forward):
        if not needed.isdisjoint(node.results):
            needed.update(node.operands)
            moving.append(node)
    moving.reverse()
    opened = _Open(value for node in moving for value in node.operands if value not in reached)
    return opened, moving


def _made_up(value: Value, seed: int) -> NDArray[Any]:
    """Numbers for a live value that stands still: floats of any size, else ones."""
    if value.is_float:
        return np.random.default_rng(seed).standard_normal(value.shape)
    return np.ones(value.shape)
