"""What an operator does with its elements: the one thing that the proofs know of it.

A front end says one of these of each operator. What it does not know is `Opaque`: the answer gets
weaker, never wrong.

- `Labels`: which dimension of each operand is which dimension of each result.
- `Move`, `Scatter`: elements are moved, none is computed; done with names of elements, the operator
  tells which goes where.
- `Branch`, `Repeat`: it runs graphs of its own.
- `Fixed`: the result depends on shapes alone. `Host`: a number leaves the graph for the program.
- `Opaque`: each element may depend on every element of every operand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from normscope.graph.operators import Graph

Dims = tuple[str | None, ...]
"""A label for each dimension; None along which everything may be seen."""

Names = NDArray[np.int64]
"""Numbers that name elements."""

NOTHING = -1
"""The name of an element that comes from no operand, such as padding."""


@dataclass(frozen=True)
class Window:
    """Index o of a result sees the operand's indices (o * stride - before + j * dilation) / spread.

    j runs from 0 to size - 1; what is no whole number or out of range is not seen.

    Attributes:
        size: of the window.
        stride: between neighbouring windows.
        dilation: between neighbouring elements of a window.
        before: how much padding stands before the first element.
        spread: by how much the operand is spread before, as in a transposed convolution.
    """

    size: int
    stride: int = 1
    dilation: int = 1
    before: int = 0
    spread: int = 1


@dataclass(frozen=True)
class Scan:
    """Index o of a result sees the operand's indices up to o; from o on, if it is reversed."""

    reverse: bool = False


@dataclass(frozen=True)
class Labels:
    """Which dimension of each operand is which dimension of each result.

    Along a label that a result has too, its index i depends on the operand's index i, or on those
    that `relations` says. Along None, and along a label that it has not, it may depend on all. An
    operand shorter than the result along a label is of length 1 and broadcast; a longer one is cut.
    A label that two operands of a product share and that the result lacks is the axis of which the
    sum of products is taken: where one factor is zero, the other is not seen.

    Attributes:
        operands: the labels of each operand, by its number; those left out give only their shape.
        results: the labels of each result.
        relations: the labels along which not index i alone is seen.
        chooses: the operands that only choose among the elements of others, such as indices.
    """

    operands: Mapping[int, Dims]
    results: tuple[Dims, ...]
    relations: Mapping[str, Window | Scan] = field(default_factory=dict)
    chooses: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Move:
    """Elements are moved, none is computed.

    Attributes:
        data: the operands whose elements are moved, by number. The others say where.
        replay: does the same with other numbers: it takes one NumPy array for each operand (names
            of the full shape for `data`, integers, perhaps repeated by broadcasting and not to be
            written to; the known values for the others) and gives one array of names for each
            result. What comes from no operand is named `NOTHING`.
        otherwise: what holds where an operand that says where depends on an input; opaque if None.
    """

    data: tuple[int, ...]
    replay: Callable[[Sequence[NDArray[Any]]], Sequence[Names]]
    otherwise: Labels | None = None


@dataclass(frozen=True)
class Scatter:
    """The elements of one operand are put into another, at places that further operands say.

    Attributes:
        target: the operand into which they are put; None for zeros.
        source: the operand whose elements are put.
        places: of the known values of all operands (None for `target` and `source`), where each
            element of the source goes, as a flat index into the result; -1 where it is dropped.
        adds: what was at a place stays, and several sources at one place are joined; else what was
            there is gone.
        otherwise: what holds where an operand that says where depends on an input; opaque if None.
    """

    target: int | None
    source: int
    places: Callable[[Sequence[NDArray[Any] | None]], Names]
    adds: bool
    otherwise: Labels | None = None


@dataclass(frozen=True)
class Branch:
    """One of several graphs is run, which the first operand chooses; the others are its inputs."""

    bodies: tuple[Graph, ...]


@dataclass(frozen=True)
class Repeat:
    """A graph is run again and again.

    The operands are the constants of all rounds, then what is carried from round to round, then
    what is taken slice by slice along its first axis. The results are what is carried at the end,
    then what was stacked along a new first axis. The inputs of the body are constants, carried and
    one slice of each; its outputs are carried and one slice of each result.

    Attributes:
        body: of one round.
        constants: how many operands are the same in all rounds.
        carried: how many are carried.
        reverse: the slices are taken, and stacked, from the last to the first.
        condition: tells from constants and carried whether there is another round; None where the
            number of rounds depends on shapes alone.
    """

    body: Graph
    constants: int
    carried: int
    reverse: bool = False
    condition: Graph | None = None


@dataclass(frozen=True)
class Fixed:
    """The result depends on shapes alone, or on random numbers: zeros like another, a mask.

    Attributes:
        drawn: another call may give other numbers, so nothing is concluded from these.
    """

    drawn: bool = True


@dataclass(frozen=True)
class Host:
    """The program reads numbers, and may act on them: the path that it took is one of several."""


@dataclass(frozen=True)
class Opaque:
    """Each element may depend on every element of every operand.

    Attributes:
        why: nothing more is known.
    """

    why: str = "it is not known what this operator does"


Rule = Labels | Move | Scatter | Branch | Repeat | Fixed | Host | Opaque
