"""`Precision`: what a layer computes in, as a value that is passed on; and rounding in NumPy."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from normscope.frameworks.trees import Array
from normscope.sight.changes import is_half

PRECISIONS = {"bfloat16": 2.0**-7, "float16": 2.0**-10, "float32": 2.0**-23}
"""Machine epsilons, the coarsest first."""

VANISHING = {
    2.0**-7: (1e-26, 5e-19),
    2.0**-10: (5e-7, 3.5e-4),
    2.0**-23: (1e-26, 5e-19),
    2.0**-52: (1e-166, 1e-153),
}
"""By machine epsilon: where squares become 0, some the sooner since processors skip subnormals."""

LOWEST = {2.0**-7: 1e-36, 2.0**-10: 1e-6, 2.0**-23: 1e-36, 2.0**-52: 1e-290}
"""By machine epsilon: numbers as small as this have most of their digits."""

FLOAT16_STEP = 2.0**-24
"""Numbers of float16 near 0 are multiples of this."""


@dataclass(frozen=True)
class Precision:
    """What a mode of a layer computes in.

    Attributes:
        own: the machine epsilon of the layer's dtype.
        eps: the machine epsilon of the precision that the outputs have.
        into: the coarser precision, by name, to which the layer rounds its input; None if it does
            not.
    """

    own: float
    eps: float
    into: str | None = None

    @property
    def is_half(self) -> bool:
        """Whether the outputs have a half precision."""
        return is_half(self.eps)

    @property
    def of_statistics(self) -> float:
        """The machine epsilon of the precision in which the layer takes its statistics."""
        return self.own if self.into is None else PRECISIONS[self.into]

    @property
    def rounding(self) -> float:
        """The relative error that rounding may leave in a fit."""
        return 8 * self.eps if self.is_half else max(3e-5, 64 * self.eps)

    @property
    def unit(self) -> float:
        """The relative error that rounding may leave in a fitted scale, bias or divisor."""
        return self.eps / 2 if self.is_half else self.rounding

    def at(self, eps: float) -> Precision:
        """The precision with another machine epsilon of the outputs.

        >>> Precision(2.0**-23, 2.0**-23).at(2.0**-7).is_half
        True
        """
        return replace(self, eps=eps)

    def float32_at_best(self) -> Precision:
        """The precision where the outputs are known no better than in float32."""
        return self.at(max(self.eps, PRECISIONS["float32"]))


def rounded(x: Array, kind: str) -> Array:
    """`x` as float32 after rounding to a precision.

    >>> rounded(np.array([1.003], np.float32), "bfloat16")
    array([1.], dtype=float32)
    """
    x = np.asarray(x, np.float32)
    if kind == "float32":
        return x
    if kind == "float16":
        with np.errstate(over="ignore"):
            return x.astype(np.float16).astype(np.float32)
    bits = np.atleast_1d(x).view(np.uint32)
    even = ((bits >> 16) & 1) + np.uint32(0x7FFF)
    cut = ((bits + even) & np.uint32(0xFFFF0000)).view(np.float32)
    return np.where(np.isfinite(x), cut.reshape(x.shape), x)
