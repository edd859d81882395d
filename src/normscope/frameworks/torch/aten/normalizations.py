"""Normalizations that are one operator of PyTorch: operand 0 is x, result 0 is y."""

from __future__ import annotations

from collections.abc import Callable

from normscope.frameworks.torch.aten.application import RUNNING_STATISTICS, Application, Meaning
from normscope.graph.labels import normalization
from normscope.graph.operators import Role
from normscope.graph.rules import Dims


def over_last_axes(op: Application) -> Meaning:
    """Layer and RMS normalization."""
    rank = op.ranks[0]
    sets = range(rank - len(op["normalized_shape"]), rank)
    rule = normalization(op.ranks, sets, rank - 1)
    x = rule.operands[0]
    return Meaning(Role.NORMALIZATION, normalization(op.ranks, sets, rank - 1, _rest(op, x)))


def over_groups(op: Application) -> Meaning:
    """Group normalization: the first axis tells sets apart, and the channels if each is a group."""
    rank = op.ranks[0]
    sets = range(2 if op.get("group") == op.operands[0].shape[1] else 1, rank)
    x: Dims = normalization(op.ranks, sets).operands[0]
    return Meaning(Role.NORMALIZATION, normalization(op.ranks, sets, 1, _rest(op, x)))


def _rest(op: Application, x: Dims) -> tuple[Dims, ...]:
    """Mean and deviation have the leading axes of x, whole or cut."""
    return tuple(x[: result.dim()] for result in op.results[1:])


def over_batches(op: Application) -> Meaning:
    """Batch normalization, with statistics of the batch or with stored ones."""
    rank = op.ranks[0]
    sets = {axis for axis in range(rank) if axis != 1} if _of_the_batch(op) else set()
    channel = normalization(op.ranks, sets, 1).operands[0][1]
    rest = tuple((channel,) if r.numel() else (None,) * r.dim() for r in op.results[1:])
    return Meaning(Role.NORMALIZATION, normalization(op.ranks, sets, 1, rest))


def _of_the_batch(op: Application) -> bool:
    if op.number("running_mean") is None:
        return True
    return bool(op.get("training", op.get("train", "no_training" not in op.name)))


_BATCH = (
    *(name.removeprefix("aten::") for name in RUNNING_STATISTICS),
    "_native_batch_norm_legit",
    "_native_batch_norm_legit_functional",
    "_native_batch_norm_legit_no_training",
    "_batch_norm_with_update",
    "_batch_norm_with_update_functional",
)
RULES: dict[str, Callable[[Application], Meaning]] = {
    **dict.fromkeys(("native_layer_norm", "_fused_rms_norm", "rms_norm"), over_last_axes),
    "native_group_norm": over_groups,
    **dict.fromkeys(_BATCH, over_batches),
}
