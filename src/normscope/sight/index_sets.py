"""One axis: which indices of the output change with one index of the input, and the word for it.

Where the indices form sets, the axis splits into parts, each of which is shared or not: 32 channels
in 4 groups are the parts (4, not shared), (8, shared).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from normscope.notation.axis import Part
from normscope.notation.axis_words import word_of_parts


@dataclass(frozen=True)
class AxisSight:
    """What was seen along one axis.

    Attributes:
        word: one of independent, shared, grouped N, interleaved N, window N, causal, anticausal,
            mixed; "none" where nothing changed, "not known" of a single index.
        parts: how the axis splits, or None if its indices form no sets.
        apart: whether each index of the output depends on its own index of the input at most; None
            where that cannot be told.
    """

    word: str
    parts: tuple[Part[int], ...] | None
    apart: bool | None = None


def axis_sight(
    size: int, seen: Mapping[int, frozenset[int]], dead: frozenset[int] | None = None
) -> AxisSight:
    """Name what was seen along one axis that the output has at the same length.

    An index that changes nothing, such as a sample that is multiplied by 0, neither couples nor
    separates: the word follows from the indices that do change something. Likewise those of the
    output that nothing changes, as behind a mask, belong to any set.

    Args:
        size: of the axis.
        seen: for some indices of the input, the indices of the output that changed with them.
        dead: the indices of the output that never change; None takes those that change with no
            index of the input, if all are in `seen`.

    Example:
        >>> axis_sight(6, {0: frozenset({0, 1, 2}), 4: frozenset({3, 4, 5})}).word
        'grouped 2'
        >>> axis_sight(6, {0: frozenset({0, 1}), 3: frozenset({2, 3, 4})}).word
        'window 3'
        >>> axis_sight(4, {0: frozenset({0, 1, 2, 3}), 2: frozenset({2, 3})}).word
        'causal'
        >>> axis_sight(4, {0: frozenset({0}), 1: frozenset(), 2: frozenset({2})}).word
        'independent'
        >>> axis_sight(3, {0: frozenset({0, 2}), 1: frozenset({0, 2})}, frozenset({1})).word
        'shared'
        >>> axis_sight(1, {0: frozenset({0})}).word
        'not known'
    """
    shown = {index: changed for index, changed in seen.items() if changed}
    unseen = seen.keys() - shown.keys()
    if not shown:
        return AxisSight("none", None)
    if size == 1:
        return AxisSight("not known", (Part(1, False),))
    apart = all(changed == {index} for index, changed in shown.items())
    for parts in _candidates(size, shown):
        sets = {index: members(size, parts, index) for index in shown}
        # in a set where one index is seen by all, another cannot be seen by none
        if sets == shown and not any(index in one for one in sets.values() for index in unseen):
            return AxisSight(word_of_parts(parts), parts, apart)
    if dead is None and len(seen) == size:
        dead = frozenset(range(size)).difference(*shown.values())
    if dead and not unseen:
        for parts in _sets_of_neighbours(size):
            if all(members(size, parts, index) - dead == shown[index] for index in shown):
                return AxisSight(word_of_parts(parts), parts, apart)
    return AxisSight(_word_of_windows(size, shown, bool(unseen)), None, apart)


def other_length(out: int, seen: Mapping[int, frozenset[int]]) -> AxisSight:
    """Name what was seen along an axis that has another length in the output.

    Indices that are passed on one by one and in line, as where the last are left out or others are
    added, are independent. Else which index of the output belongs to which of the input is not
    known, so indices are not known to be apart; but they are not where two of them meet in one.

    >>> other_length(2, {0: frozenset({0}), 1: frozenset({1}), 2: frozenset()}).word
    'independent'
    >>> other_length(2, {0: frozenset({0}), 1: frozenset({0}), 2: frozenset({1})}).apart
    False
    """
    shown = {index: changed for index, changed in seen.items() if changed}
    if not shown:
        return AxisSight("none", None)
    steps = {index - place for place, changed in shown.items() for index in changed}
    single = all(len(changed) == 1 for changed in shown.values())
    if single and len(shown) > 1 and len(steps) == 1:
        return AxisSight("independent", None, True)
    together = [index for changed in shown.values() for index in changed]
    apart = False if len(set(together)) < len(together) else None
    everything = all(len(changed) == out for changed in seen.values())
    return AxisSight("shared" if everything else "mixed", None, apart)


def _word_of_windows(size: int, shown: Mapping[int, frozenset[int]], unseen: bool) -> str:
    """The word where indices see those around them."""
    if unseen and len(set(shown.values())) < 2:
        return "mixed"  # the one that is seen says nothing of the others
    for word, reach in (("causal", (0, size)), ("anticausal", (size, 0))):
        if _is_window(size, shown, *reach):
            return word
    before = max(index - min(changed) for index, changed in shown.items())
    after = max(max(changed) - index for index, changed in shown.items())
    width = before + after + 1
    fits = before >= 0 and after >= 0 and (width <= size or not unseen)
    return f"window {width}" if fits and _is_window(size, shown, before, after) else "mixed"


def members(size: int, parts: tuple[Part[int], ...], index: int) -> frozenset[int]:
    """The indices of an axis that share a set with `index`.

    >>> sorted(members(6, (Part(2, False), Part(3, True)), 4))
    [3, 4, 5]
    """
    found = {0}
    stride = size
    for part in parts:
        stride //= part.size
        digit = index // stride % part.size
        digits = range(part.size) if part.shared else (digit,)
        found = {base + digit * stride for base in found for digit in digits}
    return frozenset(found)


def _sets_of_neighbours(size: int) -> Iterator[tuple[Part[int], ...]]:
    """An axis that is one set, and all its splits into equal groups of neighbours."""
    yield (Part(size, True),)
    for number in range(2, size // 2 + 1):
        if size % number == 0:
            yield Part(number, False), Part(size // number, True)


def _candidates(size: int, seen: Mapping[int, frozenset[int]]) -> list[tuple[Part[int], ...]]:
    """Splits that the sets of a few indices suggest."""
    found = []
    for index, changed in seen.items():
        parts = _split(size, _from_zero(size, index, changed))
        if parts is not None and parts not in found:
            found.append(parts)
    return found


def _from_zero(size: int, index: int, changed: frozenset[int]) -> frozenset[int]:
    """The set moved so that it begins at 0, as the set that holds index 0 would."""
    first = min(changed, default=index)
    return frozenset(i - first for i in changed)


def _split(size: int, zero: frozenset[int]) -> tuple[Part[int], ...] | None:
    """The parts of an axis in which the set of index 0 is `zero`; None if there are none."""
    parts: list[Part[int]] = []
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
        parts.insert(0, Part(step, shared))
        size //= step
    return tuple(parts)


def _is_window(size: int, seen: Mapping[int, frozenset[int]], before: int, after: int) -> bool:
    return all(
        changed == frozenset(range(max(0, index - before), min(size, index + after + 1)))
        for index, changed in seen.items()
    )
