"""Losses of PyTorch, each one operator: of single elements, or of all of them together."""

from __future__ import annotations

from collections.abc import Callable

from normscope.frameworks.torch.aten.application import Application, Meaning
from normscope.frameworks.torch.aten.elementwise import spread_labels
from normscope.graph.labels import labels
from normscope.graph.operators import Role
from normscope.graph.rules import Dims, Labels


def compared(op: Application) -> Meaning:
    """Each element with its own target."""
    if not op["reduction"]:
        return Meaning(Role.POINTWISE, spread_labels(op))
    return Meaning(Role.OTHER, _together(op))


def classified(op: Application) -> Meaning:
    """The classes of each place, along axis 1, with one target."""
    scores, target = op.number("self"), op.number("target")
    if op["reduction"] or scores is None or target is None or op.ranks[scores] < 2:
        return Meaning(Role.OTHER, _together(op))
    every = labels(op.ranks[scores], {1})
    places = tuple(label for label in every if label is not None)
    operands: dict[int, Dims] = {n: (None,) * rank for n, rank in enumerate(op.ranks)}
    operands |= {scores: every, target: places}
    results = (places, *((None,) * result.dim() for result in op.results[1:]))
    return Meaning(Role.OTHER, Labels(operands, results))


def _together(op: Application) -> Labels:
    return Labels(
        {n: (None,) * rank for n, rank in enumerate(op.ranks)},
        tuple((None,) * result.dim() for result in op.results),
    )


_COMPARED = """mse_loss smooth_l1_loss huber_loss binary_cross_entropy_with_logits
binary_cross_entropy soft_margin_loss"""
RULES: dict[str, Callable[[Application], Meaning]] = {
    **dict.fromkeys(_COMPARED.split(), compared),
    **dict.fromkeys(("nll_loss_forward", "nll_loss2d_forward"), classified),
}
