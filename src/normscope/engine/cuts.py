"""Plan -> `Cut`: how the work of a call is cut, as a kernel is told it."""

from __future__ import annotations

from normscope.engine.plan import Plan
from normscope.kernels.calls import Cut, address


def cut_of(plan: Plan, **others: int) -> Cut:
    """The structure for a plan, which has to outlive it: its nest is not copied.

    Args:
        plan: the plan.
        **others: fields that have other values than in the plan.
    """
    fields = {
        "nest": address(plan.nest),
        "loops": len(plan.loops),
        "kept": plan.num_kept,
        "items": plan.items,
        "per_item": plan.per_item,
        "chunk": plan.chunk,
        "chunks": plan.chunks,
        "tile": plan.tile,
        "outer": plan.outer,
        "inner": plan.inner,
    }
    return Cut(**fields | others)
