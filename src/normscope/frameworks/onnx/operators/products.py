"""Matrix products and convolutions."""

from __future__ import annotations

from collections.abc import Sequence

from normscope.frameworks.onnx.operators.applied import Applied, Meaning
from normscope.frameworks.onnx.operators.windows import transposed_windows_of, windows_of
from normscope.graph.labels import SUMMED, convolution, matrix_product
from normscope.graph.operators import Role, Value
from normscope.graph.rules import Dims, Labels, Window


def learned(value: Value | None) -> bool:
    """Whether these are numbers that the model holds."""
    return value is not None and not value.live and value.size > 1


def matmul(node: Applied) -> Meaning:
    """MatMul; the columns of a learned matrix are the channels that it makes."""
    left, right = node.ranks[:2]
    rank = len(node.results[0][0])
    makes = learned(node.operands[1]) and right == 2
    return Meaning(
        Role.PRODUCT, matrix_product(left, right, rank), channel_axis=rank - 1 if makes else None
    )


def gemm(node: Applied) -> Meaning:
    """Gemm, of matrices that may be turned; operand 2 is added."""
    turned_a, turned_b = (node.attributes.get(name, 0) for name in ("transA", "transB"))
    operands: dict[int, Dims] = {
        0: (SUMMED, "a") if turned_a else ("a", SUMMED),
        1: ("b", SUMMED) if turned_b else (SUMMED, "b"),
    }
    bias = node.at(2)
    if bias is not None:
        operands[2] = ("a", "b")[2 - len(bias.shape) :]
    makes = learned(node.operands[1])
    return Meaning(
        Role.PRODUCT,
        Labels(operands, (("a", "b"),)),
        channel_axis=1 if makes else None,
        adds_bias=makes and learned(bias),
    )


def _convolved(
    node: Applied, kernel: Value, windows: Sequence[Window] | None, turned: bool
) -> Meaning:
    rank = node.rank()
    positions = range(2, rank)
    bias = node.at(2)
    makes = learned(kernel)
    rule = convolution(
        (0, 1, positions),
        (1, 0, positions) if turned else (0, 1, positions),
        (0, 1, positions),
        windows or [Window(1)] * len(positions),
        bias=bias is not None,
    )
    if turned and node.attributes.get("group", 1) > 1:  # it makes more channels than axis 1 says
        rule = Labels(
            {
                number: (None,) * len(dims) if number else dims
                for number, dims in rule.operands.items()
            },
            rule.results,
            rule.relations,
        )
    if windows is None:  # each position may see all
        rule = Labels(
            {0: ("n", *[None] * (rank - 1)), **{n: d for n, d in rule.operands.items() if n}},
            rule.results,
        )
    return Meaning(
        Role.PRODUCT,
        rule,
        channel_axis=1 if makes else None,
        adds_bias=makes and bias is not None,
    )


def convolved(node: Applied) -> Meaning:
    """Conv."""
    kernel = node.operands[1]
    return _convolved(node, kernel, windows_of(node, kernel.shape[2:]), turned=False)


def convolved_transposed(node: Applied) -> Meaning:
    """ConvTranspose; its kernel has the channels that it takes first."""
    kernel = node.operands[1]
    return _convolved(node, kernel, transposed_windows_of(node, kernel.shape[2:]), turned=True)


def per_sample_product(node: Applied) -> Meaning:
    """ConvInteger, QLinearConv, DeformConv: the positions of one sample may all see each other."""
    rank = len(node.results[0][0])
    operands: dict[int, Dims] = {
        n: (None,) * len(value.shape) for n, value in enumerate(node.operands)
    }
    operands[0] = ("n", *[None] * (node.rank() - 1))
    if node.kind == "DeformConv":  # offsets and a mask of each sample
        for place in (2, 4):
            value = node.at(place)
            if value is not None:
                operands[node.number(place)] = ("n", *[None] * (len(value.shape) - 1))
    dims = ("n", "o", *[f"p{axis}" for axis in range(2, rank)])
    return Meaning(Role.PRODUCT, Labels(operands, (dims,)), channel_axis=1)


def quantized_matmul(node: Applied) -> Meaning:
    """MatMulInteger, QLinearMatMul: the matrices stand at different places."""
    left, right = (0, 1) if node.kind == "MatMulInteger" else (0, 3)
    rank = len(node.results[0][0])
    product = matrix_product(node.rank(left), node.rank(right), rank)
    operands: dict[int, Dims] = {
        n: (None,) * len(value.shape) for n, value in enumerate(node.operands)
    }
    for place, dims in ((left, product.operands[0]), (right, product.operands[1])):
        # zero points: where one factor is zero, the other counts all the same
        summed = tuple(None if label == SUMMED else label for label in dims)
        operands[node.number(place)] = summed
    makes = learned(node.at(right)) and node.rank(right) == 2
    return Meaning(
        Role.PRODUCT,
        Labels(operands, product.results),
        channel_axis=rank - 1 if makes else None,
    )
