"""Operators of PyTorch that put the elements of one operand into another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.frameworks.torch.aten.application import Application, Meaning
from normscope.graph.labels import labels
from normscope.graph.operators import Role
from normscope.graph.rules import NOTHING, Labels, Names, Scatter

Known = Sequence[NDArray[Any] | None]


def scattered(op: Application) -> Meaning:
    """`scatter`: single elements along one axis; an index shorter than the source cuts it."""
    source, index = op.number("src"), op.number("index")
    assert source is not None
    assert index is not None
    shape, taken = tuple(op.result.shape), tuple(op.operands[source].shape)
    axis = op["dim"] % max(len(shape), 1)

    def places(known: Known) -> Names:
        where = np.asarray(known[index])
        found = np.full(taken, NOTHING, np.int64)
        grid = list(np.indices(where.shape))
        if grid:
            grid[axis] = where
            found[tuple(slice(n) for n in where.shape)] = np.ravel_multi_index(grid, shape)
        else:
            found[...] = 0
        return found

    adds = op.name != "scatter" or op.get("reduce") is not None
    rank = len(shape)
    own = labels(rank, {axis})
    otherwise = Labels({0: own, index: own, source: own}, (own,), chooses=frozenset({index}))
    return Meaning(
        Role.MOVE if not adds else Role.OTHER, Scatter(0, source, places, adds, otherwise)
    )


def slices(op: Application) -> Meaning:
    """`index_add` and `index_copy`: whole slices along one axis."""
    source, index = op.number("source"), op.number("index")
    assert source is not None
    assert index is not None
    shape, taken = tuple(op.result.shape), tuple(op.operands[source].shape)
    axis = op["dim"] % max(len(shape), 1)

    def places(known: Known) -> Names:
        where = np.asarray(known[index]).reshape(-1)
        grid = list(np.indices(taken))
        if not grid:
            return np.zeros(taken, np.int64)
        grid[axis] = where[grid[axis]]
        return np.asarray(np.ravel_multi_index(grid, shape), np.int64)

    adds = op.name != "index_copy"
    own = labels(len(shape), {axis})
    otherwise = Labels(
        {0: own, index: (None,) * op.ranks[index], source: own}, (own,), chooses=frozenset({index})
    )
    return Meaning(
        Role.MOVE if not adds else Role.OTHER, Scatter(0, source, places, adds, otherwise)
    )


def put(op: Application) -> Meaning:
    """`x[i, :, j] = values`, where the values have the whole shape of what they replace."""
    slots = op.slots("indices")
    source = op.number("values")
    assert source is not None
    shape, taken = tuple(op.result.shape), tuple(op.operands[source].shape)
    numbers = [None if slot is None else slot.number for slot in slots]

    def places(known: Known) -> Names:
        flat = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)
        where = tuple(slice(None) if n is None else np.asarray(known[n]) for n in numbers)
        return np.ascontiguousarray(np.broadcast_to(flat[where], taken))

    at = [axis for axis, number in enumerate(numbers) if number is not None]
    own = labels(len(shape), at)
    chosen = frozenset(number for number in numbers if number is not None)
    kept = len(shape) - len(numbers)  # axes behind those of the indices come last in the values
    tail = own[len(shape) - kept :]
    values = (*[None] * (len(taken) - kept), *tail)
    otherwise = Labels(
        {0: own, source: values, **{n: (None,) * op.ranks[n] for n in chosen}},
        (own,),
        chooses=chosen,
    )
    adds = bool(op["accumulate"])
    return Meaning(
        Role.MOVE if not adds else Role.OTHER, Scatter(0, source, places, adds, otherwise)
    )


RULES: dict[str, Callable[[Application], Meaning]] = {
    **dict.fromkeys(("scatter", "scatter_add", "scatter_reduce"), scattered),
    **dict.fromkeys(("index_add", "index_copy", "index_reduce"), slices),
    **dict.fromkeys(("index_put", "_unsafe_index_put", "_index_put_impl"), put),
}
