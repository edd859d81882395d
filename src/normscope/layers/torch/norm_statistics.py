"""Exact statistics of what `Norm` layers are given: what they remember, over all batches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from normscope.layers.common.parameters import memory_ddof
from normscope.layers.torch.exact_statistics import (
    RUNNING,
    Found,
    Statistics,
    check_counts,
    measured,
    merged_averages,
)
from normscope.layers.torch.memory import counts_samples, memory_of
from normscope.layers.torch.norm import Norm
from normscope.notation.layout import Layout
from normscope.notation.running import stored_variance
from normscope.notation.spec import Measure


def statistics_of(norm: Norm) -> Statistics:
    """What measures a `Norm` with running statistics."""
    return NormAverages(norm) if counts_samples(norm.spec) else NormStatistics(norm)


class NormStatistics(Statistics):
    """The statistics of all values of each set."""

    @contextmanager
    def by_batch(self) -> Iterator[None]:
        """Within, the layer normalizes by the statistics of each batch, also if it is frozen."""
        frozen, self.module.frozen = self.module.frozen, False
        try:
            with super().by_batch():
                yield
        finally:
            self.module.frozen = frozen

    def add(self, x: Tensor, mask: Tensor | None) -> None:
        """Add what one call of the layer was given, which may be one sample."""
        super().add(x[None] if self.module.lacks_batch(x) else x, mask)

    def measured(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """The rows of one input."""
        return self._measured(x, self.module.spec.layout(x.shape), mask)

    def found(self) -> Found:
        """What the layer remembers; a set with too few values keeps what it has.

        Raises:
            ShapeError: all sets have too few.
        """
        count, mean, squares = self.rows
        return self._found(
            count - memory_ddof(self.module.spec), mean, self._stored(count, squares)
        )

    def _measured(self, x: Tensor, layout: Layout, mask: Tensor | None) -> Tensor:
        sizes = layout.known_sizes
        split = None if mask is None else mask.expand(x.shape).reshape(sizes)
        return measured(x.reshape(sizes), layout.shared, split)

    def _stored(self, count: Tensor, squares: Tensor) -> Tensor:
        """What stands for the variance of some sets; those with too few values have any number."""
        spec = self.module.spec
        variance = squares / (count - memory_ddof(spec))
        stored: Tensor = stored_variance(spec.running, variance, spec.eps, torch.sqrt)
        return stored

    def _found(self, enough: Tensor, mean: Tensor, var: Tensor) -> Found:
        check_counts(enough.max(), 0)
        spec, known = self.module.spec, enough > 0
        old_mean, old_var = (getattr(self.module, name) for name in RUNNING)
        mean = _or_old(known, mean, old_mean)
        divisor = torch.ones_like(mean)
        if spec.measure is Measure.NONE:
            return Found(mean, None, divisor, int(enough.max()), self.calls)
        var = _or_old(known, var, old_var)
        divisor = var if spec.running.deviation else (var + spec.eps).sqrt()
        return Found(mean, var, divisor, int(self.rows[0][known].min()), self.calls)


class NormAverages(NormStatistics):
    """The averages over samples of each one's statistics, as torch's instance norms keep them.

    The rows are the number of samples and the two averages.
    """

    def measured(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """The rows of one input; a sample with too few values does not count."""
        spec, layout = self.module.spec, self.module.spec.layout(x.shape)
        memory = memory_of(spec, layout)
        if memory is None:  # there is no sample
            return torch.zeros_like(self.rows)
        count, mean, squares = self._measured(x, layout, mask)
        enough = count > memory_ddof(spec)
        along = tuple(layout.kept.index(i) for i in memory.samples)
        samples = enough.to(mean.dtype).sum(along)
        averages = [
            torch.where(enough, values, 0).sum(along) / samples.clamp(min=1)
            for values in (mean, self._stored(count, squares))
        ]
        return torch.stack([samples, *averages])

    def merged(self, a: Tensor, b: Tensor) -> Tensor:
        """The averages of both, each counting as often as it has samples."""
        return merged_averages(a, b)

    def found(self) -> Found:
        """The two averages."""
        return self._found(*self.rows)


def _or_old(known: Tensor, values: Tensor, old: Tensor | None) -> Tensor:
    return values if old is None else torch.where(known, values, old.to(values).flatten())
