"""One axis: which indices of the output change with one index of the input, and the word for it.

An axis splits into *factors*, from the outermost to the innermost, each of which is shared or not:
32 channels in 4 groups are the factors (4, not shared), (8, shared).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Factor:
    """A part of an axis, and whether its indices share statistics."""

    size: int
    shared: bool


@dataclass(frozen=True)
class AxisSight:
    """What was seen along one axis.

    Attributes:
        word: one of independent, shared, grouped N, interleaved N, window N, causal, anticausal,
            mixed.
        factors: how the axis splits, or None if its indices form no sets.
    """

    word: str
    factors: tuple[Factor, ...] | None


def axis_sight(size: int, seen: Mapping[int, frozenset[int]]) -> AxisSight:
    """Name what was seen along one axis.

    Args:
        size: of the axis.
        seen: for some indices of the input, the indices of the output that changed with them.

    Example:
        >>> axis_sight(6, {0: frozenset({0, 1, 2}), 4: frozenset({3, 4, 5})}).word
        'grouped 2'
        >>> axis_sight(6, {0: frozenset({0, 1}), 3: frozenset({2, 3, 4})}).word
        'window 3'
        >>> axis_sight(4, {0: frozenset({0, 1, 2, 3}), 2: frozenset({2, 3})}).word
        'causal'
    """
    for factors in _candidates(size, seen):
        if all(members(size, factors, index) == changed for index, changed in seen.items()):
            return AxisSight(factor_word(factors), factors)
    for word, reach in (("causal", (0, size)), ("anticausal", (size, 0))):
        if _is_window(size, seen, *reach):
            return AxisSight(word, None)
    before = max(index - min(changed, default=index) for index, changed in seen.items())
    after = max(max(changed, default=index) - index for index, changed in seen.items())
    if before >= 0 and after >= 0 and _is_window(size, seen, before, after):
        return AxisSight(f"window {before + after + 1}", None)
    return AxisSight("mixed", None)


def members(size: int, factors: tuple[Factor, ...], index: int) -> frozenset[int]:
    """The indices of an axis that share a set with `index`.

    >>> sorted(members(6, (Factor(2, False), Factor(3, True)), 4))
    [3, 4, 5]
    """
    found = {0}
    stride = size
    for factor in factors:
        stride //= factor.size
        digit = index // stride % factor.size
        digits = range(factor.size) if factor.shared else (digit,)
        found = {base + digit * stride for base in found for digit in digits}
    return frozenset(found)


def factor_word(factors: tuple[Factor, ...]) -> str:
    """The word for an axis that splits so.

    >>> factor_word((Factor(4, False), Factor(8, True)))
    'grouped 4'
    """
    match factors:
        case () | (Factor(shared=False),):
            return "independent"
        case (Factor(shared=True),):
            return "shared"
        case (Factor(shared=False, size=number), Factor(shared=True)):
            return f"grouped {number}"
        case (Factor(shared=True), Factor(shared=False, size=number)):
            return f"interleaved {number}"
        case _:
            return "mixed"


def _candidates(size: int, seen: Mapping[int, frozenset[int]]) -> list[tuple[Factor, ...]]:
    """Splits that the sets of a few indices suggest."""
    if size == 1:
        return [(Factor(1, False),)]
    found = []
    for index, changed in seen.items():
        factors = _split(size, _from_zero(size, index, changed))
        if factors is not None and factors not in found:
            found.append(factors)
    return found


def _from_zero(size: int, index: int, changed: frozenset[int]) -> frozenset[int]:
    """The set moved so that it begins at 0, as the set that holds index 0 would."""
    first = min(changed, default=index)
    return frozenset(i - first for i in changed)


def _split(size: int, zero: frozenset[int]) -> tuple[Factor, ...] | None:
    """The factors of an axis in which the set of index 0 is `zero`; None if there are none."""
    factors: list[Factor] = []
    rest = set(zero)
    if 0 not in rest:
        return None
    while size > 1:
        run = next((i for i in range(size) if i not in rest), size)
        shared = run > 1
        step = run if shared else min(rest - {0}, default=size)
        if size % step:
            return None
        if shared:
            if rest != {q + r for q in rest if q % run == 0 for r in range(run)}:
                return None
        elif any(i % step for i in rest):
            return None
        rest = {i // step for i in rest}
        factors.insert(0, Factor(step, shared))
        size //= step
    return tuple(factors)


def _is_window(size: int, seen: Mapping[int, frozenset[int]], before: int, after: int) -> bool:
    return all(
        changed == frozenset(range(max(0, index - before), min(size, index + after + 1)))
        for index, changed in seen.items()
    )
