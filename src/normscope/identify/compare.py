"""Declared against found: in what two specs differ, for one shape."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from normscope.explain.formula import plain_divisor
from normscope.notation.layout import Layout
from normscope.notation.spec import NormSpec

_CONSTANTS = ("eps", "eps_outside", "floor")


def differences(declared: NormSpec, found: NormSpec, shape: tuple[int, ...]) -> Iterator[str]:
    """One line per field that differs; none if both compute the same on this shape.

    Example:
        >>> from normscope.notation.spec import spec
        >>> list(differences(spec("b [c]"), spec("[b] c", eps=1e-3), (3, 4)))
        ['statistics over "[b] c" instead of "b [c]"', 'eps is 0.001 instead of 1e-05']
    """
    yield from _sets(declared, found, shape)
    if declared.center != found.center:
        yield f"the mean is {'' if found.center else 'not '}subtracted"
    if declared.pattern is not None and found.pattern is not None:
        if declared.measure != found.measure:
            yield f"it divides by {plain_divisor(found)} instead of {plain_divisor(declared)}"
        if declared.ddof != found.ddof:
            yield f"ddof is {found.ddof} instead of {declared.ddof}"
    for name in _CONSTANTS:
        ours, theirs = getattr(found, name), getattr(declared, name)
        if name == "floor" and 1 in (_guard(found), _guard(declared)):
            ours, theirs = (value if value != 1 else 0.0 for value in (ours, theirs))
        if abs(ours - theirs) > 2e-3 * max(ours, theirs):
            yield f"{name} is {ours:.6g} instead of {theirs:.6g}"
    yield from _guards(declared, found)
    yield from _parameters(declared, found, shape)
    yield from _running(declared, found)


def _guards(declared: NormSpec, found: NormSpec) -> Iterator[str]:
    ours, theirs = _guard(found), _guard(declared)
    if ours is None or theirs is None:
        if ours is not theirs:
            what = "0" if not (ours or theirs) else f"0 or below {ours or theirs:.6g}"
            yield f"the divisor is {'not ' if ours is None else ''}1 where it is {what}"
    elif abs(ours - theirs) > 2e-3 * max(ours, theirs):
        yield f"the divisor is 1 below {ours:.6g} instead of {theirs:.6g}"


def _guard(spec: NormSpec) -> float | None:
    """The tolerance of the guard; below a floor of 1 the divisor is 1 too."""
    return 1.0 if spec.floor == 1 else spec.unit_below


def _sets(declared: NormSpec, found: NormSpec, shape: tuple[int, ...]) -> Iterator[str]:
    if declared.pattern is None or found.pattern is None:
        if declared.pattern != found.pattern:
            says = {True: "no statistic", False: "statistics"}
            yield (
                f"it takes {says[found.pattern is None]} from its input, where "
                f"{says[declared.pattern is None]} is declared"
            )
        return
    if not np.array_equal(_set_numbers(declared, shape), _set_numbers(found, shape)):
        yield f"statistics over {_written(found)} instead of {_written(declared)}"


def _written(spec: NormSpec) -> str:
    sizes = ", ".join(f"{name}={size}" for name, size in spec.sizes.items())
    return f'"{spec.pattern}"' + (f" with {sizes}" if sizes else "")


def _set_numbers(spec: NormSpec, shape: tuple[int, ...]) -> NDArray[np.int64]:
    layout = spec.layout(shape)
    return _numbers(layout, layout.kept)


def _numbers(layout: Layout, axes: tuple[int, ...]) -> NDArray[np.int64]:
    """A number per element that is the same where the indices along `axes` are."""
    sizes = [size if i in axes else 1 for i, size in enumerate(layout.known_sizes)]
    numbers = np.arange(int(np.prod(sizes))).reshape(sizes)
    return np.broadcast_to(numbers, layout.known_sizes).reshape([n or 0 for n in layout.shape])


def _parameters(declared: NormSpec, found: NormSpec, shape: tuple[int, ...]) -> Iterator[str]:
    for name in ("scale", "bias"):
        ours, theirs = getattr(found, name), getattr(declared, name)
        if (ours is None) != (theirs is None):
            yield f"there is {'no' if ours is None else 'a'} {name}"
        elif ours is not None and declared.pattern is not None and found.pattern is not None:
            one, other = declared.layout(shape), found.layout(shape)
            if not np.array_equal(
                _numbers(one, one.named(theirs)), _numbers(other, other.named(ours))
            ):
                yield f'the {name} varies along "{ours}" instead of "{theirs}"'
    if declared.scale is not None and found.scale_shift != declared.scale_shift:
        yield f"the scale enters as {'1 + scale' if found.scale_shift else 'scale'}"


def _running(declared: NormSpec, found: NormSpec) -> Iterator[str]:
    ours, theirs = found.running, declared.running
    if found.pattern is None and all(
        memory is None or memory.decay == 1 for memory in (ours, theirs)
    ):
        return  # stored statistics that never change
    if ours is None or theirs is None:
        if ours is not theirs:
            yield f"there are {'no ' if ours is None else ''}running statistics"
        return
    if found.pattern is None:
        return
    if abs(ours.decay - theirs.decay) > 1e-4:
        yield f"running decay is {ours.decay:.6g} instead of {theirs.decay:.6g}"
    if ours.decay < 1 and ours.ddof != theirs.ddof:
        yield f"the stored variance has ddof {ours.ddof} instead of {theirs.ddof}"
    if ours.decay < 1 and ours.deviation != theirs.deviation:
        one, other = ("deviation", "variance")[:: 1 if ours.deviation else -1]
        yield f"what is stored is the {one} instead of the {other}"
    if ours.decay < 1 and ours.plus_eps != theirs.plus_eps:
        kind = "deviation" if ours.deviation else "variance"
        yield f"what is stored is the {kind} {'plus' if ours.plus_eps else 'without'} eps"
