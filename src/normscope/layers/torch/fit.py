"""A spec fitted to the shape of an input: all that `Norm` knows before it sees the values."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from normscope.layers.common.parameters import memory_ddof
from normscope.layers.torch.memory import Memory, inference_spec, memory_of
from normscope.notation.layout import Layout
from normscope.notation.shape import Size
from normscope.notation.spec import NormSpec


class Fit(NamedTuple):
    """A spec fitted to the shape of an input.

    Attributes:
        layout: in the mode that takes statistics from the batch.
        too_few: whether a statistics set has too few values for a divisor N - ddof.
        memory: how running statistics move; None if there are none.
        applied: spec and layout of the mode that uses running statistics; None if there are none.
    """

    layout: Layout
    too_few: bool
    memory: Memory | None
    applied: tuple[NormSpec, Layout] | None


def fitted(spec: NormSpec, shape: tuple[Size, ...]) -> Fit:
    """Fit a spec to a shape; None for a length that is not known.

    >>> fitted(NormSpec("b [c]"), (2, 3)).layout.set_size
    3
    """
    layout = spec.layout(shape)
    size = layout.set_size
    too_few = size is not None and 0 < size <= max(spec.ddof, memory_ddof(spec))
    if spec.running is None:
        return Fit(layout, too_few, None, None)
    applied = inference_spec(spec)
    return Fit(layout, too_few, memory_of(spec, layout), (applied, applied.layout(shape)))


def known_lengths(x: Tensor) -> tuple[Size, ...]:
    """The shape of an input that may be traced, with None for a length that it stands open."""
    from torch.fx.experimental.symbolic_shapes import has_static_value  # slow, and not for all

    return tuple([int(n) if has_static_value(n) else None for n in x.shape])
