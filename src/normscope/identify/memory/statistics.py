"""Statistics of a batch that running arrays may follow, one per statistics set or averaged."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from normscope.identify.sets.structure import Structure
from normscope.identify.subject.subject import Floats


@dataclass(frozen=True)
class Statistic:
    """What an array may follow.

    Attributes:
        kind: mean, variance or mean square.
        ddof: of the variance.
        plus_eps: the epsilon of the formula is added.
        root: the root is taken of all that.
    """

    kind: str
    ddof: int = 0
    plus_eps: bool = False
    root: bool = False

    def __str__(self) -> str:
        words = "standard deviation" if self.root and self.kind == "variance" else self.kind
        if self.root and self.kind != "variance":
            words = f"root of the {words}"
        return words + ", ddof 1" * self.ddof + ", plus eps" * self.plus_eps


@dataclass(frozen=True)
class Values:
    """A statistic of one batch, for arrays of one size.

    Attributes:
        parts: (parts, size): one row for each part of the batch that has statistics of its own, in
            the order of the batch; a single row where the array has one value per statistics set.
        in_turn: whether the parts are neighbours along one axis, so that they can come in turn.
    """

    parts: Floats
    in_turn: bool

    @property
    def average(self) -> Floats:
        """The average over the parts."""
        return np.asarray(self.parts.mean(axis=0))


MEAN = Statistic("mean")


def statistics_of(
    structure: Structure, x: Floats, sizes: set[int], eps: float
) -> dict[Statistic, dict[int, Values]]:
    """All statistics of a batch in set form, for arrays of these sizes."""
    count = x.shape[1]
    variance = x.var(axis=1)
    unbiased = variance * count / max(count - 1, 1)
    full = {MEAN: x.mean(axis=1)}
    for kind, ddof, values in (
        ("variance", 0, variance),
        ("variance", 1, unbiased),
        ("mean square", 0, (x**2).mean(axis=1)),
    ):
        for plus_eps in (False, True) if eps > 0 else (False,):
            stored = values + eps if plus_eps else values
            full[Statistic(kind, ddof, plus_eps)] = stored
            full[Statistic(kind, ddof, plus_eps, root=True)] = np.sqrt(stored)
    return {
        statistic: {
            size: reduced
            for size in sizes
            if (reduced := _for_size(structure, values, size)) is not None
        }
        for statistic, values in full.items()
    }


def _for_size(structure: Structure, values: Floats, size: int) -> Values | None:
    """One value per set, apart along those kept axes that an array of `size` has not."""
    layout = structure.layout
    kept = [layout.known_sizes[i] for i in layout.kept]
    apart = values.reshape(kept)
    for number in range(len(kept) + 1):
        for gone in combinations(range(len(kept)), number):
            if math.prod(kept) // math.prod(kept[i] for i in gone) == size:
                parts = np.moveaxis(apart, gone, range(number)).reshape(-1, size)
                return Values(parts, in_turn=number == 1)
    return None
