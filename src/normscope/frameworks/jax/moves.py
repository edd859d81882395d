"""The primitives of JAX that only move elements, done with names of elements in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.graph import labels
from normscope.graph.rules import NOTHING, Labels, Move, Names

SAME = frozenset(
    (
        "layout_constraint",
        "name",
        "optimization_barrier",
        "pvary",
        "reshard",
        "sharding_constraint",
        "tie",
        "with_memory_space_constraint",
    )
)
"""Each result is the operand at its place."""

Arrays = Sequence[NDArray[Any]]


def same(count: int) -> Move:
    """As many results as operands, one the other."""
    return Move(tuple(range(count)), lambda arrays: list(arrays))


def taken(names: NDArray[Any], places: Names) -> Names:
    """The names at flat places; `NOTHING` where the place is."""
    if names.size == 0:
        return np.full(places.shape, NOTHING, np.int64)
    return np.where(places == NOTHING, NOTHING, names.reshape(-1)[np.maximum(places, 0)])


def _single(do: Callable[[NDArray[Any], Mapping[str, Any]], NDArray[Any]]) -> Any:
    def rule(equation: Any) -> Move:
        return Move((0,), lambda arrays: [do(arrays[0], equation.params)])

    return rule


def _broadcast(x: NDArray[Any], params: Mapping[str, Any]) -> NDArray[Any]:
    shape = [1] * len(params["shape"])
    for axis, place in enumerate(params["broadcast_dimensions"]):
        shape[place] = x.shape[axis]
    return np.broadcast_to(x.reshape(shape), params["shape"])


def _slice(x: NDArray[Any], params: Mapping[str, Any]) -> NDArray[Any]:
    strides = params["strides"] or (1,) * x.ndim
    starts, limits = params["start_indices"], params["limit_indices"]
    return x[tuple(map(slice, starts, limits, strides))]


def _concatenate(equation: Any) -> Move:
    axis = equation.params["dimension"]
    return Move(tuple(range(len(equation.invars))), lambda a: [np.concatenate(a, axis)])


def _stack(equation: Any) -> Move:
    axis = equation.params["axis"]
    return Move(tuple(range(len(equation.invars))), lambda a: [np.stack(a, axis)])


def _split(equation: Any) -> Move:
    ends, axis = np.cumsum(equation.params["sizes"])[:-1], equation.params["axis"]
    return Move((0,), lambda arrays: np.split(arrays[0], ends, axis))


def _unstack(equation: Any) -> Move:
    axis = equation.params["axis"]
    return Move((0,), lambda arrays: list(np.moveaxis(arrays[0], axis, 0)))


def _pad(equation: Any) -> Move:
    """With something between elements; negative padding cuts."""
    config = equation.params["padding_config"]

    def replay(arrays: Arrays) -> list[Names]:
        x, filling = arrays
        spread = [
            n + max(n - 1, 0) * inner for n, (_, _, inner) in zip(x.shape, config, strict=True)
        ]
        shape = [n + max(a, 0) + max(b, 0) for n, (a, b, _) in zip(spread, config, strict=True)]
        padded = np.full(shape, filling, np.int64)
        padded[
            tuple(
                slice(max(low, 0), max(low, 0) + n, inner + 1)
                for n, (low, _, inner) in zip(spread, config, strict=True)
            )
        ] = x
        cut = (
            slice(max(-a, 0), n - max(-b, 0)) for n, (a, b, _) in zip(shape, config, strict=True)
        )
        return [padded[tuple(cut)]]

    return Move((0, 1), replay)


def _window(shape: Sequence[int], sizes: Sequence[int], starts: Arrays) -> tuple[slice, ...]:
    """The window of these sizes, moved inside where it would reach over an end."""
    begins = [
        int(np.clip(int(start), 0, length - size))
        for length, size, start in zip(shape, sizes, starts, strict=True)
    ]
    return tuple(slice(begin, begin + size) for begin, size in zip(begins, sizes, strict=True))


def dynamic_slice(equation: Any) -> Move:
    """A slice at places that the other operands say."""
    shape, sizes = equation.invars[0].aval.shape, equation.params["slice_sizes"]
    dims = _where_full(shape, sizes)
    starts = range(1, len(equation.invars))
    return Move(
        (0,),
        lambda arrays: [arrays[0][_window(shape, sizes, arrays[1:])]],
        Labels(
            {0: dims, **dict.fromkeys(starts, ())},
            (labels.labels(len(shape)),),
            chooses=frozenset(starts),
        ),
    )


def _dynamic_update_slice(equation: Any) -> Move:
    """A slice is overwritten, at places that the other operands say."""
    shape, sizes = (atom.aval.shape for atom in equation.invars[:2])
    dims = _where_full(shape, sizes)

    def replay(arrays: Arrays) -> list[Names]:
        result = np.array(arrays[0])
        result[_window(shape, sizes, arrays[2:])] = arrays[1]
        return [result]

    all_dims = labels.labels(len(shape))
    starts = range(2, len(equation.invars))
    operands = {0: all_dims, 1: dims, **dict.fromkeys(starts, ())}
    return Move((0, 1), replay, Labels(operands, (all_dims,), chooses=frozenset(starts)))


def _where_full(shape: Sequence[int], sizes: Sequence[int]) -> tuple[str | None, ...]:
    return labels.labels(
        len(shape), {a for a, (n, size) in enumerate(zip(shape, sizes, strict=True)) if n != size}
    )


MOVES: Mapping[str, Callable[[Any], Move]] = {
    "broadcast_in_dim": _single(_broadcast),
    "broadcast_to": _single(lambda x, p: np.broadcast_to(x, p["shape"])),
    "concatenate": _concatenate,
    "dynamic_slice": dynamic_slice,
    "dynamic_update_slice": _dynamic_update_slice,
    "expand_dims": _single(lambda x, p: np.expand_dims(x, p["dimensions"])),
    "pad": _pad,
    "reshape": _single(lambda x, p: x.reshape(p["new_sizes"])),
    "rev": _single(lambda x, p: np.flip(x, p["dimensions"])),
    "slice": _single(_slice),
    "split": _split,
    "squeeze": _single(lambda x, p: x.squeeze(tuple(p["dimensions"]))),
    "stack": _stack,
    "tile": _single(lambda x, p: np.tile(x, p["reps"])),
    "transpose": _single(lambda x, p: x.transpose(p["permutation"])),
    "unstack": _unstack,
}
