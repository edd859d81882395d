"""What is done to the inputs of a graph before the first product or statistic -> `Entry`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from normscope.audit.entry import Entry, InputStep
from normscope.graph.operators import Graph, Node, Role, Value
from normscope.graph.replay import replay
from normscope.graph.rules import Labels
from normscope.graph.statistics_flow import is_shape

_MOST_ELEMENTS = 2**22
_MOST_STEPS = 32
_MOST_WAYS = 8

Floats = NDArray[np.float64]
_Way = tuple[Value, tuple[InputStep, ...], tuple[int, ...] | None]
"""A value, what was done to the input before it, and which axes of the input its axes are."""


def entries_of(graph: Graph) -> tuple[Entry, ...]:
    """What is done to each input; one `Entry` for each way that it takes, the first few of them."""
    return tuple(
        entry
        for value in graph.inputs
        if value.size <= _MOST_ELEMENTS
        for entry in _ways(graph, value)
        if entry.steps
    )


def _ways(graph: Graph, value: Value) -> Iterator[Entry]:
    todo: list[_Way] = [(value, (), tuple(range(len(value.shape))))]
    told = 0
    while todo and told < _MOST_WAYS:
        one, steps, axes = todo.pop()
        following: list[_Way] = []
        for node in one.users:
            if len(node.results) != 1 or len(steps) >= _MOST_STEPS:
                continue
            if is_shape(node):
                following.append((node.results[0], steps, _moved(node, one, axes)))
                continue
            step = _step(graph, node, one)
            if step is not None:
                told_of_input = step if axes is None else _along(step, axes)
                following.append((node.results[0], (*steps, told_of_input), axes))
        todo += following[::-1]
        if not following:
            told += 1
            summed = _summed_axis(one)
            channels = None if summed is None or axes is None else axes[summed]
            yield Entry(value.name, value.shape, steps, channels)


def _moved(node: Node, x: Value, axes: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """The axes of the input that those of a result are; None where they are not the same ones."""
    rule = node.rule
    if axes is None or not isinstance(rule, Labels) or x not in node.operands:
        return None
    before = rule.operands.get(node.operands.index(x), ())
    after = rule.results[0]
    if (
        None in before
        or len(set(before)) != len(before)
        or sorted(map(str, before)) != sorted(map(str, after))
    ):
        return None
    return tuple(axes[before.index(label)] for label in after)


def _along(step: InputStep, axes: tuple[int, ...]) -> InputStep:
    """A step with its arrays along the axes of the input."""
    back = np.argsort(axes)
    return replace(step, scale=step.scale.transpose(back), shift=step.shift.transpose(back))


def _step(graph: Graph, node: Node, x: Value) -> InputStep | None:
    """An operator as a step; None if it does more than scale and shift x by constants."""
    if node.role not in (Role.SHIFT, Role.MULTIPLY, Role.DIVIDE) or node.live_operands != (x,):
        return None
    y = node.results[0]
    if y.shape != x.shape or node.run is None:
        return None
    at = [_result(graph, node, x, number) for number in (0.0, 1.0, -2.0)]
    zero, one, other = at
    if zero is None or one is None or other is None:
        return None
    scale = one - zero
    if not np.allclose(other, zero - 2 * scale, rtol=1e-4, atol=1e-6 * float(np.abs(zero).max())):
        return None
    if node.role is Role.SHIFT and np.allclose(scale, np.round(scale), atol=1e-3):
        scale = np.round(scale)  # 1 or -1, but for the rounding of what is added
    return InputStep(
        node.path,
        node.call.type,
        node.operator,
        _short(scale),
        _short(zero),
        tuple(name for operand in node.operands for name in _names(operand)),
    )


def _result(graph: Graph, node: Node, x: Value, number: float) -> Floats | None:
    array = graph.arrays.from_numpy(np.full(x.shape, number), x.dtype)
    try:
        with np.errstate(all="ignore"):
            (found,) = replay(graph, node.results, {x: array})
            result = np.array(graph.arrays.to_numpy(found), np.float64)
    except Exception:  # it cannot be run again, or refuses these numbers by any exception
        return None
    return result if np.isfinite(result).all() else None


def _names(value: Value) -> Iterator[str]:
    """The paths of the arrays of the model from which a constant is computed."""
    stack, seen = [value], {value}
    while stack and len(seen) < 64:
        one = stack.pop()
        if one.is_parameter:
            yield one.name
        for operand in one.node.operands if one.node is not None and not one.live else ():
            if operand not in seen:
                seen.add(operand)
                stack.append(operand)


def _short(array: Floats) -> Floats:
    for axis in range(array.ndim):
        first = array.take([0], axis)
        if (array == first).all():
            array = first
    return array


def _summed_axis(value: Value) -> int | None:
    """The axis of a value over which the one product that takes it sums as a whole."""
    products = [node for node in value.users if node.role is Role.PRODUCT]
    if len(products) != 1 or products[0].channel_axis is None:
        return None
    node = products[0]
    rule = node.rule
    if not isinstance(rule, Labels) or node.operands[0] is not value:
        return None
    dims = rule.operands.get(0, ())
    summed = [
        axis for axis, label in enumerate(dims) if label is None or label not in rule.results[0]
    ]
    return summed[0] if len(summed) == 1 else None
