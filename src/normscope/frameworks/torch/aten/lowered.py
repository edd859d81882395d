"""Operators that are recorded as others, simpler ones, that do the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from normscope.frameworks.torch.aten.lowered_indices import (
    index,
    index_put,
    masked_scatter,
    masked_select,
)

aten = torch.ops.aten
Lowered = Callable[..., Any]
"""Does what an operator does; gives NotImplemented where it is to be recorded as it is."""


def _in_place(out_of_place: Lowered) -> Lowered:
    def lowered(self: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        result = out_of_place(self, *args, **kwargs)
        return result if result is NotImplemented else self.copy_(result)

    return lowered


def addcmul(self: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Any:
    """A product added."""
    return self + tensor1 * tensor2 * value if value != 1 else self + tensor1 * tensor2


def addcdiv(self: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Any:
    """A quotient added."""
    return self + tensor1 / tensor2 * value if value != 1 else self + tensor1 / tensor2


def lerp(self: Any, end: Any, weight: Any) -> Any:
    """A point between two."""
    return self + weight * (end - self)


def scatter_value(self: Any, dim: int, index: Any, value: Any) -> Any:
    """One number at many places."""
    source = torch.full(index.shape, value, dtype=self.dtype, device=self.device)
    return aten.scatter.src(self, dim, index, source)


def scatter_value_reduce(self: Any, dim: int, index: Any, value: Any, *, reduce: str) -> Any:
    """One number, joined at many places."""
    source = torch.full(index.shape, value, dtype=self.dtype, device=self.device)
    return aten.scatter.reduce(self, dim, index, source, reduce=reduce)


def index_fill(self: Any, dim: int, index: Any, value: Any) -> Any:
    """One number in whole slices."""
    if not isinstance(value, torch.Tensor):
        value = torch.full((), value, dtype=self.dtype, device=self.device)
    if self.dim() == 0 or index.dim() != 1:
        return NotImplemented
    dim %= self.dim()
    shape = (*self.shape[:dim], index.shape[0], *self.shape[dim + 1 :])
    return aten.index_copy(self, dim, index, value.expand(shape))


def pack_padded_sequence(x: Any, lengths: Any, batch_first: bool) -> Any:
    """The steps of all sequences, one step after the other; they are sorted by length."""
    if isinstance(lengths, torch._subclasses.FakeTensor):
        return NotImplemented
    steps = x.transpose(0, 1) if batch_first else x
    sizes = (lengths[None] > torch.arange(int(lengths[0]))[:, None]).sum(1)
    rows = [steps[time, :size] for time, size in enumerate(sizes.tolist())]
    return torch.cat(rows), sizes.cpu()


def resize_as(self: Any, template: Any, *, memory_format: Any = None) -> Any:
    """The shape of another tensor, of which nothing else counts."""
    return self.resize_(template.shape)


def convolution(
    x: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
) -> Any:
    """Groups whose kernels depend on an input, as one for each sample: one group at a time."""
    alone = weight.shape[1] == 1 and (weight.shape[0] == groups or transposed)
    if not isinstance(weight, torch._subclasses.FakeTensor) or not 1 < groups <= _GROUPS or alone:
        return NotImplemented
    settings = (stride, padding, dilation, transposed, output_padding, 1)
    parts = zip(
        x.chunk(groups, 1),
        weight.chunk(groups),
        [None] * groups if bias is None else bias.chunk(groups),
        strict=True,
    )
    return torch.cat([aten.convolution(*part, *settings) for part in parts], 1)


_GROUPS = 64
"""The most groups that are taken one at a time."""


def trilinear(
    i1: Any,
    i2: Any,
    i3: Any,
    expand1: Sequence[int],
    expand2: Sequence[int],
    expand3: Sequence[int],
    sumdim: Sequence[int],
    unroll_dim: int = 1,
) -> Any:
    """A product of three, with new axes, summed along some."""
    factors = []
    for tensor, axes in ((i1, expand1), (i2, expand2), (i3, expand3)):
        for axis in axes:
            tensor = tensor.unsqueeze(axis)
        factors.append(tensor)
    return (factors[0] * factors[1] * factors[2]).sum(list(sumdim))


def embedding_bag(
    weight: Any,
    indices: Any,
    offsets: Any,
    scale_grad_by_freq: bool = False,
    mode: int = 0,
    sparse: bool = False,
    per_sample_weights: Any = None,
    include_last_offset: bool = False,
    padding_idx: int = -1,
) -> Any:
    """Lookups, and sums or means or maxima of bags of them."""
    if isinstance(offsets, torch._subclasses.FakeTensor) or padding_idx >= 0:
        return NotImplemented
    count = offsets.shape[0] - bool(include_last_offset)
    numbers = torch.arange(indices.shape[0], device=indices.device)
    bags = torch.searchsorted(offsets[:count].contiguous(), numbers, right=True) - 1
    rows = torch.embedding(weight, indices)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights[:, None]
    zeros = torch.zeros((count, weight.shape[1]), dtype=weight.dtype, device=weight.device)
    sizes = torch.bincount(bags, minlength=count)
    if mode == _MAXIMUM:
        found = zeros.index_reduce(0, bags, rows, "amax", include_self=False)
    else:
        found = zeros.index_add(0, bags, rows)
    if mode == _MEAN:
        found = found / sizes.clamp(min=1)[:, None]
    return found, bags, sizes, torch.zeros_like(offsets)


_MEAN, _MAXIMUM = 1, 2
"""The modes of bags of embeddings; the other one is the sum."""


def grouped_mm(
    self: Any, mat2: Any, offs: Any = None, bias: Any = None, out_dtype: Any = None
) -> Any:
    """Each row with the matrix of its group; groups follow each other, as the offsets say."""
    rows_by_groups = offs is not None and (self.dim(), mat2.dim()) == (2, 3)
    if not isinstance(self, torch._subclasses.FakeTensor) or not rows_by_groups or bias is not None:
        return NotImplemented  # with numbers, a matrix for each row would take memory
    row = torch.arange(len(self), dtype=offs.dtype, device=self.device)
    group = torch.searchsorted(offs, row, right=True).clamp(max=len(mat2) - 1)
    return (self[:, None] @ mat2[group])[:, 0].to(out_dtype or self.dtype)


LOWERED: dict[Any, Lowered] = {
    aten._grouped_mm.default: grouped_mm,
    aten.addcmul.default: addcmul,
    aten.addcmul_.default: _in_place(addcmul),
    aten.addcdiv.default: addcdiv,
    aten.addcdiv_.default: _in_place(addcdiv),
    aten.lerp.Scalar: lerp,
    aten.lerp.Tensor: lerp,
    aten.lerp_.Scalar: _in_place(lerp),
    aten.lerp_.Tensor: _in_place(lerp),
    aten.scatter.value: scatter_value,
    aten.scatter_.value: _in_place(scatter_value),
    aten.scatter.value_reduce: scatter_value_reduce,
    aten.scatter_.value_reduce: _in_place(scatter_value_reduce),
    aten.index_fill.int_Scalar: index_fill,
    aten.index_fill.int_Tensor: index_fill,
    aten.index_fill_.int_Scalar: _in_place(index_fill),
    aten.index_fill_.int_Tensor: _in_place(index_fill),
    aten.index_put.default: index_put,
    aten.index_put_.default: _in_place(index_put),
    aten.index.Tensor: index,
    aten.masked_select.default: masked_select,
    aten.masked_scatter.default: masked_scatter,
    aten.masked_scatter_.default: _in_place(masked_scatter),
    aten._pack_padded_sequence.default: pack_padded_sequence,
    aten._trilinear.default: trilinear,
    aten.convolution.default: convolution,
    aten.resize_as_.default: resize_as,
    aten._embedding_bag.default: embedding_bag,
    aten._embedding_bag_forward_only.default: embedding_bag,
}
