"""What stands around a site, operator by operator, and how a model is built, as rules see it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.audit.answering import Answering, no_answer
from normscope.graph.operators import Role


@dataclass(frozen=True)
class Step(Answering):
    """One operator near a site.

    Attributes:
        path, type: of the innermost layer that it belongs to.
        operator: its native name.
        role: what it means for a normalization.
        source: the line of the program, "file.py:12"; "" if it is not known.
        learned: whether it has learned numbers among its operands.
        pads: whether it puts zeros around positions, as a convolution with padding does.
        dropping: finds `drops`.
        runs: gives what it makes of other numbers in the place of its one live operand; None where
            it cannot be run so.
    """

    path: str
    type: str
    operator: str
    role: Role
    source: str = ""
    learned: bool = False
    pads: bool = False
    dropping: Callable[[], float | None] = field(default=no_answer, repr=False)
    runs: Callable[[NDArray[Any]], NDArray[np.float64] | None] = field(
        default=no_answer, repr=False
    )

    @cached_property
    def drops(self) -> float | None:
        """The share of elements that it sets to zero at random; None where it does not."""
        return self.dropping()


@dataclass(frozen=True)
class Dropped(Answering):
    """A dropout that feeds a site in training, with nothing but linear maps between.

    Attributes:
        path: of its layer.
        rate: the share of elements that it sets to zero.
        direct: whether nothing stands between but moves, casts and factors.
        measuring: takes the axes along which statistics are apart; finds how many times the
            variance at the site is larger in training than at inference, None if it cannot.
    """

    path: str
    rate: float
    direct: bool
    measuring: Callable[[Collection[int]], float | None] = field(repr=False)


@dataclass(frozen=True)
class Source:
    """An input of the model.

    Attributes:
        name: as its user knows it.
        shape: its shape.
    """

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Surroundings(Answering):
    """What stands around a site, in training where it is there in training, else at inference.

    Attributes:
        between: what stands between the nearest maker of channels and x and is neither a move, a
            cast nor a bias, such as an activation or a dropout; in order.
        users: what uses y, looking through moves and casts.
        is_output: whether y is an output of the model, looking through moves and casts.
        to_output: what stands between y and an output of the model where that depends on nothing
            but y, without products and further normalizations; None where there is no such output.
        previous: the number of the site whose y is x, looking through moves, casts, dropout and
            single factors; None if there is none.
        is_added: whether y is added to what does not depend on it, with nothing but functions of
            single elements, factors and moves before that.
        ends_branch: whether y is added, scaled and shifted at most, to what its branch was made of.
        carries_on: whether y is added to what a branch makes of y as it is: h + f(h).
        begins_branch: whether x is added to what a branch makes of y: x + f(y).
        sources: the inputs of the model on which x depends.
        follows: whether x depends on what another call of the same layer gave, as in a recurrence.
        side_inputs: whether anything else that depends on an input enters the site, as a mask.
        receiving: gives x for the inputs of the audit, where the layer is called again; else None.
        looking_for_dropout: finds `dropped`.
    """

    between: tuple[Step, ...] = ()
    users: tuple[Step, ...] = ()
    is_output: bool = False
    to_output: tuple[Step, ...] | None = None
    previous: int | None = None
    is_added: bool = False
    ends_branch: bool = False
    carries_on: bool = False
    begins_branch: bool = False
    sources: tuple[Source, ...] = ()
    follows: bool = False
    side_inputs: bool = False
    receiving: Callable[[], NDArray[Any] | None] = field(default=no_answer, repr=False)
    looking_for_dropout: Callable[[], Dropped | None] = field(default=no_answer, repr=False)

    @cached_property
    def dropped(self) -> Dropped | None:
        """The nearest dropout upstream with only linear maps between; None if there is none."""
        return self.looking_for_dropout()


@dataclass(frozen=True)
class UnusedLayer:
    """A normalization layer that a live model holds, and that no mode of it calls.

    Attributes:
        path: as its user names it.
        title: the layer, in words.
        learned: whether its settings give it a scale or a bias.
    """

    path: str
    title: str
    learned: bool


@dataclass(frozen=True)
class Addition:
    """One residual addition: a value, the skip, is added to what a branch has made of it.

    Attributes:
        path: of the innermost layer that adds.
        source: the line of the program, "file.py:12"; "" if it is not known.
        skip: the number of the site whose y the skip is; None if it is of none.
        before: the number of the addition whose result the skip is; None if it is of none.
        resumes: the number of the addition whose result the site of the skip normalizes; or None.
        begins: the numbers of the sites with which the branch begins; none where it takes the
            skip as it is.
        learned: whether the branch holds a product with learned numbers.
        ends: the number of the site whose y, scaled and shifted at most, ends the branch; or None.
        block: of the innermost layer that holds both the addition and the site of the skip; None
            where the skip is of no site.
        enters: whether what the site of the skip normalizes is what that layer is given.
        leaves: whether the sum is what that layer gives.
    """

    path: str
    source: str
    skip: int | None
    before: int | None
    resumes: int | None
    begins: tuple[int, ...]
    learned: bool
    ends: int | None
    block: str | None = None
    enters: bool = False
    leaves: bool = False


@dataclass(frozen=True)
class StreamEnd:
    """The end of a stream of residual additions that nothing normalizes any more.

    Attributes:
        last: the number of the last addition; its result reaches an output of the model.
        head: the path of the first layer after it that multiplies by learned numbers; None where
            there is none.
    """

    last: int
    head: str | None


@dataclass(frozen=True)
class Residuals:
    """The residual additions of a model, in training where it has that mode.

    Attributes:
        additions: in the order of computation.
        unnormalized: where streams end whose branches begin with normalizations, and that are
            themselves normalized by none.
    """

    additions: tuple[Addition, ...] = ()
    unnormalized: tuple[StreamEnd, ...] = ()
