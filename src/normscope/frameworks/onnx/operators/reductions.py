"""Operators that see several elements along axes: sums, extremes, softmax, windows, sorting."""

from __future__ import annotations

import string
from collections.abc import Collection

import numpy as np

from normscope.frameworks.onnx.operators.applied import Applied, Meaning
from normscope.frameworks.onnx.operators.windows import windows_of
from normscope.graph.labels import along, labels, pooling, reduction, scan
from normscope.graph.operators import Role
from normscope.graph.rules import Labels, Opaque, Scan

STATISTICS = [
    "ReduceMean",
    "ReduceSum",
    "ReduceL1",
    "ReduceL2",
    "ReduceSumSquare",
    "ReduceLogSum",
    "ReduceLogSumExp",
]
EXTREMES = ["ReduceMax", "ReduceMin"]

UNKNOWN_AXES = Opaque("its axes are computed")


def reduce(role: Role, node: Applied) -> Meaning:
    """Along axes, an attribute before version 13 or 18, then an operand."""
    rank = node.rank()
    if node.is_left_out("axes", 1):
        axes: Collection[int] = () if node.attributes.get("noop_with_empty_axes") else range(rank)
    else:
        given = node.given("axes", 1)
        if given is None:
            return Meaning(role, UNKNOWN_AXES)
        axes = [int(axis) for axis in given.ravel()]
        if not axes and not node.attributes.get("noop_with_empty_axes"):
            axes = range(rank)
    return Meaning(role, reduction(rank, axes, bool(node.attributes.get("keepdims", 1))))


def reduce_index(node: Applied) -> Meaning:
    """ArgMax, ArgMin."""
    axis = node.attributes.get("axis", 0)
    keeps = bool(node.attributes.get("keepdims", 1))
    return Meaning(Role.EXTREME, reduction(node.rank(), {axis}, keeps))


def softmax(node: Applied) -> Meaning:
    """Along one axis; before version 13 along an axis and all after it."""
    rank = node.rank()
    if node.version >= 13:
        return Meaning(Role.SOFTMAX, along(rank, {node.attributes.get("axis", -1)}))
    first = node.attributes.get("axis", 1) % max(rank, 1)
    return Meaning(Role.SOFTMAX, along(rank, set(range(first, rank))))


def sorted_along(node: Applied) -> Meaning:
    """TopK: its values and their places."""
    return Meaning(
        Role.ORDER, along(node.rank(), {node.attributes.get("axis", -1)}, len(node.results))
    )


def cumulative(node: Applied) -> Meaning:
    """CumSum, CumProd."""
    axis = node.given("axis", 1)
    if axis is None:
        return Meaning(Role.RUNNING, UNKNOWN_AXES)
    reverse = bool(node.attributes.get("reverse", 0))
    return Meaning(Role.RUNNING, scan(node.rank(), int(axis.ravel()[0]), reverse))


def pool(role: Role, node: Applied) -> Meaning:
    """Windows along all axes but batch and channels."""
    rank = node.rank()
    windows = windows_of(node, node.attributes["kernel_shape"])
    if windows is None:
        return Meaning(role, along(rank, set(range(2, rank)), len(node.results)))
    return Meaning(role, pooling(rank, dict(enumerate(windows, 2)), len(node.results)))


def pool_all(role: Role, node: Applied) -> Meaning:
    """All positions at once."""
    return Meaning(role, reduction(node.rank(), range(2, node.rank()), keeps=True))


def along_rows(role: Role, node: Applied) -> Meaning:
    """Each row of a matrix is worked on by itself."""
    rank = node.rank()
    if rank < 2:
        return Meaning(role, Opaque("it takes rows, and there is one array"))
    results = tuple(("n", *[None] * (len(shape) - 1))[: len(shape)] for shape, _ in node.results)
    return Meaning(role, Labels({0: ("n", *[None] * (rank - 1))}, results))


def per_sample(role: Role, node: Applied) -> Meaning:
    """The first axis of all operands that are computed is that of the samples."""
    batch = node.shape()[:1]
    operands = {
        number: ("n", *[None] * (len(value.shape) - 1))
        if value.shape[:1] == batch and value.live
        else (None,) * len(value.shape)
        for number, value in enumerate(node.operands)
    }
    results = tuple(("n", *[None] * (len(shape) - 1)) for shape, _ in node.results)
    return Meaning(role, Labels(operands, results))


def of_regions(node: Applied) -> Meaning:
    """RoiAlign: operand 2 says of which sample each region is."""
    operands = {0: (None, "c", None, None), 1: ("r", None), 2: ("r",)}
    rule = Labels(operands, (("r", "c", "h", "w"),), chooses=frozenset({2}))
    return Meaning(Role.OTHER, rule)


def determinant(node: Applied) -> Meaning:
    """Det, of the last two axes."""
    return Meaning(Role.OTHER, reduction(node.rank(), {-2, -1}, keeps=False))


