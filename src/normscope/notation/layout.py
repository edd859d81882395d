"""Pattern + shape -> `Layout`, which knows the size and the part of every axis.

A layout lists the *atomic* axes: the array's own axes, with those that parentheses split taken
apart, so that an array reshaped to `Layout.sizes` has whole axes inside each statistics set and
whole axes outside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain

from normscope.errors import ShapeError
from normscope.notation.axis import AtomicAxis
from normscope.notation.pattern import ANONYMOUS, Pattern
from normscope.notation.shape import MAX_RANK, Size, SizeGiven, checked_shape, product
from normscope.notation.shape_solver import fit


@dataclass(frozen=True)
class Placement:
    """The way a parameter lies along an array: transposed by `order`, then reshaped to `broadcast`.

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

    >>> from normscope.notation.pattern import parse
    >>> layout = lay_out(parse("b [s...] (g [c])"), (2, 5, 5, 8), {"g": 4})
    >>> layout.sizes, layout.shared
    ((2, 5, 5, 4, 2), (1, 2, 4))
    >>> layout.set_size, layout.num_sets
    (50, 8)
    """

    pattern: Pattern
    shape: tuple[Size, ...]
    axes: tuple[AtomicAxis, ...]

    @cached_property
    def sizes(self) -> tuple[Size, ...]:
        """The shape with every group taken apart."""
        return tuple(axis.size for axis in self.axes)

    @cached_property
    def known_sizes(self) -> tuple[int, ...]:
        """The shape with every group taken apart, where every size is known.

        Raises:
            ShapeError: a size is not known.
        """
        known = tuple(size for size in self.sizes if size is not None)
        if len(known) < len(self.axes):
            raise ShapeError("every size must be known here", self.pattern.text, self.shape)
        return known

    @cached_property
    def shared(self) -> tuple[int, ...]:
        """The atomic axes that lie inside a statistics set."""
        return tuple(i for i, axis in enumerate(self.axes) if axis.shared)

    @cached_property
    def kept(self) -> tuple[int, ...]:
        """The atomic axes that tell the statistics sets apart."""
        return tuple(i for i, axis in enumerate(self.axes) if not axis.shared)

    @cached_property
    def set_size(self) -> Size:
        """The number of elements in one statistics set; None if a size is unknown."""
        return product(self.axes[i].size for i in self.shared)

    @cached_property
    def num_sets(self) -> Size:
        """The number of statistics sets; None if a size is unknown."""
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

        >>> from normscope.notation.pattern import parse
        >>> layout = lay_out(parse("b [s...] (g [c])"), (None, 5, 5, 8), {"g": 4})
        >>> layout.place(layout.named("c g"))
        Placement(shape=(2, 4), order=(1, 0), broadcast=(1, 1, 1, 4, 2))

        Raises:
            ShapeError: the length of one of these axes is not known.
        """
        key = tuple(axes)
        if key not in self._placements:
            self._placements[key] = self._placed(key)
        return self._placements[key]

    @cached_property
    def _placements(self) -> dict[tuple[int, ...], Placement]:
        """Those that were asked for, by their axes: every call asks for the same ones."""
        return {}

    def _placed(self, axes: tuple[int, ...]) -> Placement:
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
        ShapeError: the shape has another rank, a size does not fit or divide, the sizes of a group
            are not determined, or there are more atomic axes than an array of NumPy can have.

    Example:
        >>> from normscope.notation.pattern import parse
        >>> [axis.name for axis in lay_out(parse("[b...] c"), (8, 5, 5, 3)).axes]
        ['b0', 'b1', 'b2', 'c']
    """
    return _lay_out(pattern, checked_shape(shape), tuple(sorted((sizes or {}).items())))


@lru_cache(maxsize=1024)
def _lay_out(
    pattern: Pattern, shape: tuple[Size, ...], given: tuple[tuple[str, SizeGiven], ...]
) -> Layout:
    axes = tuple(chain.from_iterable(fit(pattern, shape, dict(given))))
    if len(axes) > MAX_RANK:
        raise ShapeError(
            f"the pattern takes the array apart into {len(axes)} axes; {MAX_RANK} are possible",
            pattern.text,
            shape,
            "join axes that are treated alike, with x.reshape(...)",
        )
    return Layout(pattern, shape, axes)
