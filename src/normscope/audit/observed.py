"""`Observed`: what a site was given at inference, when the model was run on data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Observed:
    """The statistics of what a site was given at inference, when the model was run on data.

    Attributes:
        mean, var: one number for each statistics set of training, in float64, in the order in which
            running statistics are stored; the variance is the biased one.
        count: values in each of them.
    """

    mean: NDArray[np.float64]
    var: NDArray[np.float64]
    count: int
