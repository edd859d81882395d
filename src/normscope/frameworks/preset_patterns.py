"""Patterns and parameter axes that presets of several frameworks share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from normscope.errors import SpecError
from normscope.notation.spec import NormSpec

FIRST, LAST = "first", "last"

Preset = Callable[..., NormSpec]
"""A function whose parameters are those of the layer that it stands for."""


def by_channels(channels: str, *, last: str, first: str) -> str:
    """One of two patterns, by where the channels stand."""
    if channels not in (FIRST, LAST):
        raise SpecError(f'channels is "first" or "last", not {channels!r}')
    return first if channels == FIRST else last


def bracketed(axes: Sequence[str], shared: Sequence[str]) -> str:
    """The axes as a pattern, with brackets around neighbours that are shared.

    >>> bracketed(["b", "c", "h", "w"], shared=["b", "h", "w"])
    '[b] c [h w]'
    """
    marked = " ".join(f"[{name}]" if name in shared else name for name in axes)
    return marked.replace("] [", " ")


def parameters(names: str, scale: bool, bias: bool) -> dict[str, str | None]:
    """The fields `scale` and `bias` of a layer that may have either.

    >>> parameters("c", True, False)
    {'scale': 'c', 'bias': None}
    """
    return {"scale": names if scale else None, "bias": names if bias else None}


def kept_axis(axis: int) -> str:
    """The pattern of a batch normalization that keeps one axis apart."""
    if isinstance(axis, bool) or not isinstance(axis, int) or not -8 <= axis <= 8 or axis == 0:
        raise SpecError(f"axis is an integer other than 0 here, not {axis!r}")
    if axis == -1:
        return "[b...] c"
    if axis > 0:
        before = "b " + " ".join(f"s{i}" for i in range(1, axis))
        return f"[{before.strip()}] c [s...]"
    after = " ".join(f"s{i}" for i in range(1, -axis))
    return f"[b...] c [{after}]"
