"""Pattern + shape -> `Layout`: how many axes `...` stands for, how long each axis is.

The only place that solves for sizes. A layout lists the *atomic* axes: the array's own axes, with
those that parentheses split taken apart, so that an array reshaped to `Layout.sizes` has whole
axes inside each statistics set and whole axes outside.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from normscope.errors import ShapeError
from normscope.pattern import ANONYMOUS, Axis, Item, Pattern, Repeat, walk

Size = int | None
"""The length of an axis; None where it is not known, as the batch axis in a model file."""

SizeGiven = int | tuple[int, ...]
"""A size given by keyword; for an axis under `...` it may be one size per repetition."""

MAX_RANK = 64
MAX_LENGTH = 2**48


@dataclass(frozen=True)
class AtomicAxis:
    """One axis after splitting. `base` is its name in the pattern, `dim` the array's axis."""

    name: str
    base: str
    size: Size
    shared: bool
    dim: int


@dataclass(frozen=True)
class Placement:
    """How a parameter lies along an array: transposed by `order`, then reshaped to `broadcast`.

    Attributes:
        shape: of the parameter itself, its axes in the order in which they were named.
        order: the transposition that brings them into the order of the array.
        broadcast: the shape that then broadcasts against the array with its groups taken apart.
    """

    shape: tuple[int, ...]
    order: tuple[int, ...]
    broadcast: tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """A pattern fitted to one shape.

    >>> from normscope.pattern import parse
    >>> layout = lay_out(parse("b [s...] (g [c])"), (2, 5, 5, 8), {"g": 4})
    >>> layout.sizes, layout.shared
    ((2, 5, 5, 4, 2), (1, 2, 4))
    >>> layout.set_size, layout.num_sets
    (50, 8)
    """

    pattern: Pattern
    shape: tuple[Size, ...]
    axes: tuple[AtomicAxis, ...]

    @property
    def sizes(self) -> tuple[Size, ...]:
        """The shape with every group taken apart."""
        return tuple(axis.size for axis in self.axes)

    @property
    def known_sizes(self) -> tuple[int, ...]:
        """The same, for a shape without unknown sizes.

        Raises:
            ShapeError: a size is not known.
        """
        known = tuple(size for size in self.sizes if size is not None)
        if len(known) < len(self.axes):
            raise ShapeError("every size must be known here", self.pattern.text, self.shape)
        return known

    @property
    def shared(self) -> tuple[int, ...]:
        """Which atomic axes lie inside a statistics set."""
        return tuple(i for i, axis in enumerate(self.axes) if axis.shared)

    @property
    def kept(self) -> tuple[int, ...]:
        """Which atomic axes tell the statistics sets apart."""
        return tuple(i for i, axis in enumerate(self.axes) if not axis.shared)

    @property
    def set_size(self) -> Size:
        """How many elements one statistics set holds; None if a size is unknown."""
        return product(self.axes[i].size for i in self.shared)

    @property
    def num_sets(self) -> Size:
        """How many statistics sets there are; None if a size is unknown."""
        return product(self.axes[i].size for i in self.kept)

    def named(self, names: str) -> tuple[int, ...]:
        """The atomic axes called by `names`, in that order: `"g c"`, `"s... c"`."""
        found: list[int] = []
        for word in names.split():
            base = word if word == ANONYMOUS else word.removesuffix(ANONYMOUS)
            found += [i for i, axis in enumerate(self.axes) if axis.base == base]
        return tuple(found)

    def place(self, axes: Sequence[int]) -> Placement:
        """Where a parameter lies that varies along some atomic axes, in the order given.

        >>> from normscope.pattern import parse
        >>> layout = lay_out(parse("b [s...] (g [c])"), (None, 5, 5, 8), {"g": 4})
        >>> layout.place(layout.named("c g"))
        Placement(shape=(2, 4), order=(1, 0), broadcast=(1, 1, 1, 4, 2))

        Raises:
            ShapeError: the length of one of these axes is not known.
        """
        sizes = [self.axes[i].size for i in axes]
        shape = tuple(size for size in sizes if size is not None)
        if len(shape) < len(sizes):
            names = " ".join(self.axes[i].name for i in axes)
            raise ShapeError(
                f"a parameter along {names} needs their lengths", self.pattern.text, self.shape
            )
        of = dict(zip(axes, shape, strict=True))
        return Placement(
            shape,
            tuple(sorted(range(len(axes)), key=lambda n: axes[n])),
            tuple(of.get(i, 1) for i in range(len(self.axes))),
        )

    def parts(self, dim: int) -> tuple[AtomicAxis, ...]:
        """The atomic axes that make up axis `dim` of the array."""
        return tuple(axis for axis in self.axes if axis.dim == dim)


def product(sizes: Iterator[Size] | Sequence[Size]) -> Size:
    """The product; None if any size is unknown."""
    known = list(sizes)
    return None if None in known else math.prod(size for size in known if size is not None)


def lay_out(
    pattern: Pattern, shape: Sequence[Size], sizes: Mapping[str, SizeGiven] | None = None
) -> Layout:
    """Fit a pattern to a shape.

    Args:
        pattern: the parsed pattern.
        shape: the array's shape; None for an axis whose length is not known.
        sizes: axis sizes given by keyword, such as `{"g": 32}`.

    Returns:
        The `Layout`.

    Raises:
        ShapeError: the shape has another rank, a size does not fit or divide, or the sizes of a
            group are not determined.

    Example:
        >>> from normscope.pattern import parse
        >>> [axis.name for axis in lay_out(parse("[b...] c"), (8, 5, 5, 3)).axes]
        ['b0', 'b1', 'b2', 'c']
    """
    return _lay_out(pattern, checked_shape(shape), tuple(sorted((sizes or {}).items())))


