"""Dropouts that feed a site up to linear maps, and how far they raise the variance there."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.graph.dropouts import Dropouts
from normscope.graph.operators import Graph, Node, Role, Value
from normscope.graph.replay import replay
from normscope.graph.statistics_flow import is_shape

_MOST_STEPS = 32
_MOST_ELEMENTS = 2**22
_VALUES = 2**14
"""So many values of the site are drawn, or more."""

_MOST_DRAWS = 128
_SCALES = Role.MULTIPLY, Role.DIVIDE


@dataclass(frozen=True)
class Dropped:
    """A dropout that feeds a site up to linear maps.

    Attributes:
        node: the dropout.
        rate: the share of elements that it sets to zero in training.
        direct: whether nothing stands between but moves, casts and factors.
    """

    node: Node
    rate: float
    direct: bool


def dropped_before(x: Value, dropouts: Dropouts) -> Dropped | None:
    """The nearest dropout upstream with nothing but linear maps of one value between.

    Args:
        x: what a site normalizes.
        dropouts: of its graph.
    """
    value, direct = x, True
    for _ in range(_MOST_STEPS):
        node = value.node
        live = [] if node is None else [one for one in node.live_operands if one.is_float]
        if node is None or len(live) != 1 or len(node.live_operands) != 1:
            return None
        rate = dropouts.rate(node)
        if rate is not None:
            return Dropped(node, rate, direct)
        (before,) = live
        if not _is_linear(node, before):
            return None
        direct &= is_shape(node) or dropouts.factor(node) is not None
        value = before
    return None


def inflation(graph: Graph, dropped: Dropped, x: Value, kept: Collection[int]) -> float | None:
    """How many times the variance at x is larger in training than at inference; None if unknown.

    What the dropout is given is made up: normal noise, through the activation before it if there is
    one. The weights between are those of the model.

    Args:
        graph: of the site.
        dropped: the dropout.
        x: what the site normalizes.
        kept: the axes of x along which its statistics are apart.
    """
    node = dropped.node
    if max(x.size, node.results[0].size) > _MOST_ELEMENTS:
        return None
    rng = np.random.default_rng(0)
    over: tuple[int, ...] = tuple(axis for axis in range(len(x.shape)) if axis not in kept)
    moments: list[list[NDArray[Any]]] = [[], []]
    try:
        for _ in range(min(_MOST_DRAWS, max(1, _VALUES // x.size))):
            given = _given(graph, node, rng)
            mask = rng.random(_mask_shape(node)) >= dropped.rate
            for mode, array in enumerate((given, given * mask / (1 - dropped.rate))):
                result = graph.arrays.from_numpy(array, node.results[0].dtype)
                made = replay(graph, [x], {node.results[0]: result})[0]
                numbers = np.asarray(graph.arrays.to_numpy(made), np.float64)
                moments[mode].append(np.stack([numbers.mean(over), (numbers**2).mean(over)]))
    except Exception:  # operators may refuse to be run again by any exception
        return None
    inference, training = (np.mean(one, 0) for one in moments)
    least = (inference[1] - inference[0] ** 2).sum()
    ratio = (training[1] - training[0] ** 2).sum() / least if least > 0 else np.nan
    return float(ratio) if np.isfinite(ratio) else None


def _given(graph: Graph, node: Node, rng: np.random.Generator) -> NDArray[Any]:
    """What a dropout is given: normal noise, through the activation before it."""
    (x,) = node.live_operands
    start = x
    while (before := start.node) is not None and len(before.live_operands) == 1:
        others = [one for one in before.operands if not one.live]
        scales = before.role in _SCALES and all(one.size == 1 for one in others)
        if (is_shape(before) and before.live_operands[0].size == start.size) or scales:
            start = before.live_operands[0]
            continue
        if before.role.elementwise and before.role not in (Role.SHIFT, *_SCALES):
            start = before.live_operands[0]
        break
    noise = graph.arrays.from_numpy(rng.standard_normal(start.shape), start.dtype)
    return np.asarray(graph.arrays.to_numpy(replay(graph, [x], {start: noise})[0]), np.float64)


def _mask_shape(node: Node) -> tuple[int, ...]:
    """The shape in which a mask was drawn: whole channels or samples may be dropped."""
    (x,) = node.live_operands
    ranks = [one for one in node.operands if not one.live and len(one.shape) == len(x.shape)]
    value = next((one for one in ranks if one.size > 1), x)
    while value.node is not None and is_shape(value.node) and not value.live:
        before = value.node.operands[0]
        if len(before.shape) != len(value.shape):
            break
        value = before
    return value.shape


def _is_linear(node: Node, x: Value) -> bool:
    """Whether an operator is linear in x, but for a constant that is added."""
    if is_shape(node) or (node.role is Role.PRODUCT and x in node.operands):
        return True
    if node.role is Role.DIVIDE:
        return node.operands[0] is x
    return node.role in (Role.SHIFT, Role.MULTIPLY) or (
        node.role in (Role.STATISTIC, Role.RUNNING) and "mean" in node.operator.lower()
    )
