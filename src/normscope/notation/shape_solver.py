"""Pattern + shape -> atomic axes: how many each `...` stands for, and how long each one is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

from normscope.errors import ShapeError
from normscope.notation.axis import AtomicAxis
from normscope.notation.pattern import ANONYMOUS, Axis, Item, Pattern, Repeat, walk
from normscope.notation.shape import Size, SizeGiven


def fit(
    pattern: Pattern, shape: tuple[Size, ...], given: Mapping[str, SizeGiven]
) -> list[list[AtomicAxis]]:
    """The parts of each axis of an array, with their sizes.

    Args:
        pattern: the parsed pattern.
        shape: the array's shape; None for an axis whose length is not known.
        given: axis sizes given by keyword.

    Returns:
        One list of atomic axes per axis. A size is None only where the axis has no known length.

    Raises:
        ShapeError: the shape has another rank, a size does not fit or divide, or the sizes of a
            group are not determined.
    """
    dims = _Expansion(pattern, shape, given).dims()
    solved = _solve(pattern, shape, dims)
    return [[replace(p, size=solved.get(p.name, p.size)) for p in parts] for parts in dims]


class _Expansion:
    """Writes out the repetitions of a pattern for one rank."""

    def __init__(
        self, pattern: Pattern, shape: tuple[Size, ...], given: Mapping[str, SizeGiven]
    ) -> None:
        self.pattern = pattern
        self.shape = shape
        self.given = given
        self.taken = set(pattern.names)
        self.counts = self.count_repetitions()

    def dims(self) -> list[list[AtomicAxis]]:
        """The parts of each axis of the array."""
        whole = (found for item in self.pattern.items for found in self.written_out(item))
        return [list(self.parts(item, index, dim)) for dim, (index, item) in enumerate(whole)]

    def written_out(self, item: Item) -> Iterator[tuple[int | None, Item]]:
        """`item` itself, or what a repetition stands for, with the number of the repetition."""
        if isinstance(item, Repeat):
            for index in range(self.counts[_key(item)]):
                yield from ((index, part) for part in item.items)
        else:
            yield None, item

    def parts(self, item: Item, index: int | None, dim: int) -> Iterator[AtomicAxis]:
        if isinstance(item, Axis):
            yield self.atomic(item, index, dim)
        else:
            for inner in item.items:
                for inner_index, part in self.written_out(inner):
                    yield from self.parts(part, index if inner_index is None else inner_index, dim)

    def atomic(self, axis: Axis, index: int | None, dim: int) -> AtomicAxis:
        if axis.size is not None:
            return AtomicAxis(axis.size, axis.shared, str(axis.size), axis.name, dim)
        size = self.given.get(axis.name)
        if isinstance(size, tuple):
            size = size[index] if index is not None and index < len(size) else None
        return AtomicAxis(size, axis.shared, self.name(axis, index), axis.name, dim)

    def name(self, axis: Axis, index: int | None) -> str:
        """`s` and 0 give `s0`, or `s0_` where the pattern has an axis `s0` already."""
        base = axis.name
        if index is None or (base != ANONYMOUS and self.stands_once(axis)):
            return base
        name = f"{'_' if base == ANONYMOUS else base}{index}"
        while name in self.taken:
            name += "_"
        return name

    def stands_once(self, axis: Axis) -> bool:
        return any(
            self.counts[_key(item)] == 1
            for item in walk(self.pattern.items)
            if isinstance(item, Repeat) and axis.name in item.names
        )

    def count_repetitions(self) -> dict[object, int]:
        """The repetitions of each `...`: from sizes given one by one, or from the rank."""
        repeats = [item for item in walk(self.pattern.items) if isinstance(item, Repeat)]
        counts: dict[object, int] = {}
        for repeat in repeats:
            for name in sorted(repeat.names):
                size = self.given.get(name)
                if isinstance(size, tuple) and counts.setdefault(_key(repeat), len(size)) != len(
                    size
                ):
                    raise self.wrong_rank()
        top = self.pattern.items
        left = len(self.shape) - sum(
            len(item.items) * counts.get(_key(item), 0) if isinstance(item, Repeat) else 1
            for item in top
        )
        open_keys = {_key(r): 0 for r in repeats if _key(r) not in counts}
        for item in top:
            if isinstance(item, Repeat) and _key(item) in open_keys:
                open_keys[_key(item)] += len(item.items)
        if not open_keys:
            if left:
                raise self.wrong_rank()
            return counts
        if len(open_keys) > 1 or 0 in open_keys.values():
            raise ShapeError(
                f'pattern "{self.pattern}" does not tell how many axes each ... stands for',
                self.pattern.text,
                self.shape,
                self.open_hint(repeats),
            )
        ((key, width),) = open_keys.items()
        if left < 0 or left % width:
            raise self.wrong_rank()
        return {**counts, key: left // width}

    def open_hint(self, repeats: list[Repeat]) -> str:
        names = sorted({name for repeat in repeats for name in repeat.names} - {ANONYMOUS})
        if not names:
            return "name the axes instead"
        return f"give the sizes, one per axis: {names[0]}=(2, 3)"

    def wrong_rank(self) -> ShapeError:
        rank = len(self.shape)
        fixed = sum(not isinstance(item, Repeat) for item in self.pattern.items)
        repeats = len(self.pattern.items) > fixed
        wanted = f"at least {fixed}" if repeats and not self.given else str(fixed)
        plural = "axis" if wanted in ("1", "at least 1") else "axes"
        return ShapeError(
            f'pattern "{self.pattern}" has {wanted} {plural}, the shape has {rank}',
            self.pattern.text,
            self.shape,
            _RANK_HINTS.get(rank, f"for {rank} axes {_ANY_RANK}"),
        )


_ANY_RANK = 'write "... [c]" (vectors along the last axis) or "b [...]" (whole samples)'

_RANK_HINTS = {
    0: "a single number has no axis to share statistics over",
    1: 'for 1 axis write "[c]"',
    2: 'for (batch, features) write "b [c]" (layer norm) or "[b] c" (batch norm)',
}


def _key(repeat: Repeat) -> object:
    """The key that ties repetitions together: their names; a repeated number stands alone."""
    return repeat.names or repeat.start


def _solve(
    pattern: Pattern, shape: tuple[Size, ...], dims: list[list[AtomicAxis]]
) -> dict[str, int]:
    """The size of every axis: by division, again and again, until nothing new is found."""
    known = {part.name: part.size for parts in dims for part in parts if part.size is not None}
    progress = True
    while progress:
        progress = False
        for parts, size in zip(dims, shape, strict=True):
            unknown = {part.name for part in parts} - known.keys()
            if size is None or len(unknown) != 1:
                continue
            (name,) = unknown
            rest = math.prod(known[part.name] for part in parts if part.name != name)
            power = sum(part.name == name for part in parts)
            known[name] = _root(pattern, shape, name, size, rest, power)
            progress = True
    for dim, (parts, size) in enumerate(zip(dims, shape, strict=True)):
        if size is not None:
            _check_product(pattern, shape, dim, parts, known)
    return known


def _root(
    pattern: Pattern, shape: tuple[Size, ...], name: str, size: int, rest: int, power: int
) -> int:
    """The integer n with rest * n**power == size."""
    if size == 0 or rest == 0:
        return 0 if rest else 1
    quotient, remainder = divmod(size, rest)
    root = round(quotient ** (1 / power)) if power > 1 else quotient
    if remainder or root**power != quotient:
        divisors = [d for d in range(1, min(size, 4096) + 1) if size % d == 0]
        shown = ", ".join(map(str, divisors[:16])) + (", ..." if len(divisors) > 16 else "")
        raise ShapeError(
            f'pattern "{pattern}" splits an axis of {size}, which {rest} does not divide'
            if power == 1
            else f'pattern "{pattern}": no integer {name} makes an axis of {size}',
            pattern.text,
            shape,
            f"{size} can be split into {shown}",
        )
    return root


NOT_SIZES = frozenset({
    "x", "pattern", "scale", "bias", "mean", "var", "mask", "residual", "negative_slope", "out",
    "return_stats", "dy", "rstd", "batches", "spec", "progress", "measure", "center", "ddof", "eps",
    "eps_outside", "floor", "unit_below", "scale_shift", "running", "sizes",
    "missing",
})  # fmt: skip
"""Keywords of `normalize`, `gradients`, `fit` and `spec` that say something else than a size."""


def _given(name: str) -> str:
    """An argument that gives an axis the size 2."""
    return f'sizes={{"{name}": 2}}' if name in NOT_SIZES else f"{name}=2"


def _check_product(
    pattern: Pattern,
    shape: tuple[Size, ...],
    dim: int,
    parts: list[AtomicAxis],
    known: Mapping[str, int],
) -> None:
    size = shape[dim]
    open_names = sorted({part.name for part in parts} - known.keys())
    if open_names:
        names = " and ".join(open_names)
        raise ShapeError(
            f'pattern "{pattern}" leaves the sizes of {names} open',
            pattern.text,
            shape,
            f"give all but one of them, for example {_given(open_names[-1])}",
        )
    found = math.prod(known[part.name] for part in parts)
    if found != size:
        names = " * ".join(part.base for part in parts) or "()"
        raise ShapeError(
            f'pattern "{pattern}" wants {names} = {found} for axis {dim}, the shape has {size}',
            pattern.text,
            shape,
        )
