"""Patterns of every rank whose pictures the tests draw."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.explain.reports.picture import Picture, picture
from normscope.notation.axis_roles import axis_labels
from normscope.notation.shape import Size
from normscope.notation.spec import spec

# pattern, shape, sizes
CASES: list[tuple[str, tuple[Size, ...], dict[str, Any]]] = [
    ("[...]", (), {}),
    # rank 1
    ("[c]", (10,), {}),
    ("[c]", (None,), {}),
    ("(g [c])", (12,), {"g": 3}),
    ("([g] c)", (12,), {"g": 6}),
    ("([a] b [c])", (64,), {"a": 4, "b": 4}),
    ("(a [b] c [d] e [f])", (64,), {"a": 2, "b": 2, "c": 2, "d": 2, "e": 2}),
    # rank 2
    ("b [c]", (None, 128), {}),
    ("[b] c", (None, 128), {}),
    ("[b c]", (3, 2), {}),
    ("b (g [c])", (8, 128), {"g": 32}),
    ("(a [b]) (c [d])", (16, 16), {"a": 4, "c": 4}),
    ("([n] b) c", (32, 1), {"b": 4}),
    ("b [c]", (1, 1), {}),
    # rank 3
    ("b t [c]", (8, 196, 768), {}),
    ("[b t] c", (None, None, 768), {}),
    ("b [t] c", (8, 196, 768), {}),
    ("b (g [c]) [t]", (8, 64, 100), {"g": 8}),
    ("([n] b) t c", (32, 7, 8), {"b": 4}),
    # rank 4
    ("b c h [w]", (None, 128, 56, 56), {}),
    ("[b] c [h w]", (8, 128, 56, 56), {}),
    ("[b h w] c", (None, 56, 56, 128), {}),
    ("b [c] h w", (8, 128, 56, 56), {}),
    ("... [c]", (8, 56, 56, 128), {}),
    ("b [c h w]", (8, 128, 56, 56), {}),
    ("b c [h w]", (None, 128, 56, 56), {}),
    ("b [h w] c", (8, 56, 56, 128), {}),
    ("b (g [c]) [s...]", (8, 128, 56, 56), {"g": 4}),
    ("b [s...] (g [c])", (8, 56, 56, 128), {"g": 4}),
    ("b ([g] c) h w", (8, 128, 56, 56), {"c": 4}),
    ("b (h [p]) (w [q]) c", (8, 56, 56, 3), {"p": 7, "q": 7}),
    ("([n] b) c h w", (32, 64, 8, 8), {"b": 4}),
    ("[...]", (8, 3, 56, 56), {}),
    ("b c [h w]", (1, 1, 7, 1), {}),
    ("b (g [c]) h w", (8, None, 56, 56), {"g": 4}),
    # rank 5 and more
    ("[b] c [d h w]", (2, 64, 16, 56, 56), {}),
    ("b (g [c]) [d h w]", (None, 64, 16, 56, 56), {"g": 8}),
    ("b [t] c d h w", (2, 4, 64, 16, 56, 56), {}),
    ("b (g [c]) [s...]", (2, 64, 5, 16, 56, 56), {"g": 8}),
    ("... [c]", (2,) * 12, {}),
]

NAMES = [f"{pattern} {shape}" for pattern, shape, _ in CASES]


def pictured(pattern: str, shape: tuple[Size, ...], sizes: dict[str, Any]) -> Picture:
    layout = spec(pattern, **sizes).layout(shape)
    return picture(layout, axis_labels(layout))


def visible_faces(shown: Picture) -> list[NDArray[np.int64]]:
    """The sets of the cells on each side that is seen: all, or front, top and right of blocks."""
    numbers = shown.numbers
    if numbers.ndim < 4:
        return [numbers]
    return [numbers[..., 0, :, :], numbers[..., :, 0, :], numbers[..., :, :, -1]]
