"""Counted training calls: running statistics that start at 0 are corrected for it at inference.

used = stored / (1 - decay**n)      after n training calls, stored itself before the first
"""

from __future__ import annotations

import numpy as np

from normscope.identify.memory.stored import Stored
from normscope.identify.subject.nan_statistics import largest
from normscope.identify.subject.subject import Floats, Subject

_COUNTS = (1, 3, 50)
_AGREES = 1e-4


def counting(subject: Subject, found: Stored, rng: np.random.Generator) -> tuple[str, ...] | None:
    """Whether inference also depends on a number that training counts, in words.

    Args:
        subject: the layer; its stored statistics are written.
        found: the normalization by stored statistics, as the layer was found.
        rng: random numbers.

    Returns:
        Nothing where no count matters; None where one does, but in no known way.
    """
    x = rng.standard_normal(subject.shape)
    stored = {name: rng.uniform(0.5, 1.5, subject.state[name].shape) for name in found.arrays}
    for name, value in stored.items():
        subject.write(name, value)
    before = subject(x, False)
    size = largest(before)
    counters = [
        name
        for name, value in subject.found.items()
        if name in subject.restless[True] and value.dtype.kind in "iu" and value.size == 1
    ]
    for counter in counters:
        subject.write(counter, np.full(subject.found[counter].shape, 3))
        matters = largest(subject(x, False) - before) > _AGREES * size
        if matters and not _corrects(subject, found, counter, x, stored, before):
            return None
        subject.write_back(counter)
        if matters:
            assert found.spec.running is not None
            decay = found.spec.running.decay
            return (
                f"the stored statistics are divided by 1 - {decay:g}**n after n training calls, "
                f"which {counter} counts: they start at 0",
            )
    return ()


def _corrects(
    subject: Subject,
    found: Stored,
    counter: str,
    x: Floats,
    stored: dict[str, Floats],
    before: Floats,
) -> bool:
    """Whether statistics that are as much too small give the same, whatever the count."""
    if found.spec.running is None:
        return False
    for count in _COUNTS:
        share = 1 - found.spec.running.decay**count
        subject.write(counter, np.full(subject.found[counter].shape, count))
        for name, value in stored.items():
            subject.write(name, share * value)
        if not largest(subject(x, False) - before) < _AGREES * largest(before):
            return False
    return True
