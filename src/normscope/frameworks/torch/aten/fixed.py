"""Operators of PyTorch whose result hangs on shapes alone, or is drawn, and those that read."""

from __future__ import annotations

from collections.abc import Callable

import torch

from normscope.frameworks.torch.aten.application import Application, Meaning
from normscope.frameworks.torch.aten.elementwise import spread_labels
from normscope.graph.labels import elementwise
from normscope.graph.operators import Role
from normscope.graph.rules import Fixed, Host, Opaque

_LIKE = """zeros_like ones_like full_like empty_like rand_like randn_like randint_like new_zeros
new_ones new_full new_empty new_empty_strided"""
LIKE = frozenset(_LIKE.split())
"""Operators that take the shape, dtype or device of a tensor, and none of its numbers."""

DRAWN = frozenset(("empty_like", "rand_like", "randn_like", "randint_like", "new_empty"))
"""Of those, the ones whose numbers are of no interest."""

_FILLED = "zero normal uniform random exponential geometric log_normal cauchy fill"
_MADE = "zeros ones empty full rand randn arange eye"


def fixed(op: Application) -> Meaning:
    """Numbers that no operand gives."""
    empty = "empty" in op.name
    drawn = empty or torch.Tag.nondeterministic_seeded in op.function.tags
    return Meaning(Role.OTHER, Fixed(drawn))


def filled(op: Application) -> Meaning:
    """In place: by a number, or by a tensor with one number."""
    value = op.number("value") if op.name == "fill" else None
    if op.name == "normal" and not op.written:  # of a mean or a deviation that are tensors
        return Meaning(Role.POINTWISE, spread_labels(op))
    if value is None:
        return fixed(op)
    result = op.result
    shape, dtype = result.shape, result.dtype
    return Meaning(
        Role.COPY,
        elementwise([op.ranks[value]], result.dim()),
        takes=(value,),
        run=lambda arrays: [arrays[0].to(dtype).expand(shape).clone()],
    )


def drawn(op: Application) -> Meaning:
    """Zeros and ones, whose probability is a number or a tensor."""
    if (
        op.number("p") is None
        and op.name == "bernoulli"
        and len(op.operands) == 1
        and (op.written or op.overload == "p")
    ):
        return Meaning(Role.OTHER, Fixed())
    return Meaning(Role.POINTWISE, spread_labels(op))


def resized(op: Application) -> Meaning:
    """Another shape for the same memory; of what was empty, nothing remains."""
    empty = not op.operands[0].numel() or not op.result.numel()
    return Meaning(Role.OTHER, Fixed() if empty else Opaque("memory gets another shape"))


def read(op: Application) -> Meaning:
    """The program gets numbers."""
    return Meaning(Role.OTHER, Host())


RULES: dict[str, Callable[[Application], Meaning]] = {
    **dict.fromkeys((*LIKE, *_MADE.split()), fixed),
    **dict.fromkeys(_FILLED.split(), filled),
    "bernoulli": drawn,
    **dict.fromkeys(("resize", "resize_as"), resized),
    **dict.fromkeys(
        (
            "_local_scalar_dense",
            "item",
            "is_nonzero",
            "equal",
            "_assert_async",
            "_assert_scalar",
            "_is_all_true",
            "_is_any_true",
        ),
        read,
    ),
}
