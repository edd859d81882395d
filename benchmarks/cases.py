"""What is timed: one registry of normalizations, by the name of their usual operation.

A case has no shape of its own: `shape(nbytes, itemsize)` gives one of about that size, with the
channels and pixels that the layer usually sees.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

FIRST, LAST = (128, 56, 56), (56, 56, 128)


@dataclass(frozen=True)
class Case:
    """One normalization.

    Attributes:
        name: as it stands in the tables.
        pattern, along, fields: the spec; `along` names the axes of scale and bias.
        sample: the shape of one sample; the batch is as large as the size asked for needs.
        passes: how often the floor reads memory: 1 for a copy, 2 where the statistics sets do not
            fit in cache, so that the input must be read before it can be read and written.
        fused: whether a residual is added before and a LeakyReLU follows.
    """

    name: str
    pattern: str
    sample: tuple[int, ...]
    along: str | None = "c"
    fields: dict[str, Any] = field(default_factory=dict)
    passes: int = 1
    bias: bool = True
    fused: bool = False

    def shape(self, nbytes: int, itemsize: int) -> tuple[int, ...]:
        """The sample, as often as fits into `nbytes`; smaller samples for small sizes."""
        sample = list(self.sample)
        elements = max(1, nbytes // itemsize)
        while len(sample) > 1 and _product(sample) > elements:
            spatial = [i for i in range(len(sample)) if sample[i] not in (128, 784, 4096)]
            if not spatial or sample[spatial[0]] <= 4:
                break
            for i in spatial:
                sample[i] = max(4, sample[i] // 2)
        return (max(1, elements // _product(sample)), *sample)


def _product(sizes: list[int]) -> int:
    total = 1
    for size in sizes:
        total *= size
    return total


_RMS = {"center": False, "measure": "mean_square"}
_L2 = {"center": False, "measure": "l2", "eps": 0.0, "floor": 1e-12}

CASES = [
    Case("batch NCHW", "[b] c [h w]", FIRST, passes=1),
    Case("batch NHWC", "[b h w] c", LAST, passes=2),
    Case("layer 128", "b h [c]", (784, 128)),
    Case("layer 784", "b h [c]", (128, 784)),
    Case("layer 4096", "b h [c]", (98, 4096)),
    Case("layer axis 1", "b [c] h w", FIRST),
    Case("layer CHW", "b [c h w]", FIRST, along="c h w"),
    Case("instance NCHW", "b c [h w]", FIRST),
    Case("instance NHWC", "b [h w] c", LAST),
    Case("group-32 NCHW", "b (g [c]) [h w]", FIRST, along="g c", fields={"g": 32}),
    Case("group-32 NHWC", "b [h w] (g [c])", LAST, along="g c", fields={"g": 32}),
    Case("RMS 784", "b h [c]", (128, 784), fields=_RMS, bias=False),
    Case("L2 784", "b h [c]", (128, 784), along=None, fields=_L2, bias=False),
    Case("add, batch NCHW, LeakyReLU", "[b] c [h w]", FIRST, fused=True),
]
