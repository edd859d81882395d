"""`Surroundings`: what stands around a site, operator by operator, as rules see it."""

from __future__ import annotations

from dataclasses import dataclass

from normscope.graph.operators import Role


@dataclass(frozen=True)
class Step:
    """One operator near a site.

    Attributes:
        path, type: of the innermost layer that it belongs to.
        operator: its native name.
        role: what it means for a normalization.
        source: the line of the program, "file.py:12"; "" if it is not known.
        learned: whether it has learned numbers among its operands.
        drops: the share of elements that it sets to zero at random; None where it does not.
        pads: whether it puts zeros around positions, as a convolution with padding does.
    """

    path: str
    type: str
    operator: str
    role: Role
    source: str = ""
    learned: bool = False
    drops: float | None = None
    pads: bool = False


@dataclass(frozen=True)
class Surroundings:
    """What stands around a site, in training where it is there in training, else at inference.

    Attributes:
        between: what stands between the nearest maker of channels and x and is neither a move, a
            cast nor a bias, such as an activation or a dropout; in order.
        users: what uses y, looking through moves and casts.
        is_output: whether y is an output of the model, looking through moves and casts.
        previous: the number of the site whose y is x, looking through moves, casts and dropout;
            None if there is none.
    """

    between: tuple[Step, ...] = ()
    users: tuple[Step, ...] = ()
    is_output: bool = False
    previous: int | None = None
