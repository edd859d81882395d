"""The usual rules of labels: elementwise, reduction, product, convolution, normalization.

A front end turns the arguments of its operators into the numbers that these take.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from string import ascii_letters

from normscope.graph.rules import Dims, Labels, Scan, Window

SUMMED = "sum"
"""The label of the axes that a product sums over."""


def labels(rank: int, without: Collection[int] = ()) -> Dims:
    """One label for each dimension, but None for those in `without`.

    >>> labels(3, {1})
    ('a', None, 'c')
    """
    dropped = {axis % rank for axis in without} if rank else set()
    return tuple(None if axis in dropped else ascii_letters[axis] for axis in range(rank))


def elementwise(ranks: Sequence[int], rank: int, results: int = 1) -> Labels:
    """Operands of these ranks are broadcast to the rank of the results, from the right.

    >>> elementwise([2, 1], 2).operands
    {0: ('a', 'b'), 1: ('b',)}
    """
    all_labels = labels(rank)
    return Labels(
        {number: all_labels[rank - own :] for number, own in enumerate(ranks)},
        (all_labels,) * results,
    )


def reduction(rank: int, axes: Collection[int], keeps: bool, results: int = 1) -> Labels:
    """Axes of operand 0 are reduced; where `keeps` is true, they stay with length 1.

    >>> reduction(3, {-1}, keeps=False).results
    (('a', 'b'),)
    """
    all_labels = labels(rank, axes)
    kept = all_labels if keeps else tuple(label for label in all_labels if label)
    return Labels({0: all_labels}, (kept,) * results)


def along(rank: int, axes: Collection[int], results: int = 1, operands: int = 1) -> Labels:
    """Along these axes each index sees all, as in a softmax or a sort; shapes stay."""
    all_labels = labels(rank, axes)
    return Labels(dict.fromkeys(range(operands), all_labels), (all_labels,) * results)


def scan(rank: int, axis: int, reverse: bool = False, results: int = 1) -> Labels:
    """Along an axis each index sees those up to its own, as in a cumulative sum."""
    all_labels = labels(rank)
    relations = {all_labels[axis % rank]: Scan(reverse)} if rank else {}
    return Labels(
        {0: all_labels}, (all_labels,) * results, {str(k): v for k, v in relations.items()}
    )


def matrix_product(left: int, right: int, result: int) -> Labels:
    """The last axis of the left operand with the last but one of the right; leading axes broadcast.

    A vector (rank 1) is a row on the left, a column on the right. The pair of axes that is summed
    over has the label "sum".

    >>> matrix_product(2, 2, 2).operands
    {0: ('a', 'sum'), 1: ('sum', 'b')}
    """
    out = labels(result)
    rows = out[: result - (right > 1)]  # all but the columns
    columns = out[result - 1 :] if right > 1 else ()
    batch = rows[:-1] if left > 1 else rows
    own = rows[-1:] if left > 1 else ()
    return Labels(
        {
            0: (*batch[len(batch) - max(left - 2, 0) :], *own, SUMMED),
            1: (*batch[len(batch) - max(right - 2, 0) :], SUMMED, *columns),
        },
        (out,),
    )


def contraction(
    left: int,
    right: int,
    contracted: tuple[Sequence[int], Sequence[int]],
    batch: tuple[Sequence[int], Sequence[int]] = ((), ()),
) -> Labels:
    """A general product: pairs of contracted axes, pairs of batch axes, then the free ones.

    >>> contraction(2, 2, ([1], [0])).operands
    {0: ('a', 'sum0'), 1: ('sum0', 'b')}
    """
    operands: list[list[str | None]] = [[None] * left, [None] * right]
    names = iter(ascii_letters)
    out: list[str] = []
    for a, b in zip(*batch, strict=True):
        operands[0][a] = operands[1][b] = name = next(names)
        out.append(name)
    for number, (a, b) in enumerate(zip(*contracted, strict=True)):
        operands[0][a] = operands[1][b] = f"{SUMMED}{number}"
    for side, rank in ((0, left), (1, right)):
        for axis in range(rank):
            if axis not in contracted[side] and axis not in batch[side]:
                operands[side][axis] = name = next(names)
                out.append(name)
    return Labels({0: tuple(operands[0]), 1: tuple(operands[1])}, (tuple(out),))


def einsum(equation: str) -> Labels:
    """By its equation without dots: "bij,bjk->bik"."""
    left, _, right = equation.replace(" ", "").partition("->")
    terms = {number: tuple(term) for number, term in enumerate(left.split(","))}
    return Labels(terms, (tuple(right),))


def convolution(
    data: tuple[int, int, Sequence[int]],
    kernel: tuple[int, int, Sequence[int]],
    result: tuple[int, int, Sequence[int]],
    windows: Sequence[Window],
    bias: bool = False,
) -> Labels:
    """A convolution of operand 0 with the kernel, operand 1, and a bias, operand 2.

    Args:
        data: which of its axes is the batch, which the channels, and which are the positions.
        kernel: which of its axes is the channels made, which the channels taken, and the positions.
        result: as for the data.
        windows: one for each axis of positions.
        bias: there is one.
    """

    def placed(axes: tuple[int, int, Sequence[int]], dims: Sequence[str | None]) -> Dims:
        first, second, positions = axes
        at = dict(zip((first, second, *positions), dims, strict=True))
        return tuple(at[axis] for axis in range(len(at)))

    names = [f"p{number}" for number in range(len(windows))]
    made = "o"
    operands: dict[int, Dims] = {
        0: placed(data, ("n", None, *names)),
        1: placed(kernel, (made, None, *[None] * len(windows))),
    }
    if bias:
        operands[2] = (made,)
    return Labels(
        operands,
        (placed(result, ("n", made, *names)),),
        dict(zip(names, windows, strict=True)),
    )


def pooling(rank: int, windows: Mapping[int, Window], results: int = 1) -> Labels:
    """Windows along some axes of operand 0."""
    all_labels = labels(rank)
    relations = {str(all_labels[axis]): window for axis, window in windows.items()}
    return Labels({0: all_labels}, (all_labels,) * results, relations)


def normalization(
    ranks: Sequence[int],
    sets: Collection[int],
    channels: int | None = None,
    statistics: Sequence[Dims] = (),
) -> Labels:
    """Operand 0 is normalized with sets along these axes; the other operands are parameters.

    Args:
        ranks: of the operands.
        sets: the axes of operand 0 along which elements share statistics; none where stored
            statistics are used.
        channels: the axis along which parameters of rank 1 run; None if every element may see all.
        statistics: the labels of further results.
    """
    x = labels(ranks[0], sets)
    # the label of the channels, even where statistics are shared along them
    own = None if channels is None else x[channels % ranks[0]]
    parameters = {n: (own if rank == 1 else None,) * rank for n, rank in enumerate(ranks) if n}
    return Labels({0: x, **parameters}, (x, *statistics))


def running(rank: int, axis: int, reverse: bool = False) -> dict[str, Scan]:
    """The relation of a layer that walks along an axis of labels of this rank."""
    return {str(labels(rank)[axis % rank]): Scan(reverse)}
