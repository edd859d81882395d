"""A case at a size: its arrays, and the calls of normscope that are timed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import normscope as ns
from benchmarks.cases import Case
from benchmarks.timing import Call

UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
PIECE = (1 << 20) + 7
"""Random numbers that are made; larger arrays repeat them."""


def size(text: str) -> int:
    """`1.5MiB` in bytes."""
    for unit, factor in UNITS.items():
        if text.endswith(unit):
            return int(float(text.removesuffix(unit)) * factor)
    return int(text)


def size_name(nbytes: int) -> str:
    """1572864 as `1.5 MiB`; three digits."""
    unit, factor = max((u for u in UNITS.items() if u[1] <= nbytes), key=lambda u: u[1])
    return f"{nbytes / factor:.3g} {unit}"


def dtype_of(name: str) -> np.dtype[Any]:
    """A dtype by its name, bfloat16 too."""
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


def random(shape: tuple[int, ...], dtype: np.dtype[Any], seed: int) -> np.ndarray:
    """Numbers around 1 with a deviation of 2."""
    piece = np.random.default_rng(seed).normal(1, 2, min(PIECE, int(np.prod(shape))))
    return np.resize(piece.astype(dtype), shape)


@dataclass(frozen=True)
class Problem:
    """A case at a size.

    Attributes:
        case: which normalization.
        stated: its spec.
        x: the input.
        learned: `scale` and `bias`, and the `residual` of a fused case.
    """

    case: Case
    stated: ns.NormSpec
    x: np.ndarray
    learned: dict[str, np.ndarray]

    def forward(self, out: np.ndarray | None = None) -> Call:
        """The call of `normalize`, with an `out=` or without."""
        slope = {"negative_slope": 0.1} if self.case.fused else {}
        return lambda: ns.normalize(self.x, self.stated, out=out, **self.learned, **slope)

    def backward(self, dy: np.ndarray, out: np.ndarray) -> Call:
        """The call of `gradients`, from the statistics that the forward pass saved."""
        _, stats = ns.normalize(self.x, self.stated, return_stats=True, **self.learned)
        return lambda: ns.gradients(
            dy, self.x, self.stated, mean=stats.mean, rstd=stats.rstd,
            scale=self.learned.get("scale"), out=out,
        )  # fmt: skip


def problem(case: Case, nbytes: int, dtype_name: str) -> Problem:
    """A case with an input of about so many bytes."""
    dtype = dtype_of(dtype_name)
    shape = case.shape(nbytes, dtype.itemsize)
    stated = case.spec()
    layout = stated.layout(shape)
    wide = dtype if dtype == np.float64 else np.dtype(np.float32)
    learned = {}
    if case.along:
        sizes = tuple(layout.known_sizes[i] for i in layout.named(case.along))
        learned["scale"] = random(sizes, wide, 1)
        if case.bias:
            learned["bias"] = random(sizes, wide, 2)
    if case.fused:
        learned["residual"] = random(shape, dtype, 3)
    return Problem(case, stated, random(shape, dtype, 0), learned)
