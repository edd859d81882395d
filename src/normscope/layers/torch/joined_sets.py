"""Statistics sets of which each process holds a part: measured here, joined over all."""

from __future__ import annotations

import torch
from torch import Tensor

from normscope.layers.common.formula import Sets
from normscope.layers.common.operations import Operations
from normscope.layers.torch.synchronization import Joined, Processes
from normscope.notation.layout import Layout


class JoinedSets(Sets):
    """The statistics sets of a split input, whose other parts are in other processes.

    Mean and variance are joined as (count, mean, M2), sums are added up together with the count: by
    one collective for any measure, but for two where the mean is subtracted and a measure about 0
    is divided by.
    """

    def __init__(
        self,
        ops: Operations,
        x: Tensor,
        layout: Layout,
        counted: Tensor | None,
        processes: Processes,
    ) -> None:
        super().__init__(ops, x, layout, counted, None)
        self.processes = processes
        self.own_count = torch.as_tensor(self.count, dtype=x.dtype, device=x.device)

    def deviations(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`x` minus the mean of its set, the mean, and the sum of squared deviations."""
        near, rest, squares, self.count = self.processes.join(self._own(x))
        return (x - near) - rest, near + rest, squares

    def centred(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """`x` minus the mean of its set, and the mean."""
        return self.deviations(x)[:2]

    def sum(self, values: Tensor) -> Tensor:
        """The sum over each set, over all processes."""
        total, self.count = self.processes.join_sums(self._own_sum(values), self.own_count)
        return total

    def _own(self, x: Tensor) -> Joined:
        """What this process holds, which may be nothing."""
        number = self.own_count.clamp(min=1)
        near = (self._own_sum(self.only(x.detach())) / number).detach()
        apart = self.only(x - near)
        rest = self._own_sum(apart) / number
        squares = self._own_sum(apart.square()) - self.own_count * rest.square()
        return Joined(near, rest, squares.clamp(min=0), self.own_count)

    def _own_sum(self, values: Tensor) -> Tensor:
        total: Tensor = self.ops.sum(values, self.axes)
        return total
