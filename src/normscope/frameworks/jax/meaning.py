"""What an equation of a jaxpr means: its role, and what it does with its elements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from normscope.graph.operators import Role, Value
from normscope.graph.rules import Rule

Known = Callable[[Value], NDArray[Any] | None]
"""The numbers of a value; None where they depend on an input, or are not known yet."""


@dataclass(frozen=True)
class Meaning:
    """What an equation means.

    Attributes:
        role: for the analyses.
        rule: for the proofs, with operands in the order of `order`.
        order: of the operands, where it is not that of the primitive.
        channel_axis: as a `Node` has it.
    """

    role: Role
    rule: Rule
    order: tuple[int, ...] = ()
    channel_axis: int | None = None
