"""Any `NormSpec` in torch operators, where neither our kernels nor one operator of torch serve.

The formula is `layers/common/formula.py`. Statistics are computed in float32 (float64 for float64
input); all can be traced, compiled, transformed, and differentiated any number of times.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from normscope.errors import DtypeError, ShapeError
from normscope.layers.common import formula
from normscope.layers.common.formula import Moments as Moments
from normscope.layers.common.operations import Operations
from normscope.layers.common.shapes import is_split, join, split
from normscope.layers.torch import operations
from normscope.layers.torch.joined_sets import JoinedSets
from normscope.layers.torch.synchronization import Processes
from normscope.notation.layout import Layout
from normscope.notation.spec import NormSpec

TORCH: Operations = operations


def normalize(
    x: Tensor,
    spec: NormSpec,
    layout: Layout,
    *,
    scale: Tensor | None = None,
    bias: Tensor | None = None,
    mask: Tensor | None = None,
    residual: Tensor | None = None,
    negative_slope: float | None = None,
    processes: Processes | None = None,
) -> tuple[Tensor, Moments]:
    """Normalize `x` by its own statistics.

        y = (x - m) / max(sqrt(v + eps) + eps_outside, floor) * scale + bias

    Args:
        x: floats, of the shape that `layout` was made for.
        spec: the normalization.
        layout: `spec.layout(x.shape)`.
        scale, bias: parameters along the axes that the spec names, in that order, or flat.
        mask: booleans that broadcast to x. Only values where it is True enter the statistics; a set
            without any is set to the bias; one with some, but no more than ddof, to NaN. What is
            hidden and gives no finite output passes no gradient, so that it reaches no other.
        residual: of x's shape and dtype, added to x first.
        negative_slope: of a LeakyReLU that follows.
        processes: that hold other values of the same statistics sets.

    Returns:
        y, of x's shape and dtype, and the `Moments`, in the dtype of the statistics.

    Raises:
        DtypeError, ShapeError: the mask holds no booleans, or does not broadcast.

    Example:
        >>> import torch
        >>> spec = NormSpec("b [c]", eps=0.0)
        >>> x = torch.tensor([[1.0, 2, 3], [4, 5, 6]])
        >>> normalize(x, spec, spec.layout(x.shape))[0]
        tensor([[-1.2247,  0.0000,  1.2247],
                [-1.2247,  0.0000,  1.2247]])
    """
    whole = x if residual is None else x + residual
    whole = split(TORCH, whole, layout)
    counted = split_mask(mask, layout)
    if processes is None:
        sets = formula.Sets(TORCH, whole, layout, counted, None)
    else:
        sets = JoinedSets(TORCH, whole, layout, counted, processes)
    y, found = formula.normalize_by(sets, whole, spec, layout, scale=scale, bias=bias)
    return _finished(y, x, layout, negative_slope), found


def normalized(
    x: Tensor,
    spec: NormSpec,
    layout: Layout,
    mean: Tensor | None,
    v: Tensor | None,
    *,
    scale: Tensor | None = None,
    bias: Tensor | None = None,
    mask: Tensor | None = None,
    residual: Tensor | None = None,
    negative_slope: float | None = None,
) -> Tensor:
    """Normalize `x` by statistics from elsewhere, such as running ones.

    Args:
        x, spec, layout, scale, bias, residual, negative_slope: as for `normalize`.
        mask: likewise; here it matters to gradients alone.
        mean, v: one value per statistics set, in the shape that `Moments` have, in that of the kept
            axes, or flat. A spec that is not centred does not use `mean`, one that divides by
            nothing does not use `v`; what is not used may be None.

    Returns:
        y, of x's shape and dtype.

    Raises:
        SpecError: the spec uses what is None.

    Example:
        >>> import torch
        >>> spec = NormSpec("[b] c", eps=0.0)
        >>> x = torch.tensor([[1.0, 2], [3, 4]])
        >>> normalized(x, spec, spec.layout(x.shape), torch.tensor([1.0, 2]), torch.ones(2))
        tensor([[0., 0.],
                [2., 2.]])
    """
    whole = x if residual is None else x + residual
    y = formula.normalized(
        TORCH,
        split(TORCH, whole, layout),
        spec,
        layout,
        mean,
        v,
        scale=scale,
        bias=bias,
        counted=split_mask(mask, layout),
    )
    return _finished(y, x, layout, negative_slope)


def check_mask(mask: Tensor, layout: Layout) -> None:
    """What a mask must be.

    Raises:
        DtypeError, ShapeError: it holds no booleans, or does not broadcast to the input.
    """
    if mask.dtype != torch.bool:
        raise DtypeError(
            f"mask has dtype {mask.dtype}; it is a tensor of booleans, True = counts: mask != 0"
        )
    whole = layout.shape
    given = _given_lengths(mask, layout)
    fits = len(given) == len(whole) and all(
        a == 1 or b is None or a == b for a, b in zip(given, whole, strict=True)
    )
    if not fits:
        raise ShapeError(
            f"mask of shape {tuple(mask.shape)} does not broadcast to x", layout.pattern.text, whole
        )


def split_mask(mask: Tensor | None, layout: Layout) -> Tensor | None:
    """The mask, shaped to broadcast against the input with its groups taken apart.

    Raises:
        DtypeError, ShapeError: it holds no booleans, or does not broadcast to the input.
    """
    if mask is None:
        return None
    check_mask(mask, layout)
    given = _given_lengths(mask, layout)
    if not is_split(layout):
        return mask.reshape(given)
    wide = [given[axis.dim] != 1 for axis in layout.axes]
    sizes = zip(wide, layout.known_sizes, strict=True)
    return mask.reshape([size if wide else 1 for wide, size in sizes])


def _given_lengths(mask: Tensor, layout: Layout) -> tuple[int, ...]:
    """The shape of the mask with axes of length 1 in front, as many as the input has."""
    return (1,) * (len(layout.shape) - mask.dim()) + tuple(mask.shape)


def _finished(y: Tensor, x: Tensor, layout: Layout, negative_slope: float | None) -> Tensor:
    """The result in shape and dtype of the input, after the activation."""
    if negative_slope is not None:
        y = functional.leaky_relu(y, negative_slope)
    whole: Tensor = join(TORCH, y, layout)
    return operations.cast(whole, x.dtype)
