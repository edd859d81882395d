"""What to call the axes of an array, and what part each plays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum

from normscope.errors import SpecError
from normscope.layout import Layout
from normscope.pattern import ANONYMOUS
from normscope.spec import NormSpec


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


def with_axis_names(spec: NormSpec, layout: Layout, names: Sequence[str]) -> NormSpec:
    """The same normalization for this rank, with the caller's axis names.

    >>> from normscope.spec import spec
    >>> mode1 = spec("... [c]", scale="c")
    >>> print(with_axis_names(mode1, mode1.layout((8, 128, 56, 56)), ["b", "c", "h", "w"]))
    "b c h [w]", eps=1e-05, scale along w

    Raises:
        SpecError: there are more or fewer names than axes, or a name cannot be used.
    """
    if len(names) != len(layout.shape):
        raise SpecError(
            f'the axis names "{" ".join(names)}" are {len(names)}, the shape has '
            f"{len(layout.shape)} axes"
        )
    for name in names:
        if not (name.isascii() and name.isidentifier()):
            raise SpecError(f"{name!r} cannot be the name of an axis; use letters, digits and _")
    if not layout.shared:  # "[...] c" on one axis: no pattern without "..." says this
        return spec
    new_names = {}
    texts = []
    for dim, name in enumerate(names):
        parts = layout.parts(dim)
        if len(parts) == 1:
            new_names[parts[0].name] = name
            texts.append(f"[{name}]" if parts[0].shared else name)
        else:
            inner = " ".join(f"[{p.name}]" if p.shared else p.name for p in parts)
            texts.append(f"({inner})")

    def renamed(parameter: str | None) -> str | None:
        if parameter is None:
            return None
        found = [layout.axes[i].name for i in layout.named(parameter)]
        return " ".join(new_names.get(name, name) for name in found)

    sizes = {
        part.name: part.size
        for dim in range(len(names))
        for part in layout.parts(dim)
        if part.name not in new_names and not part.base.isdigit() and part.base in spec.sizes
    }
    return replace(
        spec,
        pattern=" ".join(texts).replace("] [", " "),
        sizes={name: size for name, size in sizes.items() if size is not None},
        scale=renamed(spec.scale),
        bias=renamed(spec.bias),
    )
