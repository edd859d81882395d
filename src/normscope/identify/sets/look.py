"""Sight: change one element of the input, and see which elements of the output change.

On generic input that is exactly the statistics set of the element (or the reach of anything else).
The change is large, so that real dependence stands far above rounding, and it is tried on an input
and on its negative, so that an activation which cuts off one side hides nothing.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from normscope.identify.subject.mode import Mode
from normscope.identify.subject.subject import Floats
from normscope.sight.changes import Bools, changes, differs
from normscope.sight.index_sets import members
from normscope.sight.sight import Sight, read

_MORE_PLACES = 8  # where some places change nothing
_FRESH_INPUTS = 3  # that show which outputs never change
_HALVINGS = 6  # two inputs of one output are in different halves once, but for 1 time in 64
_REPEATS = 6  # more equal calls of what looks like no statistics sets
_OTHER_INPUTS, _SHOWN = 10, 0.8  # how many show what share of a set with dead zones
_FILLED = 0.98  # of a product of index sets, at least so much must have changed; less in halves


def look(mode: Mode, places: int = 6) -> Sight:
    """Disturb single elements of a random input, in at most so many places; see what changes."""
    shape, rng, eps = mode.shape, mode.rng, mode.eps
    base = mode.received(_far_from_zero(rng.standard_normal(shape)))
    bases = (base, -base)
    before = [mode(x) for x in bases]
    again = mode(base)
    out = before[0].shape
    if not all(np.isfinite(y).any() for y in before):
        return Sight(same_shape=out == shape, finite=False, output_shape=out)
    size = float(np.max(np.abs(before[0][np.isfinite(before[0])]), initial=0.0))
    stochastic = Sight(stochastic=True, same_shape=out == shape, output_shape=out)
    if again.shape != out or differs(before[0], again, 64 * eps * size).any():
        return stochastic

    disturbance = max(40.0, 0.3 * float(np.sqrt(base.size)))

    def disturb(place: tuple[int, ...]) -> tuple[tuple[int, ...], Bools]:
        changed = np.zeros(out, bool)
        for x, y in zip(bases, before, strict=True):
            disturbed = x.copy()
            disturbed[place] += disturbance
            changed |= changes(y, mode(disturbed), eps)
        return place, changed

    seen = [disturb(place) for place in _places(shape, rng)[:places]]
    if not any(changed.any() for _, changed in seen):
        changed = changes(before[0], mode(base[::-1] * 3 + 1), eps)
        seen += [disturb(place) for place in _places_of(changed, shape)]
    seen += [disturb(place) for place in _places_beside(seen, shape, rng)]
    filled = 0.8 if mode.precision.is_half else _FILLED
    sight = read(shape, out, seen, filled)
    if sight.sets is None and not sight.alone and out == shape:
        dead = _dead_outputs(mode, tuple(before))
        if dead.any():
            sight = read(shape, out, seen, filled, dead)
    if sight.reach[1] == 1 and not sight.meeting and math.prod(out) < math.prod(shape):
        # where outputs are fewer, inputs that were not tried may meet in one
        sight = replace(sight, meeting=_halves_meet(mode, base, before[0]))
    axes = list(sight.axes)
    for dim, axis in enumerate(axes):
        left_out = axis.apart and out[dim] != shape[dim]  # what was not tried may see others
        if left_out and _halves_meet(mode, base, before[0], dim):
            axes[dim] = replace(axis, word="mixed", apart=False)
    sight = replace(sight, axes=tuple(axes))
    if sight.sets is None:
        # what drops whole samples, and seldom, may have done the same twice by chance
        repeated = (mode(base) for _ in range(_REPEATS))
        if any(differs(before[0], y, 64 * eps * size).any() for y in repeated):
            return stochastic
    return sight


def _far_from_zero(x: Floats) -> Floats:
    """What is only scaled changes in proportion to its size, so near 0 it would not be seen."""
    return x + np.copysign(0.5, x)


def dead_zones(mode: Mode, sight: Sight) -> bool:
    """Whether the sets may only look incomplete, since an activation is flat over some outputs.

    Which outputs it hides depends on the input, so other inputs show those that one has hidden.
    """
    if sight.product or not sight.same_shape or any(axis.parts is None for axis in sight.axes):
        return False
    place = tuple(n // 2 for n in mode.shape)
    changed = np.zeros(mode.shape, bool)
    for _ in range(_OTHER_INPUTS):
        x = mode.received(_far_from_zero(mode.rng.standard_normal(mode.shape)))
        y = mode(x)
        x[place] *= -3
        changed |= changes(y, mode(x), mode.eps)
    together = [
        members(size, axis.parts or (), index)
        for size, axis, index in zip(mode.shape, sight.axes, place, strict=True)
    ]
    expected = np.zeros(mode.shape, bool)
    expected[np.ix_(*(sorted(indices) for indices in together))] = True
    return bool(changed[expected].mean() > _SHOWN and not changed[~expected].any())


def _places(shape: tuple[int, ...], rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Both corners, an inner neighbour of one, the middle with its neighbour, one at random."""
    middle = tuple(n // 2 for n in shape)
    places = [
        tuple(0 for _ in shape),
        tuple(n - 1 for n in shape),
        tuple(min(1, n - 1) for n in shape),
        middle,
        tuple(max(0, i - 1) for i in middle),
        tuple(int(rng.integers(n)) for n in shape),
    ]
    return list(dict.fromkeys(places))


def _places_of(changed: Bools, shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The places of some of the outputs that change when the whole input does."""
    if changed.shape != shape or not changed.any():
        return []
    found = np.argwhere(changed)
    chosen = found[np.unique(np.linspace(0, len(found) - 1, _MORE_PLACES).astype(int))]
    return [tuple(map(int, place)) for place in chosen]


def _places_beside(
    seen: list[tuple[tuple[int, ...], Bools]], shape: tuple[int, ...], rng: np.random.Generator
) -> list[tuple[int, ...]]:
    """Places that share an index with one that changes nothing: a mask may hide just that one."""
    hidden = [place for place, changed in seen if not changed.any()]
    shown = [place for place, changed in seen if changed.any()]
    if not shown:
        return []
    # beside a place that is known to change something, only the index itself can be hidden
    places = [
        (*beside[:kept], index, *beside[kept + 1 :])
        for kept in range(len(shape))
        for index in dict.fromkeys(place[kept] for place in hidden)
        if index not in {place[kept] for place in shown}
        for beside in shown[:1]
    ]
    rng.shuffle(places)
    tried = {place for place, _ in seen}
    return [place for place in dict.fromkeys(places) if place not in tried][:_MORE_PLACES]


def _dead_outputs(mode: Mode, before: tuple[Floats, ...]) -> Bools:
    """The outputs that are the same whatever the input is, as behind a mask."""
    fresh = [
        mode(mode.received(_far_from_zero(mode.rng.standard_normal(mode.shape))))
        for _ in range(_FRESH_INPUTS)
    ]
    others = (*before[1:], *fresh)
    found: Bools = ~np.any([changes(before[0], y, mode.eps) for y in others], axis=0)
    return found


def _halves_meet(
    mode: Mode,
    base: Floats,
    before: Floats,
    dim: int | None = None,
) -> bool:
    """Whether an output changes with both of two halves of the input, or of one of its axes."""
    shape = tuple(n if dim in (None, d) else 1 for d, n in enumerate(base.shape))
    for _ in range(_HALVINGS):
        one = mode.rng.random(shape) < 0.5
        both = np.ones(before.shape, bool)
        for part in (one, ~one):
            both &= changes(before, mode(base + 40.0 * part), mode.eps)
        if both.any():
            return True
    return False
