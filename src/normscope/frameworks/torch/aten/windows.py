"""Operators of PyTorch that look through windows or between positions: pooling, resampling."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from normscope.frameworks.torch.aten.application import Application, Meaning
from normscope.graph.labels import along, labels, pooling
from normscope.graph.operators import Role
from normscope.graph.rules import Labels, Window


def _count(op: Application) -> int:
    """How many axes of positions there are, as the name says."""
    found = re.search(r"(\d)d", op.name)
    return int(found[1]) if found else op.ranks[0] - 2


def each(value: Any, count: int) -> Sequence[int]:
    """One number for each axis of positions, where one may stand for all."""
    values = [value] if isinstance(value, int) else list(value)
    return values * count if len(values) == 1 else values


def _pooled(role: Role) -> Callable[[Application], Meaning]:
    def meaning(op: Application) -> Meaning:
        count, rank = _count(op), op.ranks[0]
        sizes = each(op["kernel_size"], count)
        steps = zip(
            sizes,
            each(op.get("stride") or sizes, count),
            each(op.get("padding", 0), count),
            each(op.get("dilation", 1), count),
            strict=True,
        )
        windows = {
            rank - count + place: Window(size, stride, dilation, before)
            for place, (size, stride, before, dilation) in enumerate(steps)
        }
        return Meaning(role, pooling(rank, windows, len(op.results)))

    return meaning


def _adapted(role: Role) -> Callable[[Application], Meaning]:
    """Windows of equal size where the sizes divide; else all may be seen."""

    def meaning(op: Application) -> Meaning:
        count, rank = _count(op), op.ranks[0]
        axes = range(rank - count, rank)
        ratios = {a: divmod(op.operands[0].shape[a], max(op.result.shape[a], 1)) for a in axes}
        if all(rest == 0 for _, rest in ratios.values()):
            windows = {axis: Window(size, size) for axis, (size, _) in ratios.items()}
            return Meaning(role, pooling(rank, windows, len(op.results)))
        return Meaning(role, along(rank, axes, len(op.results)))

    return meaning


def positions(op: Application) -> Meaning:
    """Along the axes of positions all may be seen; other operands have the same leading axes."""
    count, rank = _count(op), op.ranks[0]
    lead = labels(rank)[: rank - count]
    operands = {n: (*lead, *[None] * (own - len(lead))) for n, own in enumerate(op.ranks)}
    result = labels(rank, range(rank - count, rank))
    return Meaning(Role.OTHER, Labels(operands, (result,) * len(op.results)))


def sampled(op: Application) -> Meaning:
    """Positions of the input that a grid says, for each sample."""
    rank = op.result.dim()
    every = labels(rank)
    rule = Labels(
        {0: (*every[:2], *[None] * (rank - 2)), 1: (every[0], *every[2:], None)}, (every,)
    )
    return Meaning(Role.OTHER, rule)


def folded(op: Application) -> Meaning:
    """Overlapping blocks are added; samples stay."""
    batched = op.ranks[0] == 3
    return Meaning(
        Role.OTHER,
        Labels(
            {0: ("n", None, None) if batched else (None, None)},
            (("n", None, None, None) if batched else (None, None, None),),
        ),
    )


def gridded(op: Application) -> Meaning:
    """A grid from a matrix, for each sample."""
    return Meaning(Role.OTHER, Labels({0: ("n", None, None)}, (("n", *[None] * 3),)))


def unfolded_back(op: Application) -> Meaning:
    """Windows along an axis are added where they overlap."""
    rank = op.result.dim()
    own = labels(rank, {op["dim"]})
    return Meaning(Role.OTHER, Labels({0: (*own, None)}, (own,)))


_UPSAMPLED = "linear1d bilinear2d trilinear3d bicubic2d"
RULES: dict[str, Callable[[Application], Meaning]] = {
    **{f"avg_pool{n}d": _pooled(Role.RUNNING) for n in (1, 2, 3)},
    **{f"max_pool{n}d": _pooled(Role.OTHER) for n in (1, 2, 3)},
    **{f"max_pool{n}d_with_indices": _pooled(Role.OTHER) for n in (1, 2, 3)},
    **{f"mkldnn_max_pool{n}d": _pooled(Role.OTHER) for n in (2, 3)},
    **{f"adaptive_avg_pool{n}d": _adapted(Role.RUNNING) for n in (1, 2, 3)},
    **{f"_adaptive_avg_pool{n}d": _adapted(Role.RUNNING) for n in (2, 3)},
    **{f"adaptive_max_pool{n}d": _adapted(Role.OTHER) for n in (1, 2, 3)},
    **{f"fractional_max_pool{n}d": positions for n in (2, 3)},
    **{f"max_unpool{n}d": positions for n in (2, 3)},
    **{f"upsample_{kind}": positions for kind in _UPSAMPLED.split()},
    "_upsample_bilinear2d_aa": positions,
    "_upsample_bicubic2d_aa": positions,
    **dict.fromkeys(("grid_sampler_2d", "grid_sampler_3d", "grid_sampler"), sampled),
    "_grid_sampler_2d_cpu_fallback": sampled,
    "col2im": folded,
    "affine_grid_generator": gridded,
    "unfold_backward": unfolded_back,
}
