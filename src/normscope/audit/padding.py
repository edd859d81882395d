"""`Padding`: which positions of the inputs of a model are padded, as rules see it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Padding:
    """What tells a model which positions of its inputs are padded.

    Attributes:
        told_by: an input of the model, or a layer of it, in words.
        positions: for each sample and position whether it is padded.
        given: whether any is padded in the inputs of the audit; else some are taken for it.
    """

    told_by: str
    positions: NDArray[np.bool_]
    given: bool
