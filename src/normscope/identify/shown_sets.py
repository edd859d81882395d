"""Statistics sets in numbers, for a person to check by hand where no formula was found."""

from __future__ import annotations

import numpy as np

from normscope.identify.formula.probe import Probe
from normscope.identify.result import ShownSet

_SIZES = (1.0, 0.01, 100.0)
_MOST = 64
"""So many elements of a set are kept."""


def show_sets(probe: Probe) -> tuple[ShownSet, ...]:
    """One set at three sizes; fewer if the layer may not be called so often any more."""
    structure = probe.structure
    found = []
    for size in _SIZES[: probe.subject.calls_left]:
        values = probe.rng.standard_normal((structure.num_sets, structure.set_size)) + 0.5
        x, y = probe.ask(size * np.round(values, 1))
        received = x[0]
        found.append(
            ShownSet(
                structure.pattern,
                structure.set_size,
                tuple(received[:_MOST].tolist()),
                tuple(y[0, :_MOST].tolist()),
                float(received.mean()),
                float(received.var()),
                float((received**2).mean()),
            )
        )
    return tuple(found)
