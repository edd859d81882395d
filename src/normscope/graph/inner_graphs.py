"""Owners in operators that run graphs of their own: branches and loops."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from normscope.graph.lattice import Lattice, compact, constant
from normscope.graph.masks import Fact, Known, either, either_along
from normscope.graph.operators import Graph, Node
from normscope.graph.rules import Branch, Repeat

Follow = Callable[[Graph, Sequence[Known]], list[Known]]
"""Gives what is known of the outputs of a graph, from what is known of its inputs."""

_ROUNDS = 100_000
"""So many operators are followed, round by round, where the rounds of a loop differ."""


def branch(
    lattice: Lattice, follow: Follow, rule: Branch, operands: Sequence[Known]
) -> tuple[list[Known], int]:
    """What is known of the results of any body; and the owner of the choice between them."""
    chooser, *inputs = operands
    results, *others = [follow(body, inputs) for body in rule.bodies]
    for other in others:
        results = [_either(lattice, a, b) for a, b in zip(results, other, strict=True)]
    return results, lattice.joined(chooser.owners)


def repeat(
    lattice: Lattice, follow: Follow, node: Node, rule: Repeat, operands: Sequence[Known]
) -> tuple[list[Known], int | None]:
    """What is known of the results of a loop; and the owner of the number of its rounds.

    The owner is None where the number depends on shapes alone.
    """
    kept = rule.constants + rule.carried
    constants, slices = list(operands[: rule.constants]), operands[kept:]
    carried = list(operands[rule.constants : kept])
    differ = any(k.owners.shape[0] > 1 or k.facts.shape[0] > 1 for k in slices)
    if differ and rule.condition is None:
        rounds = node.operands[kept].shape[0]
        if rounds * len(rule.body.nodes) <= _ROUNDS:
            return _round_by_round(follow, rule, constants, carried, slices, rounds), None
    results = _to_a_fixed_point(lattice, follow, rule, constants, carried, slices)
    if rule.condition is None:
        return results, None
    (again,) = follow(rule.condition, [*constants, *results[: rule.carried]])
    return results, lattice.joined(again.owners)


def _round_by_round(
    follow: Follow,
    rule: Repeat,
    constants: list[Known],
    carried: list[Known],
    slices: Sequence[Known],
    rounds: int,
) -> list[Known]:
    rows: list[list[Known]] = []
    for number in range(rounds):
        at = rounds - 1 - number if rule.reverse else number
        found = follow(rule.body, [*constants, *carried, *(_slice(k, at) for k in slices)])
        carried = found[: rule.carried]
        rows.append(found[rule.carried :])
    ordered = rows[::-1] if rule.reverse else rows
    return [*carried, *(_stack(row) for row in zip(*ordered, strict=True))]


def _to_a_fixed_point(
    lattice: Lattice,
    follow: Follow,
    rule: Repeat,
    constants: list[Known],
    carried: list[Known],
    slices: Sequence[Known],
) -> list[Known]:
    """Any number of rounds, each of which takes any slice."""
    top = lattice.count
    every = [
        Known(lattice.join_along(k.owners, [0])[0], either_along(k.facts, 0)[0]) for k in slices
    ]
    # at most so many rounds until an owner that each round raises by one is at the end
    for _ in range(2 * top + 8):
        found = follow(rule.body, [*constants, *carried, *every])
        after = found[: rule.carried]
        now = [_either(lattice, a, b) for a, b in zip(carried, after, strict=True)]
        if all(map(_same, carried, now)):
            break
        carried = now
    else:
        carried = [
            Known(constant(k.owners.ndim, top), constant(k.facts.ndim, Fact.WILD)) for k in now
        ]
        found = follow(rule.body, [*constants, *carried, *every])
    return [*carried, *(_stack([known]) for known in found[rule.carried :])]


def _either(lattice: Lattice, one: Known, other: Known) -> Known:
    owners = compact(lattice.join(one.owners, other.owners))
    return Known(owners, compact(either(one.facts, other.facts)))


def _slice(known: Known, at: int) -> Known:
    return Known(*(a[at if a.shape[0] > 1 else 0] for a in (known.owners, known.facts)))


def _stack(row: Sequence[Known]) -> Known:
    owners, facts = (
        compact(np.stack(np.broadcast_arrays(*arrays)))
        for arrays in ([k.owners for k in row], [k.facts for k in row])
    )
    return Known(owners, facts)


def _same(one: Known, other: Known) -> bool:
    pairs = ((one.owners, other.owners), (one.facts, other.facts))
    return all(bool(np.all(a == b)) for a, b in pairs)
