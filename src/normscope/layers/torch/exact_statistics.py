"""Exact statistics of what layers with running statistics are given, merged over batches.

A batch gives three rows, with one number for each running statistic: the count, the mean and M2,
the sum of squared deviations from it. Rows are merged by Chan's formula in float64, so that the
order and the lengths of batches change the result by rounding alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from normscope.engine.partial_statistics import measured as partial_statistics
from normscope.errors import ShapeError
from normscope.kernels.contract import (
    PARTIAL_COUNT,
    PARTIAL_MEAN,
    PARTIAL_MEAN_REST,
    PARTIAL_ROOT,
    PARTIAL_ROOT_REST,
)
from normscope.notation.spec import NormSpec
from normscope.wording import counted

RUNNING = ("running_mean", "running_var")


@dataclass(frozen=True, eq=False)
class Found:
    """The running statistics that were measured for a layer.

    Attributes:
        mean: as the layer keeps it.
        var: likewise; None where the layer divides by nothing.
        divisor: what the formula divides by, sqrt(var + eps).
        values: on how many values, or with instance norms samples, the least was measured.
        calls: how often the layer was called.
    """

    mean: torch.Tensor
    var: torch.Tensor | None
    divisor: torch.Tensor
    values: int
    calls: int


class Statistics:
    """The statistics of all values of each channel, as torch's batch norms keep them.

    Args:
        module: a layer with running statistics.

    Attributes:
        rows: what was measured so far, (3, n).
        calls: of how many calls.
    """

    def __init__(self, module: torch.nn.Module) -> None:
        self.module: Any = module
        some = next(v for name in RUNNING if (v := getattr(module, name)) is not None)
        self.rows = torch.zeros((3, some.numel()), **_wide(some))
        self.calls = 0

    @property
    def frozen(self) -> bool:
        """Whether the layer says itself that its running statistics stay as they are."""
        return getattr(self.module, "frozen", False) is True

    @contextmanager
    def by_batch(self) -> Iterator[None]:
        """Within, the layer normalizes by the statistics of each batch."""
        training, self.module.training = self.module.training, True  # what it holds stays as it is
        try:
            yield
        finally:
            self.module.training = training

    def add(self, x: torch.Tensor, mask: torch.Tensor | None) -> None:
        """Add what one call of the layer was given."""
        measured = self.measured(x, mask).to(self.rows).reshape(self.rows.shape)
        self.rows = self.merged(self.rows, measured)
        self.calls += 1

    def measured(self, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """The rows of one input."""
        return measured(x, [dim for dim in range(x.dim()) if dim != 1], mask)

    def merged(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """The rows of all that two rows were measured on."""
        return merged(a, b)

    def found(self) -> Found:
        """The running statistics that the layer keeps; torch's variance is divided by N - 1.

        Raises:
            ShapeError: there are too few values.
        """
        count, mean, squares = self.rows
        least = check_counts(count, 1)
        divisor = (squares / count + self.module.eps).sqrt()
        return Found(mean, squares / (count - 1), divisor, least, self.calls)

    @property
    def sums(self) -> torch.Tensor:
        """Calls and rows as one vector, which can be sent to other processes."""
        return torch.cat([self.rows.new_tensor([self.calls]), self.rows.flatten()])

    def join(self, sums: Iterable[torch.Tensor]) -> None:
        """Hold what several processes have measured together."""
        self.rows, self.calls = torch.zeros_like(self.rows), 0
        for calls, rows in ((one[0], one[1:]) for one in sums):
            self.rows = self.merged(self.rows, rows.reshape(self.rows.shape))
            self.calls += int(calls)

    def store(self, found: Found) -> None:
        """Let the layer hold running statistics."""
        for name, values in zip(RUNNING, (found.mean, found.var), strict=True):
            buffer = getattr(self.module, name)
            if buffer is not None and values is not None:
                buffer.copy_(values.reshape(buffer.shape))
        if isinstance(self.module.num_batches_tracked, torch.Tensor):
            self.module.num_batches_tracked.fill_(found.calls)

    def moved(self, found: Found) -> tuple[float, float]:
        """How far from the layer's: the mean in units of the divisor, the ratio of variances."""
        mean, var = (getattr(self.module, name) for name in RUNNING)
        apart = 0.0 if mean is None else found.mean - mean.to(found.mean).flatten()
        mean_moved = float((apart / found.divisor).abs().max()) if found.divisor.numel() else 0.0
        if var is None or found.var is None or not found.var.numel():
            return mean_moved, 1.0
        ratios = found.var / var.to(found.var).flatten()
        return mean_moved, float(ratios[ratios.log().abs().nan_to_num().argmax()])


