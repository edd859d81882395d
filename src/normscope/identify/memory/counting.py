"""Counted training calls: running statistics that start at 0 are corrected for it at inference.

used = stored / (1 - decay**n)      after n training calls, stored itself before the first
"""

from __future__ import annotations

import numpy as np

from normscope.identify.formula.unsolved import Unsolved
from normscope.identify.memory.stored import Stored
from normscope.identify.subject.mode import Mode
from normscope.identify.subject.nan_statistics import largest
from normscope.identify.subject.subject import Floats

_COUNTS = (1, 3, 50)
_AGREES = 1e-4


def counting(mode: Mode, found: Stored) -> tuple[str, ...] | Unsolved:
    """How inference depends on a number that training counts, in words; nothing if it does not.

    Args:
        mode: inference.
        found: the normalization by stored statistics.
    """
    subject = mode.subject
    x = mode.rng.standard_normal(mode.shape)
    stored = {name: mode.rng.uniform(0.5, 1.5, subject.state[name].shape) for name in found.arrays}
    with subject.moved(stored):
        before = mode(x)
        counters = [
            name
            for name, value in subject.found.items()
            if name in subject.restless[True] and value.dtype.kind in "iu" and value.size == 1
        ]
        for counter in counters:
            with subject.moved({counter: np.full(subject.found[counter].shape, 3)}):
                difference = largest(mode(x) - before)
            if difference > _AGREES * largest(before):
                return _corrected(mode, found, counter, x, stored, before)
    return ()


def _corrected(
    mode: Mode, found: Stored, counter: str, x: Floats, stored: dict[str, Floats], before: Floats
) -> tuple[str, ...] | Unsolved:
    """The correction for statistics that start at 0, if that is what the count matters for."""
    running = found.spec.running
    if running is None or not _corrects(mode, running.decay, counter, x, stored, before):
        return Unsolved("the stored statistics are used otherwise after each training call", False)
    return (
        f"the stored statistics are divided by 1 - {running.decay:g}**n after n training calls, "
        f"which {counter} counts: they start at 0",
    )


def _corrects(
    mode: Mode, decay: float, counter: str, x: Floats, stored: dict[str, Floats], before: Floats
) -> bool:
    """Whether statistics that are as much too small give the same, whatever the count."""
    subject = mode.subject
    for count in _COUNTS:
        share = 1 - decay**count
        values = {name: share * value for name, value in stored.items()}
        with subject.moved({counter: np.full(subject.found[counter].shape, count), **values}):
            if not largest(mode(x) - before) < _AGREES * largest(before):
                return False
    return True
