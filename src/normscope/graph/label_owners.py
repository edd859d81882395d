"""Owners along labels: an index sees its own, a window, what is before it, or everything."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from normscope.graph.lattice import NOBODY, Ints, Lattice, aligned, compact, nobody
from normscope.graph.masks import Fact, Known
from normscope.graph.rules import Dims, Labels

_PAIRS = 50_000_000
"""So many pairs of factors are looked at in one product."""


def joined(
    lattice: Lattice,
    rule: Labels,
    owners: Sequence[Ints],
    shapes: Sequence[tuple[int, ...]],
    dims: Dims,
    shape: tuple[int, ...],
) -> Ints:
    """The owners of a result whose dimensions have these labels."""
    joined = nobody(len(shape))
    for number, labels in rule.operands.items():
        own = owners[number]
        if own.size == 1 and own.item() == NOBODY:
            continue
        if len(labels) != own.ndim or len(dims) != len(shape):
            raise ValueError("its labels are not as many as its dimensions")
        gone = [axis for axis, label in enumerate(labels) if label is None or label not in dims]
        own = lattice.join_along(own, gone)
        for axis, label in enumerate(labels):
            if axis in gone or own.shape[axis] == 1 or label is None:
                continue
            made, size = shape[dims.index(label)], shapes[number][axis]
            if label in rule.relations:
                own = lattice.seen(own, axis, rule.relations[label], size, made)
            elif made > size:
                raise ValueError(f"along {label}, {size} indices become {made}")
            else:
                own = own.take(np.arange(made), axis)
        joined = lattice.join(joined, aligned(own, labels, dims))
    return joined


def picked(rule: Labels, owners: Sequence[Ints], picks: Ints) -> Ints:
    """The owners of elements of which each is that of one operand; -1 is none."""
    (dims,) = set(rule.results)
    found: Ints = np.full(picks.shape, NOBODY)
    for number, labels in rule.operands.items():
        found = np.where(picks == number, aligned(owners[number], labels, dims), found)
    return compact(found)


def summed(rule: Labels, dims: Dims) -> tuple[list[int], list[str]]:
    """The two operands of a sum of products, and the labels along which it is summed.

    Both are empty where the rule tells of no such sum.
    """
    holders: dict[str, list[int]] = {}
    for number, labels in rule.operands.items():
        for label in dict.fromkeys(labels):
            if label is not None and label not in dims:
                holders.setdefault(label, []).append(number)
    shared = [numbers for numbers in holders.values() if len(numbers) > 1]
    if rule.relations or not shared or len(shared[0]) != 2 or any(p != shared[0] for p in shared):
        return [], []
    return shared[0], [label for label, numbers in holders.items() if numbers == shared[0]]


def product(
    lattice: Lattice,
    rule: Labels,
    dims: Dims,
    pair: Sequence[Known],
    places: Sequence[int],
    along: Sequence[str],
) -> Ints | None:
    """The owners of a sum of products, where a factor that is zero hides the other.

    Args:
        lattice: of the owners.
        rule: of the operator.
        dims: the labels of the result.
        pair: what is known of the two factors.
        places: their numbers among the operands.
        along: the labels along which is summed.

    Returns:
        None if no factor is known to be zero, or they may be infinite.
    """
    if any(known.spoiled for known in pair):
        return None
    if not any((known.facts == Fact.ZERO).any() for known in pair):
        return None
    joint = (*dims, *along)
    zeros, owners = [], []
    for number, known in zip(places, pair, strict=True):
        labels = rule.operands[number]
        gone = tuple(axis for axis, label in enumerate(labels) if label not in joint)
        zero = (known.facts == Fact.ZERO).astype(np.int64).min(gone, keepdims=True)
        zeros.append(aligned(zero, labels, joint) == 1)
        owners.append(aligned(lattice.join_along(known.owners, gone), labels, joint))
    zero = zeros[0] | zeros[1]
    shape = np.broadcast_shapes(zero.shape, *(own.shape for own in owners))
    if np.prod(shape, dtype=float) > _PAIRS:
        return None
    seen = np.where(zero, NOBODY, lattice.join(*owners))
    last = tuple(range(len(dims), len(joint)))
    return lattice.join_along(seen, last).reshape(seen.shape[: len(dims)])
