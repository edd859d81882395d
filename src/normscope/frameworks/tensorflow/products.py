"""Matrix products, convolutions and windows of TensorFlow, as labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from normscope.frameworks.tensorflow.applied import Applied
from normscope.graph.labels import convolution, einsum, matrix_product, pooling
from normscope.graph.rules import Labels, Opaque, Rule, Window

Product = tuple[Rule, int | None]
"""A rule, and the axis of the result that holds the channels it makes, if there is one."""


def _matmul(op: Applied) -> Product:
    left, right = op.ranks[:2]
    rule = matrix_product(left, right, len(op.results[0]))
    operands = dict(rule.operands)
    flipped = (
        ("transpose_a", "transpose_b") if "transpose_a" in op.attributes else ("adj_x", "adj_y")
    )
    for number, name in enumerate(flipped):
        if op.attributes.get(name):
            dims = operands[number]
            operands[number] = (*dims[:-2], dims[-1], dims[-2])
    # the learned matrix is on the right of x, or on its left
    axis = -1 if op.live[0] else -2
    return Labels(operands, rule.results), len(op.results[0]) + axis


def _einsum(op: Applied) -> Product:
    equation = op.attributes["equation"].decode().replace(" ", "")
    left, _, right = equation.partition("->")
    terms = left.split(",")
    spare = [letter for letter in _LETTERS if letter not in equation]
    hidden = [
        rank - len(term.replace("...", "")) for term, rank in zip(terms, op.ranks, strict=True)
    ]
    longest = max([n for n, term in zip(hidden, terms, strict=True) if "..." in term], default=0)
    dots = spare[:longest]
    terms = [
        term.replace("...", "".join(dots[longest - n :] if n else ""))
        for term, n in zip(terms, hidden, strict=True)
    ]
    right = right.replace("...", "".join(dots))
    of_x = terms[op.live.index(True)] if any(op.live) else ""
    made = next((i for i, letter in enumerate(right) if letter not in of_x), None)
    return einsum(f"{','.join(terms)}->{right}"), made


_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _axes(op: Applied, rank: int) -> tuple[int, list[int]]:
    """The axis of the channels, and those of the positions."""
    channels_first = op.attributes.get("data_format", b"NHWC") in (b"NCHW", b"NCDHW")
    return (1, list(range(2, rank))) if channels_first else (rank - 1, list(range(1, rank - 1)))


def windows(
    op: Applied, taken: Sequence[int], made: Sequence[int], sizes: Sequence[int]
) -> list[Window]:
    """The window along each axis of positions.

    Args:
        op: a convolution or a pooling.
        taken: the length of each of these axes before.
        made: the length after it.
        sizes: of the window.
    """
    rank = len(sizes) + 2
    _, positions = _axes(op, rank)
    strides = [int(op.attributes["strides"][axis]) for axis in positions]
    dilations = [int((op.attributes.get("dilations") or [1] * rank)[axis]) for axis in positions]
    padding = op.attributes["padding"]
    explicit = list(op.attributes.get("explicit_paddings") or [])
    found = []
    for number, axis in enumerate(positions):
        size, stride, dilation = sizes[number], strides[number], dilations[number]
        before = 0
        if padding == b"SAME":
            reach = (made[number] - 1) * stride + (size - 1) * dilation + 1
            before = max(reach - taken[number], 0) // 2
        elif padding == b"EXPLICIT":
            before = int(explicit[2 * axis])
        found.append(Window(size, stride, dilation, before))
    return found


def _convolution(op: Applied) -> Product:
    rank = op.ranks[0]
    channels, positions = _axes(op, rank)
    sizes = op.shapes[1][: rank - 2]
    found = windows(
        op,
        [op.shapes[0][axis] for axis in positions],
        [op.results[0][axis] for axis in positions],
        sizes,
    )
    placed = (0, channels, positions)
    rule = convolution(placed, (rank - 1, rank - 2, list(range(rank - 2))), placed, found)
    return rule, channels


def _depthwise(op: Applied) -> Product:
    rule, channels = _convolution(op)
    if not isinstance(rule, Labels):
        return rule, channels
    # its kernel is (positions, channels taken, made of each): both axes tell the channel
    return Labels(
        {**rule.operands, 1: (None,) * op.ranks[1]}, rule.results, rule.relations
    ), channels


def _transposed(op: Applied) -> Product:
    """Operands are the shape of the result, the kernel, and what is spread."""
    rank = op.ranks[2]
    channels, positions = _axes(op, rank)
    forward = windows(
        op,
        [op.results[0][axis] for axis in positions],
        [op.shapes[2][axis] for axis in positions],
        op.shapes[1][: rank - 2],
    )
    found = [
        Window(one.size, 1, one.dilation, (one.size - 1) * one.dilation - one.before, one.stride)
        for one in forward
    ]
    placed = (0, channels, positions)
    rule = convolution(placed, (rank - 2, rank - 1, list(range(rank - 2))), placed, found)
    return Labels(
        {2: rule.operands[0], 1: rule.operands[1]}, rule.results, rule.relations
    ), channels


def _dilation(op: Applied) -> Product:
    return Opaque(), None


PRODUCTS: dict[str, Callable[[Applied], Product]] = {
    "MatMul": _matmul,
    "BatchMatMul": _matmul,
    "BatchMatMulV2": _matmul,
    "BatchMatMulV3": _matmul,
    "Einsum": _einsum,
    "Conv2D": _convolution,
    "Conv3D": _convolution,
    "DepthwiseConv2dNative": _depthwise,
    "Conv2DBackpropInput": _transposed,
    "Conv3DBackpropInputV2": _transposed,
    "Dilation2D": _dilation,
}


def pooled(op: Applied) -> Rule:
    """A mean or an extreme over a window along the axes of positions."""
    rank = op.ranks[0]
    channels, positions = _axes(op, rank)
    ksize = [int(n) for n in op.attributes["ksize"]]
    if ksize[0] != 1 or ksize[channels] != 1:
        return Opaque("its window runs along samples or channels")
    found = windows(
        op,
        [op.shapes[0][axis] for axis in positions],
        [op.results[0][axis] for axis in positions],
        [ksize[axis] for axis in positions],
    )
    return pooling(rank, dict(zip(positions, found, strict=True)))
