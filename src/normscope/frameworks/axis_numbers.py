"""Axis numbers, as frameworks give them -> a pattern: `[1, 2]` -> `"b [d1 d2] ..."`.

A layer counts axes from the front or from the back, and mostly does not know how many there are.
Counted from one end the rest is `...`; where both ways of counting could name one axis twice, the
rank has to be known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from normscope.errors import SpecError
from normscope.wording import counted


@dataclass(frozen=True)
class Numbered:
    """The axes of an input of some rank: `front` ones, any number of others, `back` ones."""

    front: tuple[str, ...]
    back: tuple[str, ...]
    open: bool

    def name(self, axis: int) -> str:
        """The name of axis number `axis`."""
        if not self.open:
            return self.front[axis]
        return self.front[axis] if axis >= 0 else self.back[axis]

    def names(self, axes: Iterable[int]) -> str:
        """The names of several axes, in the order of the array."""
        count = len(self.front) + len(self.back) + self.open
        ordered = sorted(axes, key=lambda axis: axis if axis >= 0 else axis + count)
        return " ".join(dict.fromkeys(self.name(axis) for axis in ordered))

    def sharing(self, axes: Iterable[int]) -> str:
        """The pattern with just these axes in brackets."""
        return self._pattern({self.name(axis) for axis in axes}, rest="...")

    def keeping(self, axes: Iterable[int]) -> str:
        """The pattern with all axes but these in brackets."""
        kept = {self.name(axis) for axis in axes}
        return self._pattern({*self.front, *self.back} - kept, rest="[s...]")

    def _pattern(self, shared: set[str], rest: str) -> str:
        def marked(names: Sequence[str]) -> list[str]:
            return [f"[{name}]" if name in shared else name for name in names]

        middle = [rest] if self.open else []
        text = " ".join([*marked(self.front), *middle, *marked(self.back)])
        return text.replace("] [", " ")


def number_axes(what: str, *lists: Sequence[int], rank: int | None = None) -> Numbered:
    """Names for the axes that some layer numbers.

    Args:
        what: the layer, for the message.
        *lists: the axis numbers of each of its settings; equal axes may stand in several lists.
        rank: the number of axes of the input, if it is known.

    Raises:
        SpecError: a number is out of range, an axis stands twice in one list, or the axes cannot
            be told without the rank.

    Example:
        >>> axes = number_axes("a layer", [1, 2])
        >>> axes.sharing([1, 2]), axes.names([1, 2])
        ('b [d1 d2] ...', 'd1 d2')
        >>> number_axes("a layer", [-1]).sharing([-1])
        '... [c]'
    """
    used = sorted({axis for axes in lists for axis in axes})
    for axis in used:
        if isinstance(axis, bool) or not isinstance(axis, int) or abs(axis) > _MOST:
            raise SpecError(f"{what}: {axis!r} is not the number of an axis")
    negative = [axis for axis in used if axis < 0]
    positive = [axis for axis in used if axis >= 0]
    if negative and positive and not _told_apart(positive, negative, lists):
        if rank is None:
            raise SpecError(
                f"{what} counts axes from both ends ({', '.join(map(str, used))}); which they are "
                'depends on the rank: name the axes of its input, for example axes="b h w c"'
            )
        return axes_of_rank(what, rank, *lists)
    if rank is not None:
        axes_of_rank(what, rank, *lists)
    for axes in lists:
        if len(set(axes)) < len(axes):
            raise SpecError(f"{what}: an axis stands twice in {list(axes)}")
    front = _names(max(positive) + 1) if positive else ()
    back = (*(f"e{i}" for i in range(-min(negative), 1, -1)), "c") if negative else ()
    return Numbered(front, back, open=True)


_MOST = 16
"""The largest axis number that is believed."""


def _told_apart(
    positive: Sequence[int], negative: Sequence[int], lists: Sequence[Sequence[int]]
) -> bool:
    """True if no rank makes an axis counted from the front the last one too.

    Within one list that would be the layer's own error; across lists a layer allows it.
    """
    return negative == [-1] and all(
        any(axis in axes and -1 in axes for axes in lists) for axis in positive
    )


def axes_of_rank(what: str, rank: int, *lists: Sequence[int]) -> Numbered:
    """Names for all axes of an input of known rank; see `number_axes`.

    >>> axes_of_rank("a layer", 3, [1, -1]).keeping([1, -1])
    '[b] d1 d2'
    """
    for axes in lists:
        for axis in axes:
            if not -rank <= axis < rank:
                raise SpecError(f"{what}: axis {axis} does not exist among {counted(rank, 'axis')}")
        if len({axis % rank for axis in axes}) < len(axes):
            raise SpecError(f"{what}: of {counted(rank, 'axis')}, {list(axes)} names one twice")
    return Numbered(_names(rank), (), open=False)


def _names(count: int) -> tuple[str, ...]:
    return tuple("b" if axis == 0 else f"d{axis}" for axis in range(count))
