"""A site as a function of its input: everything else stands still, its arrays are open."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.graph.operators import Graph, Node, Role, Value
from normscope.graph.replay import CannotReplayError, known_numbers, replay
from normscope.graph.rules import Fixed
from normscope.graph.sites import Site
from normscope.graph.statistics_flow import before_moves, source_of


class Extracted:
    """A site as a function from x to y.

    Live values that do not come from x stand still: integers are computed from what is given where
    that is enough, all else is made up: neutral factors and summands, random numbers elsewhere. The
    arrays of the model that the site uses can be read and written; the model keeps its own.
    A sum that is divided by the number of its elements stays a mean when x has another shape.

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
        self._counts = _counts(graph, self._moving)

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
            if node in self._counts:
                operands[self._counts[node].place] = self._count(self._counts[node], arrays)
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
            self._held[value] = value.data() if value.data is not None else self._any(value)
        return self._held[value]

    def _any(self, value: Value) -> Any:
        """For an array that is another one in each round of a loop: factor, summand or variance."""
        numbers = np.random.default_rng(value.size).uniform(0.5, 1.5, value.shape)
        return self._graph.arrays.from_numpy(numbers, value.dtype)

    def _count(self, count: _Count, arrays: Mapping[Value, Any]) -> Any:
        """How many elements are summed up now, in the place of a constant that says so."""
        source, result = (math.prod(arrays[value].shape) for value in (count.source, count.result))
        number = source / result - count.less
        return self._graph.arrays.from_numpy(
            np.full(count.constant.shape, 1 / number if count.inverse else number),
            count.constant.dtype,
        )

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
        return self._graph.arrays.from_numpy(self._made_up(value), value.dtype)

    def _made_up(self, value: Value) -> NDArray[Any]:
        """Numbers for a live value that stands still: neutral ones, where there are such."""
        taken = next((node for node in self._moving if value in node.operands), None)
        if taken is not None and taken.role is Role.SHIFT:
            return np.zeros(value.shape)
        scales = taken is not None and taken.role in (Role.MULTIPLY, Role.DIVIDE)
        if scales or not value.is_float:
            return np.ones(value.shape)
        return np.random.default_rng(len(self.made_up)).standard_normal(value.shape)


def parameter_paths(site: Site) -> tuple[str, ...]:
    """The paths of the arrays of the model that a site uses."""
    return tuple(parameters_of(site))


def parameters_of(site: Site) -> dict[str, Value]:
    """The arrays of the model that a site uses, by their paths."""
    return _plan(site)[0].parameters


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
    opened = _Open(
        value
        for node in moving
        for value in node.operands
        if value not in reached and _may_be_learned(value, node, site.y)
    )
    return opened, moving


def _may_be_learned(value: Value, node: Node, y: Value) -> bool:
    """Whether it is no single number that belongs to the formula, as an epsilon or an exponent."""
    scales = node.role in (Role.MULTIPLY, Role.DIVIDE, Role.SHIFT)
    return (
        value.size > 1
        or node.role is Role.NORMALIZATION
        or (scales and node.results[0].size == y.size)
    )


@dataclass(frozen=True, eq=False)
class _Count:
    """A constant that says how many elements are summed up.

    Attributes:
        place: of the constant among the operands.
        constant: the constant.
        source, result: of the sum.
        less: how many fewer than there are.
        inverse: it is 1 divided by their number.
    """

    place: int
    constant: Value
    source: Value
    result: Value
    less: int
    inverse: bool


def _counts(graph: Graph, nodes: Sequence[Node]) -> dict[Node, _Count]:
    """The operators that divide a sum by the number of its elements, or by one less."""
    found: dict[Node, _Count] = {}
    for node in nodes:
        if node.role not in (Role.DIVIDE, Role.MULTIPLY) or len(node.operands) != 2:
            continue
        for place in (1,) if node.role is Role.DIVIDE else (0, 1):
            constant, total = node.operands[place], before_moves(node.operands[1 - place])
            source = None if total.node is None else source_of(total.node)
            if source is None or constant.live or constant.size != 1 or not total.live:
                continue
            inverse = node.role is Role.MULTIPLY
            number = float(known_numbers(graph, constant).ravel()[0])
            for less in (0, 1):
                count = source.size / total.size - less
                if count > 1 and math.isclose(
                    number, 1 / count if inverse else count, rel_tol=1e-6
                ):
                    found[node] = _Count(place, constant, source, total, less, inverse)
    return found
