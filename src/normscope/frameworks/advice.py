"""`Advice`: what to write instead, in the words of one framework."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from normscope.errors import ShapeError
from normscope.frameworks.native import NativeLayer
from normscope.notation.layout import Layout
from normscope.notation.spec import NormSpec

Describe = Callable[[NormSpec, Layout], NativeLayer | None]
"""The layer of a framework for a spec, fitted to a shape; None if it has none."""


@dataclass(frozen=True)
class Advice:
    """What to write instead, in the words of one framework.

    Each framework's folder has its own, in its module `advice`; the rules of the audit say what is
    wrong in general words, and what to write in these.

    Attributes:
        framework: the framework in which the advised layers are, as its users call it.
        layer: the layer of that framework for a spec, fitted to a shape; None if it has none.
        channel_axis: how a normalization is told the axis of the channels.
        without_bias: how the layer at a path is told to add no bias.
        running_statistics: the layer that has running statistics.
        norm: the layer of normscope for that framework, which takes any pattern.
    """

    framework: str
    layer: Describe
    channel_axis: Callable[[int], str]
    without_bias: Callable[[str], str]
    running_statistics: str
    norm: str


@dataclass(frozen=True)
class WhereLengthsAreKnown:
    """The same, but None where a layer asks for the length of an axis that is not known.

    A class, and not a function in a function: an advice goes with a report to other processes.
    """

    describe: Describe

    def __call__(self, spec: NormSpec, layout: Layout) -> NativeLayer | None:
        """The layer of a framework for a spec, fitted to a shape; None if it has none."""
        try:
            return self.describe(spec, layout)
        except ShapeError:
            return None
