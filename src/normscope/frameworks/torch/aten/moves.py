"""Operators of PyTorch that move elements: views, slices, joins, padding, lookups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from normscope.frameworks.torch.aten.application import Application, Meaning, Run
from normscope.graph.labels import along, labels
from normscope.graph.lattice import distinct
from normscope.graph.operators import Role
from normscope.graph.rules import NOTHING, Dims, Labels, Move, Names

_INTEGERS = """t transpose permute expand slice select squeeze unsqueeze unbind split
split_with_sizes unsafe_split unsafe_split_with_sizes unsafe_chunk chunk cat stack flip roll repeat
unfold unfold_copy narrow diagonal diag_embed movedim swapaxes expand_copy permute_copy slice_copy
squeeze_copy select_copy t_copy transpose_copy unbind_copy split_copy unsqueeze_copy diagonal_copy
split_with_sizes_copy rot90 tril triu slice_scatter select_scatter diagonal_scatter block_diag
channel_shuffle native_channel_shuffle pixel_shuffle pixel_unshuffle"""
_FLOATS = """reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d
replication_pad3d im2col upsample_nearest1d upsample_nearest2d upsample_nearest3d
_upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_nearest_exact3d"""
_RESHAPES = "view _unsafe_view reshape _reshape_alias view_copy _reshape_copy flatten"


def replayed(run: Run, data: Sequence[int], dtype: torch.dtype = torch.int64) -> Callable[..., Any]:
    """An operator on names instead of numbers; where it puts zeros, nothing is named."""

    def replay(arrays: Sequence[NDArray[Any]]) -> Sequence[Names]:
        operands = [
            _shifted(array, dtype) if number in data else torch.from_numpy(np.array(array))
            for number, array in enumerate(arrays)
        ]
        return [_names(result) for result in run(operands)]

    return replay


def _shifted(names: NDArray[Any], dtype: torch.dtype) -> torch.Tensor:
    """Names from zero on; what is repeated stays so, as large ones are, in integers as they are."""
    own = distinct(names)
    moved = torch.from_numpy(np.array(own - NOTHING))
    kept = own.size < names.size and dtype is torch.int64
    return (moved if kept else moved.to(dtype)).expand(names.shape)


def _names(result: torch.Tensor) -> Names:
    """The names that they stood for."""
    numbers = result.numpy()
    own = distinct(numbers)
    if numbers.dtype.kind == "f":
        own = own.astype(np.int64 if own.size == numbers.size else np.int32)
    return np.broadcast_to(own + NOTHING, numbers.shape)


def _moved(dtype: torch.dtype) -> Callable[[Application], Meaning]:
    def meaning(op: Application) -> Meaning:
        data = tuple(range(len(op.operands)))
        return Meaning(Role.MOVE, Move(data, replayed(op.run_again(), data, dtype)))

    return meaning


def reshaped(op: Application) -> Meaning:
    """By the shape alone: what is a view here may need a copy when it is run again."""
    if op.overload == "dtype":
        return read_as(op)
    shape = tuple(op.result.shape)

    def run(arrays: Sequence[Any]) -> Sequence[Any]:
        return [arrays[0].reshape(shape)]

    return Meaning(Role.MOVE, Move((0,), replayed(run, (0,))), takes=(0,), run=run)


def read_as(op: Application) -> Meaning:
    """The same bits as numbers of another type; of another size, along the last axis."""
    rank = op.ranks[0]
    same = op.operands[0].shape == op.result.shape
    return Meaning(Role.OTHER, along(rank, () if same else {rank - 1}))


def padded(op: Application) -> Meaning:
    """With a constant."""
    widths = list(op["pad"])

    def zeros(arrays: Sequence[Any]) -> Sequence[Any]:
        return [torch.ops.aten.constant_pad_nd(arrays[0], widths, 0)]

    return Meaning(Role.MOVE, Move((0,), replayed(zeros, (0,))))


# --- lookups: which element is moved, other operands say ------------------------------------------


def looked_up(op: Application) -> Meaning:
    """Rows of a table, which may be learned."""
    indices = labels(op.ranks[1])
    otherwise = Labels({0: (None, "z"), 1: indices}, ((*indices, "z"),), chooses=frozenset({1}))
    replay = replayed(op.run_again(), (0,))
    learned = not op.live[0]
    return Meaning(
        Role.PRODUCT if learned else Role.MOVE,
        Move((0,), replay, otherwise),
        channel_axis=op.ranks[1] if learned else None,
    )


def selected(op: Application) -> Meaning:
    """`index_select`: whole slices along one axis."""
    rank = op.ranks[0]
    every = labels(rank)
    axis = op["dim"] % max(rank, 1)
    own = labels(rank, {axis})
    index: Dims = (every[axis],) if op.ranks[1] else ()
    otherwise = Labels({0: own, 1: index}, (every,), chooses=frozenset({1}))
    return Meaning(Role.MOVE, Move((0,), replayed(op.run_again(), (0,)), otherwise))


def gathered(op: Application) -> Meaning:
    """`gather`: single elements along one axis."""
    rank = op.ranks[0]
    every = labels(rank)
    otherwise = Labels(
        {0: labels(rank, {op["dim"]}), 1: every[: op.ranks[1]]}, (every,), chooses=frozenset({1})
    )
    return Meaning(Role.MOVE, Move((0,), replayed(op.run_again(), (0,)), otherwise))


def taken(op: Application) -> Meaning:
    """`take`: single elements by their place in the flat tensor."""
    index = labels(op.ranks[1])
    otherwise = Labels({0: (None,) * op.ranks[0], 1: index}, (index,), chooses=frozenset({1}))
    return Meaning(Role.MOVE, Move((0,), replayed(op.run_again(), (0,)), otherwise))


def indexed(op: Application) -> Meaning:
    """`x[i, :, j]` with tensors of indices, or of truth values."""
    otherwise = None if _has_masks(op) else index_labels(op)
    return Meaning(Role.MOVE, Move((0,), replayed(op.run_again(), (0,)), otherwise))


def _has_masks(op: Application) -> bool:
    return any(t is not None and t.dtype in (torch.bool, torch.uint8) for t in op["indices"])


def index_labels(op: Application) -> Labels:
    """What holds where indices are not known; those that are tensors are broadcast together."""
    indices = [*op["indices"], *[None] * (op.ranks[0] - len(op["indices"]))]
    at = [axis for axis, index in enumerate(indices) if index is not None]
    width = max(indices[axis].dim() for axis in at)
    own = labels(op.ranks[0], at)
    together = tuple(f"i{number}" for number in range(width))
    first = at[0] if at == list(range(at[0], at[0] + len(at))) else 0
    kept = [label for axis, label in enumerate(own) if axis not in at]
    result = (*kept[:first], *together, *kept[first:])
    operands: dict[int, Dims] = {0: own}
    for number, axis in enumerate(at, start=1):
        operands[number] = together[width - indices[axis].dim() :]
    return Labels(operands, (result,), chooses=frozenset(range(1, len(at) + 1)))


RULES: dict[str, Callable[[Application], Meaning]] = {
    **dict.fromkeys(_INTEGERS.split(), _moved(torch.int64)),
    **dict.fromkeys(_FLOATS.split(), _moved(torch.float64)),
    **dict.fromkeys(_RESHAPES.split(), reshaped),
    "constant_pad_nd": padded,
    "embedding": looked_up,
    "index_select": selected,
    "gather": gathered,
    "take": taken,
    **dict.fromkeys(("index", "_unsafe_index"), indexed),
}
