"""What is timed: one registry of normalizations, by the name of their usual operation.

A case has no shape of its own: `shape(nbytes, itemsize)` gives one of about that size, with the
channels and pixels that the layer usually sees.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from normscope import NormSpec, spec

FIRST, LAST = (128, 56, 56), (56, 56, 128)
LINE = 64


@dataclass(frozen=True)
class Case:
    """One normalization.

    Attributes:
        name: as it stands in the tables.
        pattern, along, fields: the spec; `along` names the axes of scale and bias.
        sample: the shape of one sample; the batch is as large as the size asked for needs.
        fused: whether a residual is added before and a LeakyReLU follows.
    """

    name: str
    pattern: str
    sample: tuple[int, ...]
    along: str | None = "c"
    fields: dict[str, Any] = field(default_factory=dict)
    bias: bool = True
    fused: bool = False

    def spec(self) -> NormSpec:
        """What is computed."""
        bias = self.along if self.bias else None
        return spec(self.pattern, scale=self.along, bias=bias, **self.fields)

    def traffic(self, shape: tuple[int, ...], itemsize: int, cache: int) -> dict[str, int]:
        """What must be read beside a copy, in passes over the array, forward and backward.

        A statistics set that does not fit into `cache`, with all inputs, is read once more. Sets
        of which a line of memory holds several are read together.
        """
        layout = self.spec().layout(shape)
        together = layout.set_size or 0
        run = math.prod(layout.known_sizes[max(layout.kept, default=-1) + 1 :])
        if run * itemsize < LINE:
            inside = range(layout.shared[0], len(layout.axes))
            together *= math.prod(layout.known_sizes[i] for i in inside if i in layout.kept)
        found = {}
        for way, inputs in (("forward", 2 if self.fused else 1), ("backward", 2)):  # x and dy
            again = inputs * together * itemsize > cache
            found[way] = inputs * (1 + again) - 1
        return found

    def shape(self, nbytes: int, itemsize: int) -> tuple[int, ...]:
        """The sample, as often as fits into `nbytes`; smaller samples for small sizes.

        A sample of 128 x 56 x 56 of float32 (1.53 MiB) counts as 1.5 MiB.
        """
        sample = list(self.sample)
        elements = max(1, nbytes // itemsize)
        while len(sample) > 1 and math.prod(sample) > 1.05 * elements:
            spatial = [i for i in range(len(sample)) if sample[i] not in (128, 784, 4096)]
            if not spatial or sample[spatial[0]] <= 4:
                break
            for i in spatial:
                sample[i] = max(4, sample[i] // 2)
        return (max(1, elements // math.prod(sample)), *sample)


_RMS = {"center": False, "measure": "mean_square"}
_L2 = {"center": False, "measure": "l2", "eps": 0.0, "floor": 1e-12}

CASES = [
    Case("batch NCHW", "[b] c [h w]", FIRST),
    Case("batch NHWC", "[b h w] c", LAST),
    Case("layer, last axis of 128", "b h [c]", (784, 128)),
    Case("layer, last axis of 784", "b h [c]", (128, 784)),
    Case("layer, last axis of 4096", "b h [c]", (98, 4096)),
    Case("layer over axis 1 of NCHW", "b [c] h w", FIRST),
    Case("layer over CHW, affine", "b [c h w]", FIRST, along="c h w"),
    Case("instance NCHW", "b c [h w]", FIRST),
    Case("instance NHWC", "b [h w] c", LAST),
    Case("group-32 NCHW", "b (g [c]) [h w]", FIRST, along="g c", fields={"g": 32}),
    Case("group-32 NHWC", "b [h w] (g [c])", LAST, along="g c", fields={"g": 32}),
    Case("RMS 784", "b h [c]", (128, 784), fields=_RMS, bias=False),
    Case("L2 784", "b h [c]", (128, 784), along=None, fields=_L2, bias=False),
    Case("add, batch NCHW, LeakyReLU", "[b] c [h w]", FIRST, fused=True),
]


def chosen(words: Sequence[str] | None) -> list[Case]:
    """The cases in whose names one of these words is; all without words."""
    return [case for case in CASES if not words or any(word in case.name for word in words)]


def named(name: str) -> Case:
    """The case of this name."""
    return next(case for case in CASES if case.name == name)
