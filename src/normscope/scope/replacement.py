"""Other values for a part of an input, out of those that are present in it.

So token ids stay token ids, and numbers stay in the range that the model was made for. The values
come from the upper or from the lower half of those present: then not only the values change but
also their mean, which no statistic over many of them can miss.
"""

from __future__ import annotations

import numpy as np

from normscope.frameworks.trees import Array

_SEED = 20151


class Replacement:
    """What values an input can take instead of its own.

    Attributes:
        possible: false if only one value is present and nothing says what else would be valid.
    """

    def __init__(self, x: Array) -> None:
        present = np.unique(x)
        present = present[~np.isnan(present)] if x.dtype.kind in "fc" else present
        if x.dtype.kind == "b":
            present = np.array([False, True])
        elif present.size < 2 and x.dtype.kind in "fc":
            # a constant tells nothing of the range, so any number will do
            center = present[0] if present.size and np.isfinite(present[0]) else 0
            others = np.random.default_rng(_SEED).standard_normal(64)
            present = np.sort(center + others).astype(x.dtype)
        self.present = present
        self.possible = bool(present.size >= 2)

    def at(self, x: Array, axis: int, index: int, upper: bool) -> Array:
        """The input with other values at one index of one axis; the same ones each time.

        >>> x = np.array([[1, 2], [3, 4]])
        >>> changed = Replacement(x).at(x, axis=0, index=1, upper=False)
        >>> changed[0].tolist(), (changed[1] != [3, 4]).all()
        ([1, 2], np.True_)
        """
        x = x.copy()
        part = np.moveaxis(x, axis, 0)[index]
        middle = self.present.size // 2
        half = self.present[middle:] if upper else self.present[: max(middle, 1)]
        rng = np.random.default_rng((_SEED, axis, index, upper))
        new = rng.choice(half, np.shape(part))
        same = new == part
        following = (np.searchsorted(self.present, new) + 1) % self.present.size
        np.moveaxis(x, axis, 0)[index] = np.where(same, self.present[following], new)
        return x
