"""Whole indices of the input are given other values, one by one: an `IndexTable` per axis."""

from __future__ import annotations

import numpy as np

from normscope.identify.subject.mode import Mode
from normscope.identify.subject.subject import Floats
from normscope.sight.changes import changes
from normscope.sight.index_table import MOST, IndexTable

_MORE_CALLS = 4 * MOST
"""For each axis and mode: every index is changed on two inputs."""


def index_tables(mode: Mode, names: tuple[str, ...]) -> tuple[IndexTable, ...]:
    """A table for each axis with more than one index; none if the output has other axes."""
    with mode.subject.granted(_MORE_CALLS * len(names)):
        return _tables(mode, names)


def _tables(mode: Mode, names: tuple[str, ...]) -> tuple[IndexTable, ...]:
    x = mode.received(mode.rng.standard_normal(mode.shape))
    bases = [(one, mode(one)) for one in (x, -x)]
    out = bases[0][1].shape
    if len(out) != len(mode.shape):
        return ()
    tables = []
    for dim, (name, size) in enumerate(zip(names, mode.shape, strict=True)):
        if size == 1:
            continue
        seen: dict[int, frozenset[int]] = {}
        for index in range(size if max(size, out[dim]) <= MOST else 0):
            seen[index] = _seen(mode, bases, (dim, index))
        tables.append(IndexTable.of(name, size, out[dim], seen))
    return tuple(tables)


def _seen(mode: Mode, bases: list[tuple[Floats, Floats]], place: tuple[int, int]) -> frozenset[int]:
    """The indices of the output that change with one index of the input along the same axis."""
    dim, index = place
    changed = np.zeros(bases[0][1].shape, bool)
    for x, y in bases:
        other = np.moveaxis(x.copy(), dim, 0)
        # other values, of which also the mean and the size are others
        other[index] = -3 * other[index] + mode.rng.uniform(5, 9, other[index].shape)
        changed |= changes(y, mode(np.moveaxis(other, 0, dim)), mode.eps)
    others = tuple(d for d in range(changed.ndim) if d != dim)
    return frozenset(np.flatnonzero(changed.any(axis=others)).tolist())
