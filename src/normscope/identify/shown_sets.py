"""`Pair`: the elements of one statistics set, in and out, for a person to check by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from normscope.identify.formula.probe import Probe

_SIZES = (1.0, 0.01, 100.0)
_IN_WORDS, _MOST = 6, 64


@dataclass(frozen=True)
class Pair:
    """One set in numbers; the parameters were as found.

    Attributes:
        pattern: of the sets.
        size: of the set.
        x, y: its first elements, in and out.
        mean, variance, mean_square: of all elements that went in.
    """

    pattern: str
    size: int
    x: tuple[float, ...]
    y: tuple[float, ...]
    mean: float
    variance: float
    mean_square: float

    def lines(self) -> Iterator[str]:
        r"""The pair as text; of many elements the first.

        >>> print(*Pair("b [c]", 2, (1.0, 3.0), (-1.0, 1.0), 2.0, 1.0, 5.0).lines(), sep="\n")
        x  1, 3   (mean 2, variance 1, mean square 5)
        y  -1, 1
        """
        facts = (
            f"mean {self.mean:.4g}, variance {self.variance:.4g}, "
            f"mean square {self.mean_square:.4g}"
        )
        yield f"x  {_listed(self.x, self.size)}   ({facts})"
        yield f"y  {_listed(self.y, self.size)}"

    def to_dict(self) -> dict[str, Any]:
        """The pair as JSON types; what is not finite is None."""
        return {
            "pattern": self.pattern,
            "set_size": self.size,
            "x": list(self.x),
            "y": [value if np.isfinite(value) else None for value in self.y],
        }


def pairs(probe: Probe) -> tuple[Pair, ...]:
    """One set at three sizes; fewer if the layer may not be called so often any more."""
    subject, structure = probe.subject, probe.structure
    subject.write_all_back()
    found = []
    for size in _SIZES[: max(0, subject.limit - subject.calls)]:
        values = probe.rng.standard_normal((structure.num_sets, structure.set_size)) + 0.5
        x, y = probe.ask(size * np.round(values, 1))
        first = x[0]
        found.append(
            Pair(
                structure.pattern,
                structure.set_size,
                tuple(first[:_MOST].tolist()),
                tuple(y[0, :_MOST].tolist()),
                float(first.mean()),
                float(first.var()),
                float((first**2).mean()),
            )
        )
    return tuple(found)


def _listed(values: tuple[float, ...], size: int) -> str:
    more = f", ... ({size} in all)" if size > _IN_WORDS else ""
    return ", ".join(f"{value:.5g}" for value in values[:_IN_WORDS]) + more