def checked_shape(shape: Sequence[Size]) -> tuple[Size, ...]:
    """`shape` as a tuple of plain integers or None.

    Raises:
        ShapeError: an entry is neither a length nor None, or there are too many.
    """
    if not isinstance(shape, Sequence) or isinstance(shape, str):
        raise ShapeError(
            f"a shape is a tuple of integers, not {shape!r}", None, (), "write (8, 128, 56, 56)"
        )
    if len(shape) > MAX_RANK:
        raise ShapeError(f"{len(shape)} axes, at most {MAX_RANK} are possible", None, shape[:8])
    return tuple(_checked_length(size, shape) for size in shape)


def _checked_length(size: Size, shape: Sequence[Size]) -> Size:
    if size is None:
        return None
    try:
        length = operator.index(size)
    except TypeError:
        length = -1
    if isinstance(size, bool) or not 0 <= length <= MAX_LENGTH:
        shown = repr(size) if len(repr(size)) < 30 else repr(size)[:27] + "..."
        raise ShapeError(
            f"{shown} is not the length of an axis",
            None,
            tuple(map(_short, shape)),
            f"a length is an integer from 0 to {MAX_LENGTH}, or None where it is not known",
        )
    return length


def _short(value: object) -> object:
    return value if len(repr(value)) < 30 else repr(value)[:27] + "..."


@lru_cache(maxsize=1024)
def _lay_out(
    pattern: Pattern, shape: tuple[Size, ...], given: tuple[tuple[str, SizeGiven], ...]
) -> Layout:
    dims = _Expansion(pattern, shape, dict(given)).dims()
    solved = _solve(pattern, shape, dims)
    axes = tuple(
        AtomicAxis(
            factor.name, factor.base, solved.get(factor.name, factor.size), factor.shared, dim
        )
        for dim, factors in enumerate(dims)
        for factor in factors
    )
    return Layout(pattern, shape, axes)


@dataclass(frozen=True)
class _Factor:
    """An atomic axis while its size may still be open. Equal names have equal sizes."""

    name: str
    base: str
    size: Size
    shared: bool


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

    def dims(self) -> list[list[_Factor]]:
        """The factors of each axis of the array."""
        dims: list[list[_Factor]] = []
        for item in self.pattern.items:
            for index, part in self.written_out(item):
                dims.append(list(self.factors(part, index)))
        return dims

    def written_out(self, item: Item) -> Iterator[tuple[int | None, Item]]:
        """`item` itself, or what a repetition stands for, with the number of the repetition."""
        if isinstance(item, Repeat):
            for index in range(self.counts[_key(item)]):
                yield from ((index, part) for part in item.items)
        else:
            yield None, item

    def factors(self, item: Item, index: int | None) -> Iterator[_Factor]:
        if isinstance(item, Axis):
            yield self.factor(item, index)
        else:
            for inner in item.items:
                for inner_index, part in self.written_out(inner):
                    yield from self.factors(part, index if inner_index is None else inner_index)

    def factor(self, axis: Axis, index: int | None) -> _Factor:
        if axis.size is not None:
            return _Factor(str(axis.size), axis.name, axis.size, axis.shared)
        size = self.given.get(axis.name)
        if isinstance(size, tuple):
            size = size[index] if index is not None and index < len(size) else None
        return _Factor(self.name(axis, index), axis.name, size, axis.shared)

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
        """How often each `...` repeats: from sizes given one by one, or from the rank."""
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
    """What ties repetitions together: their names; a repeated number stands alone."""
    return repeat.names or repeat.start


def _solve(pattern: Pattern, shape: tuple[Size, ...], dims: list[list[_Factor]]) -> dict[str, int]:
    """The size of every axis: by division, again and again, until nothing new is found."""
    known = {f.name: f.size for factors in dims for f in factors if f.size is not None}
    progress = True
    while progress:
        progress = False
        for factors, size in zip(dims, shape, strict=True):
            unknown = {f.name for f in factors} - known.keys()
            if size is None or len(unknown) != 1:
                continue
            (name,) = unknown
            rest = math.prod(known[f.name] for f in factors if f.name != name)
            power = sum(f.name == name for f in factors)
            known[name] = _root(pattern, shape, name, size, rest, power)
            progress = True
    for dim, (factors, size) in enumerate(zip(dims, shape, strict=True)):
        if size is not None:
            _check_product(pattern, shape, dim, factors, known)
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


def _check_product(
    pattern: Pattern,
    shape: tuple[Size, ...],
    dim: int,
    factors: list[_Factor],
    known: Mapping[str, int],
) -> None:
    size = shape[dim]
    open_names = sorted({f.name for f in factors} - known.keys())
    if open_names:
        names = " and ".join(open_names)
        raise ShapeError(
            f'pattern "{pattern}" leaves the sizes of {names} open',
            pattern.text,
            shape,
            f"give all but one of them, for example {open_names[-1]}=2",
        )
    found = math.prod(known[f.name] for f in factors)
    if found != size:
        names = " * ".join(f.base for f in factors) or "()"
        raise ShapeError(
            f'pattern "{pattern}" wants {names} = {found} for axis {dim}, the shape has {size}',
            pattern.text,
            shape,
        )
