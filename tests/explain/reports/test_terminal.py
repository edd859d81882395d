"""The terminal picture fits 78 columns and reads by its characters alone."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from explain.pictures import CASES, NAMES, pictured
from normscope.explain.reports.picture import picture
from normscope.explain.reports.terminal import draw_terminal
from normscope.notation.shape import Size
from normscope.notation.spec import spec

every_case = pytest.mark.parametrize(("pattern", "shape", "sizes"), CASES, ids=NAMES)


@every_case
def test_drawing_fits(pattern: str, shape: tuple[Size, ...], sizes: dict[str, int]) -> None:
    lines = str(draw_terminal(pictured(pattern, shape, sizes))).split("\n")
    assert max(map(len, lines)) <= 78
    assert len(lines) <= (16 if len(shape) <= 6 else 20)
    assert all(line == line.rstrip() for line in lines)


@every_case
def test_drawing_reads_without_colour(
    pattern: str, shape: tuple[Size, ...], sizes: dict[str, int]
) -> None:
    shown = pictured(pattern, shape, sizes)
    drawing = str(draw_terminal(shown))
    words = " ".join(drawing.split())
    for axis in shown.axes:
        assert axis.label + axis.extent in words
    *_, legend = drawing.split("\n")
    assert legend.startswith(f"■ one statistics set: {shown.set_size}")
    assert legend.endswith(shown.others)
    assert "■" in drawing.removesuffix(legend)
    assert ("·" in drawing.removesuffix(legend)) == bool(shown.others)


def test_drawing_of_the_founding_case() -> None:
    drawing = draw_terminal(pictured("b c h [w]", (None, 128, 56, 56), {}))
    assert str(drawing).split("\n") == [
        "      c=0         c=1         c=2         c=3         …",
        "b=0   ■ ■ ■ ■ ■   · · · · ·   · · · · ·   · · · · ·",
        *["      · · · · ·   · · · · ·   · · · · ·   · · · · ·"] * 4,
        "",
        "b=1   · · · · ·   · · · · ·   · · · · ·   · · · · ·",
        *["      · · · · ·   · · · · ·   · · · · ·   · · · · ·"] * 4,
        "…",
        "→ w = 56 (5 drawn)  ↓ h = 56 (5 drawn)  panels: c = 128, b: any size",
        "■ one statistics set: 56 values   · the other sets",
    ]


@pytest.mark.parametrize(
    ("pattern", "shape", "sizes", "rows"),
    [
        ("(g [c])", (4,), {"g": 2}, ["■ ■  · ·"]),
        ("([g] c)", (4,), {"g": 2}, ["■ ·  ■ ·"]),
        ("(a [b]) (c [d])", (4, 4), {"a": 2, "c": 2}, ["■ ■  · ·"] * 2 + [""] + ["· ·  · ·"] * 2),
        ("([a] b) [c]", (4, 2), {"a": 2}, ["■ ■", "· ·", "", "■ ■", "· ·"]),
    ],
)
def test_groups_stand_apart(
    pattern: str, shape: tuple[Size, ...], sizes: dict[str, int], rows: list[str]
) -> None:
    drawing = str(draw_terminal(pictured(pattern, shape, sizes)))
    assert drawing.split("\n")[: len(rows)] == rows


def test_colour_adds_nothing_to_the_characters() -> None:
    drawing = draw_terminal(pictured("b [c]", (2, 4), {}))
    plain, colourful = io.StringIO(), io.StringIO()
    Console(file=plain, width=80, no_color=True).print(drawing)
    Console(file=colourful, width=80, force_terminal=True, color_system="256").print(drawing)
    assert plain.getvalue() == f"{drawing}\n"
    assert "\x1b[" in colourful.getvalue()


def test_drawing_of_nothing_says_so() -> None:
    drawing = str(draw_terminal(pictured("b [c]", (8, 0), {})))
    assert drawing == "An array with b = 8, c = 0 has no elements."


def test_long_labels_still_fit() -> None:
    layout = spec("b c h [w]").layout((8, 128, 56, 56))
    drawing = str(draw_terminal(picture(layout, [f"{name}" * 40 for name in "bchw"])))
    assert max(map(len, drawing.split("\n"))) <= 78
    assert "■" in drawing
