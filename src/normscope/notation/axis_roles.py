"""Names for the axes of an array, and the part that each plays: samples, channels, positions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

from normscope.errors import ShapeError
from normscope.notation.axis import AtomicAxis
from normscope.notation.layout import Layout
from normscope.notation.pattern import ANONYMOUS
from normscope.notation.shape import Size
from normscope.wording import counted


class Role(StrEnum):
    """The part an axis plays, as far as its name or place tells."""

    SAMPLE = "sample"
    CHANNEL = "channel"
    POSITION = "position"
    OTHER = "other"


_NAMES = {
    Role.SAMPLE: {"b", "n", "batch", "sample", "samples"},
    Role.CHANNEL: {"c", "ch", "channel", "channels", "f", "feature", "features"},
    Role.POSITION: {
        *("h", "w", "d", "t", "l", "p", "s", "x", "y", "z"),
        *("height", "width", "depth", "time", "length", "row", "rows", "col", "cols"),
    },
}


def role_of(names: Iterable[str]) -> Role:
    """The part that an axis of these names plays.

    >>> str(role_of(["N"])), str(role_of(["g", "c"])), str(role_of(["k"]))
    ('sample', 'channel', 'other')
    """
    lower = {name.lower() for name in names}
    return next((role for role, known in _NAMES.items() if lower & known), Role.OTHER)


def sample_axis(names: Sequence[str]) -> int:
    """The axis of the samples: the one that is called so, else the first.

    >>> sample_axis(("t", "b", "c")), sample_axis(("k", "c"))
    (1, 0)
    """
    return next((dim for dim, name in enumerate(names) if role_of([name]) is Role.SAMPLE), 0)


def axis_role(layout: Layout, dim: int, label: str) -> Role:
    """The part that axis `dim` plays, by its name; the first of several unnamed axes is samples.

    >>> from normscope import spec
    >>> layout = spec("... [c]").layout((8, 4, 3))
    >>> [str(axis_role(layout, dim, label)) for dim, label in enumerate(axis_labels(layout))]
    ['sample', 'other', 'channel']
    """
    found = role_of([label, *(part.base for part in layout.parts(dim))])
    if found is Role.OTHER and label == _unnamed(dim) and dim == 0 and len(layout.shape) > 1:
        return Role.SAMPLE
    return found


def axis_labels(layout: Layout) -> tuple[str, ...]:
    """A name for each axis of the array.

    An axis has the name that the pattern gives it; one that the pattern does not name is called
    by its number, and one that parentheses split by its parts.

    >>> from normscope import spec
    >>> axis_labels(spec("... s [c]").layout((2, 3, 4, 5)))
    ('axis 0', 'axis 1', 's', 'c')
    >>> axis_labels(spec("b (g [c])", g=2).layout((2, 4)))
    ('b', '(g c)')
    """
    return tuple(_label(layout, dim) for dim in range(len(layout.shape)))


def _label(layout: Layout, dim: int) -> str:
    parts = layout.parts(dim)
    if len(parts) != 1:
        return "(" + " ".join(part.name for part in parts) + ")"
    (part,) = parts
    return _unnamed(dim) if part.base == ANONYMOUS or part.base.isdigit() else part.name


def _unnamed(dim: int) -> str:
    return f"axis {dim}"


def atomic_label(layout: Layout, axis: AtomicAxis, labels: Sequence[str]) -> str:
    """A name for an atomic axis: that of the axis of the array that it is, or by its own name.

    >>> from normscope import spec
    >>> layout = spec("b (g [c])", g=2).layout((2, 4))
    >>> [atomic_label(layout, axis, ("rows", "(g c)")) for axis in layout.axes]
    ['rows', 'g', 'c']
    """
    return labels[axis.dim] if len(layout.parts(axis.dim)) == 1 else axis.name


def axis_names(shape: Sequence[int], axes: str | None) -> tuple[str, ...]:
    """The names that were given for the axes of an input, or neutral ones.

    >>> axis_names((8, 4, 32), None)
    ('b', 'd1', 'd2')

    Raises:
        ShapeError: another number of names than axes.
    """
    rank = len(shape)
    if axes is None:
        return tuple(["b", *(f"d{i}" for i in range(1, rank))][:rank])
    check_number_of_names(axes, shape)
    names = tuple(axes.split())
    if len(set(names)) < rank or not all(n.isidentifier() and n.isascii() for n in names):
        raise ShapeError(
            f'axes="{axes}" is a list of different names, such as "b c h w"', axes, shape
        )
    return names


def check_number_of_names(axes: str, shape: Sequence[Size]) -> None:
    """Check that there is one name for each axis.

    Raises:
        ShapeError: there are more names, or fewer.
    """
    names = axes.split()
    if len(names) != len(shape):
        raise ShapeError(
            f'axes="{axes}" names {counted(len(names), "axis")}, the shape has {len(shape)}',
            None,
            tuple(shape),
            'write one name for each, such as "b c h w" for four',
        )
