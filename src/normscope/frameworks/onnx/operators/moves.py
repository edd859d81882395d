"""Operators that move elements and compute none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.frameworks.onnx.operators.applied import Applied, Meaning
from normscope.frameworks.onnx.operators.products import learned
from normscope.graph.labels import elementwise, labels
from normscope.graph.operators import Role
from normscope.graph.rules import NOTHING, Dims, Labels, Move, Names, Scatter

Arrays = Sequence[NDArray[Any]]


def moved(
    data: Sequence[int], replay: Callable[[Arrays], Any], otherwise: Labels | None = None
) -> Meaning:
    """Elements of these operands are moved as `replay` says."""

    def named(arrays: Arrays) -> list[Names]:
        return [np.asarray(names) for names in replay(arrays)]

    return Meaning(Role.MOVE, Move(tuple(data), named, otherwise))


def reshaped(node: Applied) -> Meaning:
    """Reshape, Flatten, Squeeze, Unsqueeze: the order of the elements stays."""
    shape = node.results[0][0]
    if prod(shape) != prod(node.shape()):
        raise ValueError(f"{prod(node.shape())} elements do not make {shape}")
    return moved([0], lambda arrays: [arrays[0].reshape(shape)])


def expanded(node: Applied) -> Meaning:
    """Expand: broadcast to a shape."""
    shape = node.results[0][0]
    return moved([0], lambda arrays: [np.broadcast_to(arrays[0], shape)])


def transposed(node: Applied) -> Meaning:
    """Transpose."""
    order = node.attributes.get("perm") or range(node.rank())[::-1]
    return moved([0], lambda arrays: [arrays[0].transpose(order)])


def joined(node: Applied) -> Meaning:
    """Concat."""
    axis = node.attributes.get("axis", 1)
    return moved(range(len(node.operands)), lambda arrays: [np.concatenate(list(arrays), axis)])


def split(node: Applied) -> Meaning:
    """Split: the lengths are those of the results."""
    axis = node.attributes.get("axis", 0)
    lengths = [0 if made is None else made[0][axis] for made in node.made]
    if None in node.made:  # what a result that is left out would have is not known
        return moved([0], lambda arrays: _as_run(node, arrays))
    ends = np.cumsum(lengths)[:-1]
    return moved([0], lambda arrays: np.split(arrays[0], ends, axis))


def _as_run(node: Applied, arrays: Arrays) -> Any:
    return node.run(list(arrays))


def as_run(node: Applied) -> Meaning:
    """What the operator does with numbers it does with names: Slice, Tile, DepthToSpace, ..."""
    return moved([0], lambda arrays: _as_run(node, arrays))


def sliced(node: Applied) -> Meaning:
    """Slice; from where to where may be computed, along axes that are known."""
    rank = node.rank()
    starts = node.at(1)
    axes = node.given("axes", 3, range(starts.shape[0] if starts is not None else rank))
    otherwise = None
    if starts is not None and axes is not None:
        own = labels(rank, {int(axis) for axis in np.ravel(axes)})
        chosen = range(1, len(node.operands))
        otherwise = Labels(
            {0: own, **dict.fromkeys(chosen, (None,))}, (labels(rank),), chooses=frozenset(chosen)
        )
    return moved([0], lambda arrays: _as_run(node, arrays), otherwise)


def padded(node: Applied) -> Meaning:
    """Pad: with a constant, or with elements of the operand."""
    rank = node.rank()
    mode = node.attributes.get("mode", "constant")
    pads = node.given("pads", 1, node.attributes.get("paddings"))
    axes = node.numbers(node.places[3]) if node.at(3) is not None else range(rank)  # type: ignore[arg-type]
    if pads is None or axes is None:
        return moved([0], lambda arrays: _as_run(node, arrays))
    own = {int(axis) % rank: n for n, axis in enumerate(axes)} if rank else {}
    flat = [int(number) for number in np.ravel(pads)]
    around = [
        (flat[own[axis]], flat[own[axis] + len(own)]) if axis in own else (0, 0)
        for axis in range(rank)
    ]

    def replay(arrays: Arrays) -> list[Names]:
        cut = tuple(
            slice(max(-low, 0), length - max(-high, 0))
            for (low, high), length in zip(around, arrays[0].shape, strict=True)
        )
        added = [(max(low, 0), max(high, 0)) for low, high in around]
        if mode == "constant":
            return [np.pad(arrays[0][cut], added, constant_values=NOTHING)]
        return [np.pad(arrays[0][cut], added, mode=_PADS[mode])]

    meaning = moved([0], replay)
    filled = node.at(2)
    if mode == "constant" and filled is not None and filled.live:
        return Meaning(Role.OTHER, Labels({0: (None,) * rank, 2: ()}, ((None,) * rank,)))
    return meaning


_PADS: dict[str, Any] = {"reflect": "reflect", "edge": "edge", "wrap": "wrap"}


def triangle(node: Applied) -> Meaning:
    """Trilu: the other triangle is zero, which comes from nowhere."""
    upper = node.attributes.get("upper", 1)

    def replay(arrays: Arrays) -> list[Names]:
        k = int(np.ravel(arrays[1])[0]) if len(arrays) > 1 else 0
        kept = (np.triu if upper else np.tril)(np.ones(arrays[0].shape[-2:], bool), k)
        return [np.where(kept, arrays[0], NOTHING)]

    return moved([0], replay, elementwise(node.ranks[:1], node.rank()))


def gathered(node: Applied) -> Meaning:
    """Gather: rows of operand 0; of a learned table, a lookup."""
    rank = node.rank()
    data, indices = node.operands
    axis = node.attributes.get("axis", 0) % max(rank, 1)
    out = labels(len(node.results[0][0]))
    after = axis + len(indices.shape)
    rule = Labels(
        {0: (*out[:axis], None, *out[after:]), 1: out[axis:after]}, (out,), chooses=frozenset({1})
    )
    meaning = moved([0], lambda arrays: [np.take(arrays[0], arrays[1], axis)], rule)
    if learned(data) and data.is_float and indices.live and rank > 1 and axis == 0:
        return Meaning(Role.PRODUCT, meaning.rule, channel_axis=len(out) - 1)
    return meaning


def gathered_elements(node: Applied) -> Meaning:
    """GatherElements: each place takes another along one axis."""
    rank = node.rank()
    axis = node.attributes.get("axis", 0) % max(rank, 1)
    rule = Labels(
        {0: labels(rank, {axis}), 1: labels(rank)}, (labels(rank),), chooses=frozenset({1})
    )
    return moved([0], lambda arrays: _as_run(node, arrays), rule)


def gathered_parts(node: Applied) -> Meaning:
    """GatherND: the last axis of the indices says where in operand 0."""
    batch = node.attributes.get("batch_dims", 0)
    out = labels(len(node.results[0][0]))
    named = node.shape(1)[-1]
    rest = node.rank() - batch - named
    data: Dims = (*out[:batch], *[None] * named, *out[len(out) - rest :])
    indices: Dims = (*out[: node.rank(1) - 1], None)
    rule = Labels({0: data, 1: indices}, (out,), chooses=frozenset({1}))
    return moved([0], lambda arrays: _as_run(node, arrays), rule)


def reversed_sequences(node: Applied) -> Meaning:
    """ReverseSequence: each sample up to its own length."""
    rank = node.rank()
    batch, time = node.attributes.get("batch_axis", 1), node.attributes.get("time_axis", 0)
    own = labels(rank)
    rule = Labels({0: labels(rank, {time}), 1: (own[batch],)}, (own,), chooses=frozenset({1}))
    return moved([0], lambda arrays: _as_run(node, arrays), rule)


def resized(node: Applied) -> Meaning:
    """Resize, Upsample: along the axes whose length changes each place may see all."""
    rank = node.rank()
    out = node.results[0][0]
    crops = node.attributes.get("coordinate_transformation_mode") == "tf_crop_and_resize"
    changed = {
        axis
        for axis, (before, after) in enumerate(zip(node.shape(), out, strict=True))
        if before != after or (crops and axis > 0)
    }
    return Meaning(Role.OTHER, Labels({0: labels(rank, changed)}, (labels(rank),)))


def scattered_elements(node: Applied) -> Meaning:
    """ScatterElements: each element of operand 2 to another place along one axis."""
    rank = node.rank()
    axis = node.attributes.get("axis", 0) % max(rank, 1)
    shape = node.shape()

    def places(arrays: Sequence[NDArray[Any] | None]) -> Names:
        indices = arrays[1]
        assert indices is not None  # the proof knows it
        where = list(np.indices(indices.shape))
        where[axis] = np.where(indices < 0, indices + shape[axis], indices)
        return np.asarray(np.ravel_multi_index(tuple(where), shape), np.int64)

    out = labels(rank)
    part: Dims = tuple(
        label if n != axis and node.shape(1)[n] == shape[n] else None for n, label in enumerate(out)
    )
    rule = Labels({0: out, 1: part, 2: part}, (out,), chooses=frozenset({1}))
    return _scattered(node, places, rule)


def scattered_parts(node: Applied) -> Meaning:
    """ScatterND: blocks of operand 2 to the places that the last axis of the indices says."""
    shape = node.shape()

    def places(arrays: Sequence[NDArray[Any] | None]) -> Names:
        indices = arrays[1]
        assert indices is not None  # the proof knows it
        named = indices.shape[-1]
        flat = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)
        where = np.moveaxis(indices, -1, 0)
        return flat[tuple(where)] if named else flat

    out = labels(node.rank())
    rule = Labels(
        {0: out, 1: (None,) * node.rank(1), 2: (None,) * node.rank(2)},
        (out,),
        chooses=frozenset({1}),
    )
    return _scattered(node, places, rule)


def _scattered(node: Applied, places: Callable[..., Names], otherwise: Labels) -> Meaning:
    adds = node.attributes.get("reduction", "none") != "none"
    return Meaning(Role.OTHER if adds else Role.MOVE, Scatter(0, 2, places, adds, otherwise))
