"""Operators that normalize; operand 0 is x, result 0 is y."""

from __future__ import annotations

from collections.abc import Collection

from normscope.frameworks.onnx.operators.applied import Applied, Meaning
from normscope.graph.labels import labels, normalization
from normscope.graph.operators import Role
from normscope.graph.rules import Dims


def _over(node: Applied, sets: Collection[int], channels: int | None = None) -> Meaning:
    """Sets along these axes; further results are their statistics, in as many axes as they have."""
    x = labels(node.rank(), sets)
    statistics: list[Dims] = [
        x if len(shape) == len(x) else (None,) * len(shape) for shape, _ in node.results[1:]
    ]
    return Meaning(Role.NORMALIZATION, normalization(node.ranks, sets, channels, statistics))


def over_last_axes(node: Applied) -> Meaning:
    """LayerNormalization, RMSNormalization: from an axis to the last."""
    rank = node.rank()
    first = node.attributes.get("axis", -1) % max(rank, 1)
    return _over(node, range(first, rank), rank - 1 if first == rank - 1 else None)


def over_positions(node: Applied) -> Meaning:
    """InstanceNormalization."""
    return _over(node, range(2, node.rank()), 1)


def over_groups(node: Applied) -> Meaning:
    """GroupNormalization: each channel is a group of its own, or all of them may share."""
    alone = node.attributes.get("num_groups") == node.shape()[1]
    return _over(node, range(2 if alone else 1, node.rank()), 1 if alone else None)


def over_batch(node: Applied) -> Meaning:
    """BatchNormalization: of stored statistics, or of those of the batch."""
    if not trains(node):
        return _over(node, (), 1)
    rank = node.rank()
    x: Dims = labels(rank, [axis for axis in range(rank) if axis != 1])
    return Meaning(
        Role.NORMALIZATION,
        normalization(
            node.ranks,
            [axis for axis in range(rank) if axis != 1],
            1,
            [
                (x[1],) if len(shape) == 1 and rank > 1 else (None,) * len(shape)
                for shape, _ in node.results[1:]
            ],
        ),
    )


def trains(node: Applied) -> bool:
    """Whether a batch normalization computes statistics.

    An attribute since version 14; before, more than one result; before version 7, `is_test`.
    """
    if node.version >= 14:
        return bool(node.attributes.get("training_mode", 0))
    if node.version >= 7:
        return len(node.results) > 1
    return not node.attributes.get("is_test", 0) and len(node.results) > 1


def by_length(node: Applied) -> Meaning:
    """LpNormalization: along one axis."""
    return _over(node, {node.attributes.get("axis", -1) % max(node.rank(), 1)})


def by_mean_and_variance(node: Applied) -> Meaning:
    """MeanVarianceNormalization: along axes; in its first form by attributes of another kind."""
    if "across_channels" in node.attributes:
        across = bool(node.attributes["across_channels"])
        return _over(node, range(1 if across else 2, node.rank()))
    return _over(node, [axis % node.rank() for axis in node.attributes.get("axes", [0, 2, 3])])


def over_neighbours(node: Applied) -> Meaning:
    """LRN: over neighbouring channels."""
    return _over(node, {1})


def of_rows(node: Applied) -> Meaning:
    """Normalizer of ai.onnx.ml: each row of a matrix."""
    return _over(node, {node.rank() - 1})
