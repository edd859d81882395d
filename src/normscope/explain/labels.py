"""What to call the axes of an array, and what part each plays."""

from __future__ import annotations

from enum import StrEnum

from normscope.notation.layout import Layout
from normscope.notation.pattern import ANONYMOUS


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


def axis_labels(layout: Layout) -> tuple[str, ...]:
    """A name for each axis of the array.

    An axis has the name that the pattern gives it; one that the pattern does not name is called
    by its number, and one that parentheses split by its parts.

    >>> from normscope.spec import spec
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
    return f"axis {dim}" if part.base == ANONYMOUS or part.base.isdigit() else part.name


def axis_role(layout: Layout, dim: int, label: str) -> Role:
    """The part that axis `dim` plays, by its name; the first of several unnamed axes is samples.

    >>> from normscope.spec import spec
    >>> layout = spec("... [c]").layout((8, 4, 3))
    >>> [str(axis_role(layout, dim, label)) for dim, label in enumerate(axis_labels(layout))]
    ['sample', 'other', 'channel']
    """
    names = {part.base.lower() for part in layout.parts(dim)} | {label.lower()}
    for role, known in _NAMES.items():
        if names & known:
            return role
    unnamed = label == f"axis {dim}"
    return Role.SAMPLE if unnamed and dim == 0 and len(layout.shape) > 1 else Role.OTHER