def fourier(node: Applied) -> Meaning:
    """DFT, along one axis; the last one holds real and imaginary parts."""
    rank = node.rank()
    axis = np.asarray(node.attributes.get("axis", 1)) if node.version < 20 else _AXIS_OF_DFT
    if node.at(2) is not None:
        axis = node.given("axis", 2)
    if axis is None:
        return Meaning(Role.OTHER, UNKNOWN_AXES)
    dims = labels(rank, {int(axis.ravel()[0]), -1})
    return Meaning(Role.OTHER, Labels({0: dims}, (dims,)))


_AXIS_OF_DFT = np.asarray(-2)


def counted(node: Applied) -> Meaning:
    """Range: each number depends on where it begins and how far it goes."""
    operands = {n: (None,) * rank for n, rank in enumerate(node.ranks)}
    return Meaning(Role.OTHER, Labels(operands, ((None,),)))


def features(node: Applied) -> Meaning:
    """ArrayFeatureExtractor: columns, which operand 1 names."""
    own = labels(node.rank(), {-1})
    out = labels(len(node.results[0][0]), {-1})
    fits = len(own) == len(out)
    operands = {0: own if fits else (None,) * len(own), 1: (None,) * node.rank(1)}
    return Meaning(Role.OTHER, Labels(operands, (out,), chooses=frozenset({1})))


def written_into(node: Applied) -> Meaning:
    """TensorScatter: operand 1 is written into operand 0, from a place on that each sample has."""
    rank = node.rank()
    own = labels(rank)
    axis = node.attributes.get("axis", -2)
    operands: dict[int, tuple[str | None, ...]] = {0: own, 1: labels(rank, {axis})}
    if node.at(2) is not None:
        operands[2] = own[:1]
    return Meaning(Role.OTHER, Labels(operands, (own,), chooses=frozenset({2})))


def one_hot(node: Applied) -> Meaning:
    """A new axis."""
    rank = len(node.results[0][0])
    axis = node.attributes.get("axis", -1) % rank
    own = labels(rank)
    index = own[:axis] + own[axis + 1 :]
    depth = (None,) * node.rank(1)
    return Meaning(Role.OTHER, Labels({0: index, 1: depth, 2: (None,) * node.rank(2)}, (own,)))


def recurrent(node: Applied) -> Meaning:
    """RNN, GRU, LSTM: samples apart; along time each step sees those before it."""
    batch_first = bool(node.attributes.get("layout", 0))
    direction = node.attributes.get("direction", "forward")
    both = direction == "bidirectional"
    time = None if both else "t"
    x = ("n", time, None) if batch_first else (time, "n", None)
    steps = ("n", time, "d", "h") if batch_first else (time, "d", "n", "h")
    last = ("n", "d", "h") if batch_first else ("d", "n", "h")
    state = ("n", "d", None) if batch_first else ("d", "n", None)
    operands: dict[int, tuple[str | None, ...]] = {node.number(0): x}
    for place in range(1, len(node.places)):
        value = node.at(place)
        if value is None:
            continue
        if place in (5, 6):
            operands[node.number(place)] = state
        elif place == 4:
            operands[node.number(place)] = ("n",)
        else:
            operands[node.number(place)] = (None,) * len(value.shape)
    results = tuple(
        dims for dims, made in zip((steps, last, last), node.made, strict=False) if made is not None
    )
    relations = {} if both else {"t": Scan(direction == "reverse")}
    channels = 3 if node.made[:1] != (None,) and node.made else None
    return Meaning(Role.OTHER, Labels(operands, results, relations), channel_axis=channels)


def einsum(node: Applied) -> Meaning:
    """By its equation; dots stand for the axes that are not named."""
    equation = node.attributes["equation"].replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    dots = max(rank - len(t.replace("...", "")) for t, rank in zip(terms, node.ranks, strict=True))
    free = [c for c in string.ascii_letters if c not in equation][: max(dots, 0)]
    if not arrow:
        once = sorted(c for c in set(left) if c.isalpha() and left.count(c) == 1)
        right = "..." * ("..." in left) + "".join(once)

    def spelled(term: str, rank: int) -> str:
        count = rank - len(term.replace("...", ""))
        return term.replace("...", "".join(free[len(free) - count :]) if count else "")

    out = spelled(right, len(node.results[0][0]))
    operands: dict[int, tuple[str | None, ...]] = {}
    for number, (term, rank) in enumerate(zip(terms, node.ranks, strict=True)):
        own = spelled(term, rank)
        # of a diagonal, the first of its axes; along the other all may be seen, which is no less
        operands[number] = tuple(c if own.index(c) == n else None for n, c in enumerate(own))
    made = dict(zip(out, node.results[0][0], strict=True))
    for number, value in enumerate(node.operands):
        for label, length in zip(operands[number], value.shape, strict=True):
            if made.get(label or "", length) < length:
                raise ValueError("an axis of length 1 is broadcast, which is not followed")
    return Meaning(Role.PRODUCT, Labels(operands, (tuple(out),)))
