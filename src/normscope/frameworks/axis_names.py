"""A spec for any rank, rewritten for the named axes of one input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from normscope.errors import ShapeError, SpecError
from normscope.notation.layout import Layout
from normscope.notation.pattern import Pattern, Repeat
from normscope.notation.spec import NormSpec
from normscope.wording import counted


def with_axis_names(spec: NormSpec, axes: str) -> NormSpec:
    """A normalization with its axes called by the user's names.

    Args:
        spec: a spec; without a pattern it stays as it is.
        axes: one name per axis of the input, such as `"b c h w"`. An axis that is split keeps the
            names of its outer parts, and its innermost part gets the user's name.

    Raises:
        SpecError: a word of `axes` is no name, or stands there twice.
        ShapeError: the pattern has another number of axes.

    Example:
        >>> group = NormSpec("b (g [c]) [s...]", sizes={"g": 4}, scale="g c")
        >>> print(with_axis_names(group, "n k h w"))
        "n (g [k]) [h w]" with g=4, eps=1e-05, scale along g k
    """
    names = axes.split()
    if len(set(names)) < len(names) or not all(n.isascii() and n.isidentifier() for n in names):
        raise SpecError(f'axes names each axis of the input once, such as "b c h w", not {axes!r}')
    if spec.pattern is None:
        return spec
    _check_rank(spec.parsed, axes, len(names))
    layout = spec.layout([None] * len(names))
    if not layout.shared:  # "[...] c" on one axis: no pattern without "..." says this
        return spec
    new = _new_names(layout, names)
    return replace(
        spec,
        pattern=" ".join(_written(layout, new, dim) for dim in range(len(names))).replace(
            "] [", " "
        ),
        sizes={
            name: axis.size
            for name, axis in zip(new, layout.axes, strict=True)
            if axis.size is not None
        },
        scale=_along(layout, new, spec.scale),
        bias=_along(layout, new, spec.bias),
    )


def _check_rank(pattern: Pattern, axes: str, rank: int) -> None:
    fixed = sum(not isinstance(item, Repeat) for item in pattern.items)
    least = "at least " if len(pattern.items) > fixed else ""
    if rank < fixed if least else rank != fixed:
        raise ShapeError(
            f'axes="{axes}" names {counted(rank, "axis")}, but "{pattern}" has {least}'
            f"{counted(fixed, 'axis')}",
            pattern.text,
            None,
            'write one name for each, such as "b c h w" for four',
        )


def _new_names(layout: Layout, names: Sequence[str]) -> list[str]:
    """The name of every atomic axis: the user's for the last part of an axis."""
    taken = set(names)
    new = []
    for dim, name in enumerate(names):
        parts = layout.parts(dim)
        for axis in parts[:-1]:
            own = axis.base if axis.base.isidentifier() else f"{name}_outer"
            while own in taken:
                own += "_"
            taken.add(own)
            new.append(own)
        if parts:
            new.append(name)
    return new


def _written(layout: Layout, new: Sequence[str], dim: int) -> str:
    """One axis of the array as it stands in the pattern."""
    parts = [
        f"[{name}]" if axis.shared else name
        for axis, name in zip(layout.axes, new, strict=True)
        if axis.dim == dim
    ]
    return parts[0] if len(parts) == 1 else f"({' '.join(parts)})"


def _along(layout: Layout, new: Sequence[str], names: str | None) -> str | None:
    return None if names is None else " ".join(new[i] for i in layout.named(names))