class Averages(Statistics):
    """What torch's instance norms keep: the averages over samples of each one's mean and variance.

    The rows are the number of samples and the two averages.
    """

    def measured(self, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """The rows of one input, which may be one sample without its batch axis."""
        if x.dim() == self.module._get_no_batch_dim():
            x = x[None]
        count, mean, squares = measured(x, list(range(2, x.dim())), mask)
        check_counts(count, 1)
        samples = torch.full_like(mean[:1], len(x)).expand(1, mean.shape[1])
        averages = [
            part.sum(0, keepdim=True) / max(len(x), 1) for part in (mean, squares / (count - 1))
        ]
        return torch.cat([samples, *averages])

    def merged(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """The averages of both, each counting as often as it has samples."""
        return merged_averages(a, b)

    def found(self) -> Found:
        """The two averages."""
        samples, mean, var = self.rows
        least = check_counts(samples, 0)
        return Found(mean, var, (var + self.module.eps).sqrt(), least, self.calls)


def measured(x: torch.Tensor, axes: Sequence[int], mask: torch.Tensor | None) -> torch.Tensor:
    """Count, mean and M2 over some axes, in three rows; all are 0 where there is no value.

    >>> measured(torch.tensor([[1.0, 5.0]]), [1], None).tolist()
    [[2.0], [3.0], [8.0]]
    """
    values = None if mask is None else mask.expand(x.shape)
    if x.device.type == "cpu" and x.numel():
        return _by_kernels(x, axes, values)
    return _by_torch(x, list(axes), values)


def _by_kernels(x: torch.Tensor, axes: Sequence[int], mask: torch.Tensor | None) -> torch.Tensor:
    """The kernels read x once, and no wider copy of it is made."""
    if x.dtype is not torch.float64:
        x = x.float()  # exact
    spec = _spec_over(tuple(axes), x.dim())
    layout = spec.layout(x.shape)
    counted = None if mask is None else mask.numpy()
    rows = torch.from_numpy(partial_statistics(x.detach().numpy(), spec, layout, counted))
    count = rows[PARTIAL_COUNT]
    mean = rows[PARTIAL_MEAN] + rows[PARTIAL_MEAN_REST]
    squares = (rows[PARTIAL_ROOT] + rows[PARTIAL_ROOT_REST]).square() * count
    found = torch.where(count > 0, torch.stack([count, mean, squares]), 0)
    return found.reshape(3, *(layout.known_sizes[i] for i in layout.kept))


@lru_cache(maxsize=64)
def _spec_over(axes: tuple[int, ...], rank: int) -> NormSpec:
    """Variance over some axes."""
    return NormSpec(" ".join(f"[d{n}]" if n in axes else f"d{n}" for n in range(rank)))


def _by_torch(x: torch.Tensor, axes: list[int], mask: torch.Tensor | None) -> torch.Tensor:
    """On any device."""
    x = x.to(**_wide(x))
    if mask is None and x.numel():
        variance, mean = torch.var_mean(x, axes, correction=0)
        count = torch.full_like(mean, x.numel() // mean.numel())
        return torch.stack([count, mean, variance * count])
    values = torch.ones_like(x, dtype=torch.bool) if mask is None else mask
    count = values.to(x.dtype).sum(axes, keepdim=True)
    mean = torch.where(values, x, 0).sum(axes, keepdim=True) / count.clamp(min=1)
    squares = torch.where(values, x - mean, 0).square().sum(axes)
    return torch.stack([count.reshape(squares.shape), mean.reshape(squares.shape), squares])


def merged(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Count, mean and M2 of the values of both, by Chan's formula.

    >>> merged(torch.tensor([2.0, 1.0, 2.0]), torch.tensor([1.0, 4.0, 0.0])).tolist()
    [3.0, 2.0, 8.0]
    """
    total = a[0] + b[0]
    share = b[0] / total.clamp(min=1)
    apart = b[1] - a[1]
    return torch.stack([total, a[1] + apart * share, a[2] + b[2] + apart**2 * a[0] * share])


def merged_averages(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Weights and averages of both, the weights in the first row.

    >>> merged_averages(torch.tensor([[3.0], [1.0]]), torch.tensor([[1.0], [5.0]])).tolist()
    [[4.0], [2.0]]
    """
    total = a[0] + b[0]
    share = b[0] / total.clamp(min=1)
    return torch.stack([total, *(a[1:] + (b[1:] - a[1:]) * share)])


def check_counts(count: torch.Tensor, ddof: int) -> int:
    """The least count, which must be enough for the divisor N - ddof.

    Raises:
        ShapeError: it is not.
    """
    least = int(count.min()) if count.numel() else ddof + 1
    if least > ddof:
        return least
    raise ShapeError(
        f"a running statistic was measured on {counted(least, 'value')}, and its divisor "
        f"N - {ddof} needs at least {ddof + 1}",
        None,
        None,
        "give more data",
    )


def _wide(x: torch.Tensor) -> dict[str, Any]:
    """The widest floats that the device of a tensor has."""
    dtype = torch.float32 if x.device.type == "mps" else torch.float64
    return {"dtype": dtype, "device": x.device}
