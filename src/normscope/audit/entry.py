"""`Entry`: what is done to an input of a model before anything is learned from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class InputStep:
    """One operator that scales and shifts an input by constants: `y = x * scale + shift`.

    Attributes:
        path, type: of the innermost layer that it belongs to.
        operator: its native name.
        scale, shift: of length 1 along the axes along which they are the same.
        names: of the arrays of the model among its operands.
    """

    path: str
    type: str
    operator: str
    scale: NDArray[np.float64]
    shift: NDArray[np.float64]
    names: tuple[str, ...] = ()

    @property
    def does_nothing(self) -> bool:
        """Whether it gives what it takes."""
        return bool((self.scale == 1).all() and (self.shift == 0).all())

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes along which scale or shift differ."""
        sizes = zip(self.scale.shape, self.shift.shape, strict=True)
        return tuple(axis for axis, pair in enumerate(sizes) if max(pair) > 1)


@dataclass(frozen=True, eq=False)
class Entry:
    """The operators between an input and the first that does more than scale and shift it.

    Attributes:
        name: of the input.
        shape: of the input.
        steps: in order; casts and moves are left out.
        channel_axis: the axis that the first product sums over as a whole, as a convolution does
            over its channels; None where no product follows at once.
    """

    name: str
    shape: tuple[int, ...]
    steps: tuple[InputStep, ...]
    channel_axis: int | None = None
