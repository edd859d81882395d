"""Operators of PyTorch that multiply and add: matrix products, convolutions, distances."""

from __future__ import annotations

from collections.abc import Callable

from normscope.frameworks.torch.aten.application import Application, Meaning
from normscope.frameworks.torch.aten.windows import each
from normscope.graph.labels import convolution, elementwise, matrix_product
from normscope.graph.operators import Role
from normscope.graph.rules import Dims, Labels, Window


def multiplied(op: Application) -> Meaning:
    """A product of two matrices, vectors, or stacks of matrices."""
    rule = matrix_product(op.ranks[0], op.ranks[1], op.result.dim())
    return Meaning(Role.PRODUCT, rule, _channels(op, 0, 1))


def multiplied_and_added(op: Application) -> Meaning:
    """A product to which operand 0 is added: it comes last in the graph, as any bias."""
    product = matrix_product(op.ranks[1], op.ranks[2], op.result.dim())
    added = elementwise([op.ranks[0]], op.result.dim()).operands[0]
    again = op.run_again()
    return Meaning(
        Role.PRODUCT,
        Labels({**product.operands, 2: added}, product.results),
        _channels(op, 1, 2),
        adds_bias=op.ranks[0] == 1 and not op.live[0] and op.get("beta", 1) != 0,
        takes=(1, 2, 0),
        run=lambda arrays: again([arrays[2], arrays[0], arrays[1]]),
    )


def _channels(op: Application, left: int, right: int) -> int | None:
    """Channels are made by what is learned: columns of the right, or rows of the left operand."""
    rank = op.result.dim()
    if not op.live[right] and op.live[left] and op.ranks[right] > 1:
        return rank - 1
    if not op.live[left] and op.live[right] and op.ranks[left] > 1:
        return rank - (2 if op.ranks[right] > 1 else 1)
    return None


def linear(op: Application) -> Meaning:
    """The last axis with the last axis of a matrix, and a bias."""
    rank = op.result.dim()
    lead = elementwise([rank], rank).results[0]
    operands: dict[int, Dims] = {0: (*lead[:-1], None), 1: (lead[-1], None)[-op.ranks[1] :]}
    if len(op.operands) > 2:
        operands[2] = (lead[-1],)
    learned = not op.live[1] and op.live[0]
    return Meaning(
        Role.PRODUCT,
        Labels(operands, (lead,)),
        rank - 1 if learned else None,
        adds_bias=learned and len(op.operands) > 2,
    )


def convolved(op: Application) -> Meaning:
    """A convolution, also a transposed one."""
    rank = op.ranks[0]
    positions = range(2, rank)
    transposed = bool(op.get("transposed", False))
    sizes = op.operands[1].shape[2:]
    steps = zip(
        sizes,
        each(op["stride"], rank - 2),
        each(op["padding"], rank - 2),
        each(op["dilation"], rank - 2),
        strict=True,
    )
    windows = [_window(*step, transposed) for step in steps]
    place = (0, 1, positions)
    bias = op.number("bias") is not None
    rule = convolution(place, (1, 0, positions) if transposed else place, place, windows, bias)
    groups = op.get("groups", 1)
    if groups == op.operands[0].shape[1] == op.result.shape[1]:  # each channel sees itself alone
        every = rule.results[0]
        kernel = (every[1], *[None] * (rank - 1))
        rule = Labels({**rule.operands, 0: every, 1: kernel}, rule.results, rule.relations)
    elif transposed and groups > 1:  # its axis of channels is shorter than the result's
        rule = Labels({**rule.operands, 1: (None,) * rank}, rule.results, rule.relations)
    return Meaning(
        Role.PRODUCT,
        rule,
        channel_axis=None if op.live[1] else 1,
        adds_bias=bias and not op.live[1],
    )


def _window(size: int, stride: int, padding: int, dilation: int, transposed: bool) -> Window:
    if transposed:
        return Window(size, 1, dilation, (size - 1) * dilation - padding, stride)
    return Window(size, stride, dilation, padding)


def vectors(op: Application) -> Meaning:
    """One number from two vectors."""
    return Meaning(Role.PRODUCT, Labels({0: (None,), 1: (None,)}, ((),)))


def distances(op: Application) -> Meaning:
    """Distances between the rows of two stacks of matrices."""
    rule = matrix_product(op.ranks[0], op.ranks[1], op.result.dim())
    right = rule.operands[1]
    return Meaning(
        Role.PRODUCT,
        Labels({0: rule.operands[0], 1: (*right[:-2], right[-1], None)}, rule.results),
    )


def outer(op: Application) -> Meaning:
    """A matrix from two vectors, added to another."""
    rule = Labels({0: ("a", "b")[2 - op.ranks[0] :], 1: ("a",), 2: ("b",)}, (("a", "b"),))
    return Meaning(Role.PRODUCT, rule)


def summed_products(op: Application) -> Meaning:
    """The sum of a stack of matrix products, added to a matrix."""
    first: Dims = ("a", "b")[2 - op.ranks[0] :]
    rule = Labels({0: first, 1: (None, "a", None), 2: (None, None, "b")}, (("a", "b"),))
    return Meaning(Role.PRODUCT, rule)


def attended(op: Application) -> Meaning:
    """Attention in one operator: queries see all keys and values of their own batch and head."""
    rank = op.result.dim()
    lead = elementwise([rank], rank).results[0][:-1]
    every = (*lead, "z")
    operands: dict[int, Dims] = {
        0: (*lead, None),
        1: (*lead[:-1], None, None),
        2: (*lead[:-1], None, "z"),
    }
    for number in range(3, len(op.operands)):  # a mask
        operands[number] = (*lead, None)[rank - op.ranks[number] :]
    results = tuple(
        every if r.dim() == rank else (lead if r.dim() == rank - 1 else (None,) * r.dim())
        for r in op.results
    )
    return Meaning(Role.PRODUCT, Labels(operands, results))


RULES: dict[str, Callable[[Application], Meaning]] = {
    **dict.fromkeys(("mm", "bmm", "mv", "matmul", "_int_mm", "_sparse_mm"), multiplied),
    **dict.fromkeys(
        ("addmm", "baddbmm", "addmv", "_addmm_activation", "_sparse_addmm"), multiplied_and_added
    ),
    **dict.fromkeys(("dot", "vdot"), vectors),
    **dict.fromkeys(("linear", "mkldnn_linear"), linear),
    **dict.fromkeys(("convolution", "_convolution", "convolution_overrideable"), convolved),
    "_cdist_forward": distances,
    "addr": outer,
    "addbmm": summed_products,
    "_scaled_dot_product_flash_attention_for_cpu": attended,
    "_scaled_dot_product_flash_attention": attended,
    "_scaled_dot_product_efficient_attention": attended,
    "_scaled_dot_product_cudnn_attention": attended,
}
