"""Lookups by several indices and truth values, recorded as lookups by one index at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensor

aten = torch.ops.aten


def index(self: Any, indices: Sequence[Any]) -> Any:
    """Known truth values become places; known places are taken first, then those that are not."""
    if any(_is_known_mask(t) for t in indices):
        places: list[Any] = []
        for t in indices:
            places += t.nonzero().unbind(1) if _is_known_mask(t) else [t]
        return aten.index.Tensor(self, places)
    at = [axis for axis, t in enumerate(indices) if t is not None]
    open_axes = [axis for axis in at if isinstance(indices[axis], FakeTensor)]
    known = [axis for axis in at if axis not in open_axes]
    if not known or not open_axes or any(indices[a].dtype == torch.bool for a in open_axes):
        return NotImplemented
    return _index_in_turn(self, indices, known, open_axes)


def _index_in_turn(
    self: Any, indices: Sequence[Any], known: Sequence[int], open_axes: Sequence[int]
) -> Any:
    """As `x[torch.arange(batch), last]`: of each sample, something that its own index chooses."""
    at = sorted([*known, *open_axes])
    rest = [axis for axis in range(self.dim()) if axis not in at]
    x = aten.index.Tensor(
        self.permute(*known, *open_axes, *rest), [indices[axis].long() for axis in known]
    )
    together = tuple(np.broadcast_shapes(*(indices[axis].shape for axis in at)))
    rank, kept = len(together), tuple(self.shape[axis] for axis in rest)
    x = x.flatten(x.dim() - len(rest) - len(open_axes), x.dim() - len(rest) - 1)
    x = x.reshape((1,) * (rank + 1 + len(rest) - x.dim()) + tuple(x.shape))
    x = x.expand(*together, -1, *kept)
    place = torch.zeros((), dtype=torch.long, device=self.device)
    for axis in open_axes:
        size = self.shape[axis]
        place = place * size + indices[axis].long().remainder(size)  # it may count from the end
    place = place.expand(together).reshape(*together, 1, *[1] * len(kept))
    y = x.gather(rank, place.expand(*together, 1, *kept)).squeeze(rank)
    side_by_side = at == list(range(at[0], at[0] + len(at)))
    before = sum(axis < at[0] for axis in rest) if side_by_side else 0
    order = [*range(rank, rank + before), *range(rank), *range(rank + before, y.dim())]
    return y.permute(order)


def index_put(self: Any, indices: Sequence[Any], values: Any, accumulate: bool = False) -> Any:
    """Truth values become places, or a choice; values get the whole shape of what they replace."""
    masks = [t for t in indices if t is not None and t.dtype in (torch.bool, torch.uint8)]
    if len(masks) == 1 and len(indices) == 1 and values.numel() == 1 and not accumulate:
        mask = masks[0].bool()
        mask = mask.reshape(*mask.shape, *[1] * (self.dim() - mask.dim()))
        return torch.where(mask, values.to(self.dtype).reshape(()), self)
    if not all(_is_known_mask(mask) for mask in masks):
        return NotImplemented
    places: list[Any] = []
    for t in indices:
        places += t.nonzero().unbind(1) if _is_known_mask(t) else [t]
    shape = _indexed_shape(tuple(self.shape), places)
    given = tuple(values.shape)
    values = values.to(self.dtype).expand(shape)
    if not accumulate and not masks and _is_one_for_each(self, indices):
        return _put_in_turn(self, indices[1], values)
    if not masks and tuple(values.shape) == given:
        return NotImplemented
    return aten.index_put(self, places, values, accumulate)


def _is_one_for_each(self: Any, indices: Sequence[Any]) -> bool:
    """Whether the first of two indices counts the first axis, and the second is not known."""
    if len(indices) != 2 or any(t is None for t in indices):
        return False
    first, second = indices
    if isinstance(first, FakeTensor) or not isinstance(second, FakeTensor):
        return False
    counted = (self.shape[0], *[1] * (second.dim() - 1))
    number = torch.arange(self.shape[0], device=first.device)
    return tuple(first.shape) == counted and bool((first.reshape(-1) == number).all())


def _put_in_turn(self: Any, places: Any, values: Any) -> Any:
    """As `y[torch.arange(batch), chosen] = values`: into each sample where its own index says."""
    kept = [1] * (self.dim() - 2)
    rows = places.expand(self.shape[0], *places.shape[1:]).reshape(self.shape[0], -1, *kept)
    source = values.reshape(self.shape[0], rows.shape[1], *self.shape[2:])
    rows = rows.long().remainder(self.shape[1]).expand(source.shape)
    return aten.scatter.src(self, 1, rows, source)


def masked_select(self: Any, mask: Any) -> Any:
    """What stands where a known mask is true."""
    if not _is_known_mask(mask):
        return NotImplemented
    self, mask = torch.broadcast_tensors(self, mask)  # type: ignore[no-untyped-call]
    return aten.index.Tensor(self, list(mask.nonzero().unbind(1)))


def masked_scatter(self: Any, mask: Any, source: Any) -> Any:
    """The first elements of the source, put where a known mask is true."""
    if not _is_known_mask(mask):
        return NotImplemented
    places = list(mask.expand(self.shape).nonzero().unbind(1))
    return aten.index_put(self, places, source.reshape(-1)[: places[0].shape[0]])


def _is_known_mask(t: Any) -> bool:
    fake = isinstance(t, FakeTensor)
    return t is not None and not fake and t.dtype in (torch.bool, torch.uint8)


def _indexed_shape(shape: tuple[int, ...], places: Sequence[Any]) -> tuple[int, ...]:
    at = [axis for axis, index in enumerate(places) if index is not None]
    together = np.broadcast_shapes(*(places[axis].shape for axis in at))
    kept = [size for axis, size in enumerate(shape) if axis not in at]
    first = at[0] if at == list(range(at[0], at[0] + len(at))) else 0
    return (*kept[:first], *together, *kept[first:])
