"""The running statistics of `Norm`: along which axes they lie, how a batch moves them.

An axis that counts samples has no length that a buffer could have. So where the first axis of the
input lies outside brackets, and the spec says nothing of its length and lets no parameter vary
along it, the samples of a batch enter by the average of their statistics, as in torch's instance
norms.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from normscope.layers.common.formula import Moments
from normscope.layers.common.parameters import memory_ddof
from normscope.layers.torch.transforms import in_transform, write
from normscope.notation.layout import Layout
from normscope.notation.pattern import leaves
from normscope.notation.running import Running, stored_variance
from normscope.notation.spec import NormSpec


def counts_samples(spec: NormSpec) -> bool:
    """Whether the statistics that are remembered are averages over the first axis of the input.

    >>> counts_samples(NormSpec("b c [s]")), counts_samples(NormSpec("[b] c"))
    (True, False)
    >>> counts_samples(NormSpec("c [s]")), counts_samples(NormSpec("t [b] c", sizes={"t": 3}))
    (False, False)
    """
    first, *others = spec.parsed.items
    axes = list(leaves((first,)))
    if any(axis.shared or axis.size is not None for axis in axes):
        return False
    if all(axis.shared for axis in leaves(tuple(others))):
        return False  # there is no other axis that it could vary along
    named = f"{spec.scale or ''} {spec.bias or ''}".replace("...", " ").split()
    return not any(axis.name in spec.sizes or axis.name in named for axis in axes)


def inference_spec(spec: NormSpec) -> NormSpec:
    """The spec by which running statistics are applied: its sets are those that are remembered.

    >>> from normscope import Running
    >>> print(inference_spec(NormSpec("b c [s]", running=Running(0.9))).pattern)
    [b] c [s]
    """
    applied = replace(spec, eps=spec.inference().eps, ddof=0)
    if not counts_samples(spec):
        return applied
    text, stop = spec.parsed.text, spec.parsed.items[0].stop
    return replace(applied, pattern=f"[{text[:stop]}]{text[stop:]}")


def applied_variance(spec: NormSpec, var: Tensor | None) -> Tensor | None:
    """What stands in the place of the variance at inference."""
    return var.square() if spec.running and spec.running.deviation and var is not None else var


def in_backward_pass() -> bool:
    """Whether autograd is running backward, where activation checkpoints compute again.

    What is computed a second time is no batch of its own.
    """
    if torch.compiler.is_compiling():
        return False
    return bool(torch._C._current_graph_task_id() != -1)


class Memory(NamedTuple):
    """How the running statistics of a layer are moved by batches of one shape.

    Attributes:
        running: what is remembered, and how fast.
        eps, ddof: of the spec.
        least: a set with no more values than this leaves its running statistics alone.
        samples: the atomic axes over which statistics are averaged.
    """

    running: Running
    eps: float
    ddof: int
    least: int
    samples: tuple[int, ...]

    def move(self, found: Moments, mean: Tensor | None, var: Tensor | None) -> None:
        """Move running statistics towards those of a batch, in place.

            running = decay * running + (1 - decay) * batch

        Args:
            found: the statistics of the batch.
            mean, var: the buffers; None where there is none.
        """
        count, known = found.count, None
        if isinstance(count, Tensor):
            known = count > self.least
        elif isinstance(count, int) and count <= self.least:
            return
        if mean is not None:
            self._move(mean, found.mean, known)
        if var is not None:
            stored = stored_variance(
                self.running, found.v, self.eps, torch.sqrt, count=count, ddof=self.ddof
            )
            self._move(var, stored, known)

    def count_batch(self, batches: Tensor) -> None:
        """Count one batch more, in place."""
        if in_transform():
            write(batches, batches + 1)
        else:
            batches.add_(1)

    def _move(self, memory: Tensor, batch: Tensor, known: Tensor | None) -> None:
        batch = batch.detach()
        if self.samples:
            batch, known = _averaged(batch, known, self.samples)
        batch = batch.reshape(memory.shape)
        if known is not None:
            known = known.expand(batch.shape) if known.dim() == 0 else known.reshape(batch.shape)
            batch = torch.where(known, batch, memory.to(batch.dtype))
        share = 1 - self.running.decay
        if in_transform():
            write(memory, torch.lerp(memory.to(batch.dtype), batch, share))
        elif memory.dtype == batch.dtype:
            memory.lerp_(batch, share)
        else:  # the statistics of 16-bit layers are moved in float32
            memory.copy_(memory.to(batch.dtype).lerp_(batch, share))


def memory_of(spec: NormSpec, layout: Layout) -> Memory | None:
    """The memory of a spec that is fitted to a shape; None where nothing is remembered."""
    if spec.running is None or layout.num_sets == 0:
        return None
    samples: tuple[int, ...] = ()
    if counts_samples(spec):
        bases = {axis.name for axis in leaves(spec.parsed.items[:1])}
        samples = tuple(i for i in layout.kept if layout.axes[i].base in bases)
    least = max(spec.ddof, memory_ddof(spec))
    return Memory(spec.running, spec.eps, spec.ddof, least, samples)


def _averaged(
    batch: Tensor, known: Tensor | None, axes: tuple[int, ...]
) -> tuple[Tensor, Tensor | None]:
    """The averages over samples, of those that are known, and where one is known."""
    if known is None:
        return batch.mean(axes), None
    known = known.expand(batch.shape)
    number = known.sum(axes)
    return torch.where(known, batch, 0).sum(axes) / number.clamp(min=1), number > 0
