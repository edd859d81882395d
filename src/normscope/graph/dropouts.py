"""Dropouts of a graph: which operators set elements to zero at random, and how many of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.graph.operators import Graph, Node, Role, Value
from normscope.graph.replay import replay
from normscope.graph.rules import Fixed

_DRAWS = 8
"""A mask of few elements is drawn so many times, until one of them is zero."""

_MOST_ELEMENTS = 2**24
_ENOUGH = 100
"""Of so many elements, the share of zeros tells a rate where nothing else tells it."""


class Dropouts:
    """Operators that set elements to zero at random and let the others pass, maybe scaled.

    Such an operator is a product with a mask that was drawn, a choice between a value and zero by
    what was drawn, or an operator of the framework that does both. They are run on ones: what comes
    out is zero or one other number.

    Args:
        graph: the graph; its nodes may be in bodies.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._drawn: dict[Value, bool] = {}
        self._rates: dict[Node, float | None] = {}

    def rate(self, node: Node) -> float | None:
        """The share of elements that an operator sets to zero at random; None where it does not.

        Where those that are left are divided by 1 - p, here or just before or after, it is that p;
        else it is the share that was seen.
        """
        if node not in self._rates:
            self._rates[node] = self._measured(node) if self.may_drop(node) else None
        return self._rates[node]

    def may_drop(self, node: Node) -> bool:
        """Whether an operator takes one live value and what was drawn; it is not run for that."""
        live = [operand for operand in node.live_operands if operand.is_float]
        if len(live) != 1 or len(node.live_operands) != 1 or node.run is None:
            return False
        if _named(node):
            return node.operands[0] is live[0] and node.role is not Role.COPY
        if node.role not in (Role.MULTIPLY, Role.SELECT):
            return False
        return any(self._is_drawn(operand) for operand in node.operands if not operand.live)

    def _is_drawn(self, value: Value) -> bool:
        """Whether random numbers are in a constant."""
        stack = [value]
        while stack:
            one = stack[-1]
            node = one.node
            if one in self._drawn:
                stack.pop()
            elif node is None or one.live:
                self._drawn[one] = False
            elif isinstance(node.rule, Fixed) or "bernoulli" in node.operator:
                random = not isinstance(node.rule, Fixed) or node.rule.drawn
                self._drawn[one] = random
            else:
                missing = [operand for operand in node.operands if operand not in self._drawn]
                if missing:
                    stack += missing
                    continue
                self._drawn[one] = any(self._drawn[operand] for operand in node.operands)
        return self._drawn[value]

    def _measured(self, node: Node) -> float | None:
        (x,) = node.live_operands
        if max(x.size, node.results[0].size) > _MOST_ELEMENTS:
            return None
        try:
            numbers = self._zeros_among(node, x)
        except Exception:  # an operator may refuse to be run again by any exception
            return None
        if numbers is None:
            return None
        share = float(np.mean(numbers == 0))
        passed = np.unique(numbers[numbers != 0])
        if not len(passed) or not np.allclose(passed, passed[0], rtol=1e-3):
            return None
        factor = float(passed[0])
        if np.isclose(factor, 1.0):
            factor = self._factor_beside(node, x)
        if factor > 1:
            return round(1 - 1 / factor, 6)
        return round(share, 3) if factor == 1 and numbers.size >= _ENOUGH else None

    def _zeros_among(self, node: Node, x: Value) -> NDArray[Any] | None:
        """What an operator makes of ones, some of which it has set to zero; None if it never does.

        It is zero where it is dropped, and not the other way round: zeros stay zeros.
        """
        arrays = self._graph.arrays
        ones = arrays.from_numpy(np.ones(x.shape), x.dtype)
        for draw in range(_DRAWS):
            numbers = self._made(node, x, ones, anew=draw > 0)
            if np.any(numbers == 0) and np.any(numbers != 0):
                zeros = arrays.from_numpy(np.zeros(x.shape), x.dtype)
                return numbers if not np.any(self._made(node, x, zeros)) else None
        return None

    def _made(self, node: Node, x: Value, array: Any, anew: bool = False) -> NDArray[Any]:
        """The first result of an operator for an array in the place of x."""
        if anew and not _named(node):  # what is drawn by itself is drawn anew in each run
            made = replay(self._graph, [node.results[0]], {x: array}, anew=True)
            return np.asarray(self._graph.arrays.to_numpy(made[0]))
        constants = [operand for operand in node.operands if operand is not x]
        found = dict(zip(constants, replay(self._graph, constants, {}), strict=True))
        run = node.run
        assert run is not None
        given = [array if operand is x else found[operand] for operand in node.operands]
        return np.asarray(self._graph.arrays.to_numpy(run(given)[0]))

    def factor(self, node: Node) -> float | None:
        """The one number by which an operator multiplies all elements; None if it does not."""
        if node.role not in (Role.MULTIPLY, Role.DIVIDE) or len(node.live_operands) != 1:
            return None
        (x,) = node.live_operands
        if node.run is None or not x.is_float or sum(one is x for one in node.operands) != 1:
            return None
        if any(one.size != 1 or one.is_parameter for one in node.operands if one is not x):
            return None
        if node.role is Role.DIVIDE and node.operands[0] is not x:
            return None
        one = self._graph.arrays.from_numpy(np.ones((1,) * len(x.shape)), x.dtype)
        try:
            return float(self._made(node, x, one).ravel()[0])
        except Exception:  # an operator may refuse to be run again by any exception
            return None

    def _factor_beside(self, node: Node, x: Value) -> float:
        """By what x is multiplied just before or after an operator of the same layer."""
        beside = [] if x.node is None else [x.node]
        beside += node.results[0].users if len(node.results[0].users) == 1 else []
        for other in beside:
            factor = self.factor(other) if other.call is node.call else None
            if factor is not None and factor > 1:
                return factor
        return 1.0


def _named(node: Node) -> bool:
    """Whether it is a dropout in one operator, by the name that its framework gives it."""
    return "dropout" in node.operator.lower()
