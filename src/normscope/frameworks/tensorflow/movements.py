"""Operators of TensorFlow that move elements: they are run on the names of elements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from normscope.frameworks.tensorflow.applied import Applied, names, run
from normscope.graph.labels import labels
from normscope.graph.rules import NOTHING, Labels, Move, Names, Rule, Scatter

_FIRST = (
    "Reshape Transpose ExpandDims Squeeze StridedSlice Slice Unpack SplitV Tile BroadcastTo "
    "ReverseV2 Roll DepthToSpace SpaceToDepth SpaceToBatchND BatchToSpaceND MirrorPad Pad PadV2 "
    "ResizeNearestNeighbor MatrixDiagV3 MatrixDiagPartV3 ExtractImagePatches DiagPart "
    "ReverseSequence GatherV2 GatherNd Gather ResourceGather TensorListStack TensorListFromTensor"
)
MOVES: dict[str, tuple[int, ...] | None] = {
    **dict.fromkeys(_FIRST.split(), (0,)),
    "Split": (1,),
    "ConcatV2": None,
    "Pack": None,
    "TensorStridedSliceUpdate": (0, 4),
    "MatrixSetDiagV3": (0, 1),
}
"""The operands whose elements are moved; None for all whose dtype is that of the result."""

_PADDED = {"MatrixDiagV3": 4, "MatrixDiagPartV3": 2, "PadV2": 2}
"""The operand with the number for what comes from nowhere."""


def move(op: Applied) -> Rule:
    """The rule of an operator that moves elements."""
    data = MOVES[op.type]
    if data is None:
        last = len(op.shapes) - (op.type == "ConcatV2")
        data = tuple(range(last))
    otherwise = _gathered(op) if op.type in ("GatherV2", "Gather", "ResourceGather") else None
    if op.type == "GatherNd":
        otherwise = _gathered_nd(op)
    if op.type == "StridedSlice":
        otherwise = _sliced(op)
    return Move(data, _replay(op, data), otherwise)


def _replay(op: Applied, data: tuple[int, ...]) -> Callable[[Sequence[NDArray[Any]]], list[Names]]:
    attributes = dict(op.attributes)
    for number in data:
        if op.type_attributes[number]:
            attributes[op.type_attributes[number]] = tf.int64
    name = op.type
    if name in ("ResourceGather", "Gather"):
        name = "GatherV2"
        attributes = {
            "batch_dims": attributes.get("batch_dims", 0),
            "Tparams": tf.int64,
            "Tindices": attributes["Tindices"],
            "Taxis": tf.int32,
        }

    def replay(arrays: Sequence[NDArray[Any]]) -> list[Names]:
        operands: list[Any] = [
            tf.constant(array, tf.int64) if number in data else array
            for number, array in enumerate(arrays)
        ]
        if op.type in ("ResourceGather", "Gather"):
            operands.append(np.int32(0))
        if op.type in ("TensorListStack", "TensorListFromTensor"):
            return [np.asarray(operands[0])]
        if op.type in _PADDED:
            operands[_PADDED[op.type]] = np.int64(NOTHING)
        if op.type == "Pad":
            operands.append(np.int64(NOTHING))
            return _numpy(run("PadV2", attributes, operands, 1))
        if op.type in ("SpaceToBatchND", "ExtractImagePatches"):  # they fill up with zeros
            operands[0] = operands[0] + 1
            return [found - 1 for found in _numpy(run(name, attributes, operands, 1))]
        return _numpy(run(name, attributes, operands, len(op.results)))

    return replay


def _numpy(tensors: Sequence[Any]) -> list[Names]:
    return [np.asarray(tensor.numpy(), np.int64) for tensor in tensors]


def _gathered(op: Applied) -> Labels:
    """Rows that indices choose: which, depends on an input."""
    batch = int(op.attributes.get("batch_dims", 0))
    rank, index_rank = op.ranks[:2]
    axis = op.integers(2)[0] % rank if op.type == "GatherV2" else batch
    every = labels(rank + index_rank - 1 - batch)
    before, chosen = every[:axis], every[axis : axis + index_rank - batch]
    after = every[axis + index_rank - batch :]
    return Labels(
        {0: (*before, None, *after), 1: (*before[:batch], *chosen)},
        (every,),
        chooses=frozenset({1}),
    )


def _gathered_nd(op: Applied) -> Labels:
    rank, index_rank = op.ranks[:2]
    depth = op.shapes[1][-1]
    every = labels(index_rank - 1 + rank - depth)
    rows, after = every[: index_rank - 1], every[index_rank - 1 :]
    return Labels(
        {0: (*[None] * depth, *after), 1: (*rows, None)}, (every,), chooses=frozenset({1})
    )


def _sliced(op: Applied) -> Labels | None:
    """A slice whose begin depends on an input, as by a counter of rounds: any index."""
    if op.shapes[0] == op.results[0] or len(op.shapes[0]) != len(op.results[0]):
        return None
    every = labels(len(op.results[0]))
    cut = {n for n, size in enumerate(op.results[0]) if size != op.shapes[0][n]}
    seen = tuple(None if n in cut else label for n, label in enumerate(every))
    return Labels({0: seen}, (every,), chooses=frozenset({1, 2}))


# --- what is put into something else --------------------------------------------------------------

SCATTERS = names(
    "TensorScatterUpdate TensorScatterAdd TensorScatterSub TensorScatterMax TensorScatterMin "
    "ScatterNd UnsortedSegmentSum UnsortedSegmentMax UnsortedSegmentMin UnsortedSegmentProd "
    "SegmentSum SegmentMean SegmentMax SegmentMin SegmentProd SegmentSumV2"
)


def scatter(op: Applied) -> Rule:
    """The rule of an operator that puts elements into others."""
    if "Segment" in op.type:
        return Scatter(None, 0, _segments(op), adds=True, otherwise=_of_segments(op))
    if op.type == "ScatterNd":
        return Scatter(None, 1, _places(op, indices=0, source=1), adds=True)
    adds = op.type != "TensorScatterUpdate"
    return Scatter(0, 2, _places(op, indices=1, source=2), adds)


def _places(
    op: Applied, indices: int, source: int
) -> Callable[[Sequence[NDArray[Any] | None]], Names]:
    shape, taken = op.results[0], op.shapes[source]

    def places(arrays: Sequence[NDArray[Any] | None]) -> Names:
        found = arrays[indices]
        if found is None:
            raise ValueError("the places are not known")
        depth = found.shape[-1]
        names = np.arange(int(np.prod(shape, dtype=np.int64))).reshape(shape)
        out = np.zeros(found.shape[:-1], bool)
        parts = []
        for axis in range(depth):
            part = found[..., axis]
            out |= (part < 0) | (part >= shape[axis])
            parts.append(np.clip(part, 0, shape[axis] - 1))
        rows = names[tuple(parts)]
        rows = np.where(out.reshape(out.shape + (1,) * (rows.ndim - out.ndim)), -1, rows)
        return np.asarray(np.broadcast_to(rows, taken), np.int64)

    return places


def _segments(op: Applied) -> Callable[[Sequence[NDArray[Any] | None]], Names]:
    shape, taken = op.results[0], op.shapes[0]

    def places(arrays: Sequence[NDArray[Any] | None]) -> Names:
        ids = arrays[1]
        if ids is None:
            raise ValueError("the segments are not known")
        names = np.arange(int(np.prod(shape, dtype=np.int64))).reshape(shape)
        out = (ids < 0) | (ids >= shape[0])
        rows = names[np.clip(ids, 0, max(shape[0] - 1, 0))]
        rows = np.where(out.reshape(out.shape + (1,) * (rows.ndim - out.ndim)), -1, rows)
        return np.asarray(np.broadcast_to(rows, taken), np.int64)

    return places


def _of_segments(op: Applied) -> Labels:
    """Which segment an element is put into depends on an input."""
    depth = op.ranks[1]
    after = labels(op.ranks[0] - depth)
    return Labels(
        {0: (*[None] * depth, *after), 1: (None,) * depth},
        ((None, *after),),
        chooses=frozenset({1}),
    )
