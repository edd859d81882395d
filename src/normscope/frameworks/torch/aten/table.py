"""`meaning_of`: what an operator of PyTorch means, from the tables of each kind."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch

from normscope.frameworks.torch.aten import (
    elementwise,
    fixed,
    losses,
    moves,
    normalizations,
    products,
    recurrent,
    reductions,
    scatters,
    windows,
)
from normscope.frameworks.torch.aten.application import Application, Meaning
from normscope.graph.operators import Role
from normscope.graph.rules import Opaque

Rule = Callable[[Application], Meaning]

RULES: dict[str, Rule] = {
    **windows.RULES,
    **losses.RULES,
    **scatters.RULES,
    **recurrent.RULES,
    **products.RULES,
    **normalizations.RULES,
    **moves.RULES,
    **reductions.RULES,
    **elementwise.RULES,
    **fixed.RULES,
}


def meaning_of(op: Application) -> Meaning:
    """What an application means; of an unknown operator, that each element may see everything."""
    if not op.operands and op.function.namespace == "aten":
        return fixed.fixed(op)
    rule = RULES.get(op.name) if op.function.namespace == "aten" else None
    rule = rule or _by_tag(op.function)
    if rule is None:
        return Meaning(Role.OTHER, Opaque())
    try:
        return rule(op)
    except (ArithmeticError, AssertionError, LookupError, TypeError, ValueError) as error:
        return Meaning(Role.OTHER, Opaque(f"unforeseen arguments: {error}"))


@cache
def _by_tag(function: Any) -> Rule | None:
    """PyTorch itself says of many operators which kind they are; not of all their forms."""
    tags = set(function.tags)
    if function.namespace != "aten":
        return None
    packet = getattr(torch.ops.aten, function._schema.name.split("::")[1].rstrip("_"), None)
    if packet is not None:
        for overload in packet.overloads():
            tags |= set(getattr(packet, overload).tags)
    if torch.Tag.pointwise in tags:
        return elementwise.pointwise
    return reductions.reduced if torch.Tag.reduction in tags else None
