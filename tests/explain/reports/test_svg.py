"""The SVG is well-formed, says every axis, colours one set and tells the sets apart."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from explain.pictures import CASES, NAMES, pictured, visible_faces
from normscope.explain.reports.picture import Picture, picture
from normscope.explain.reports.svg import draw_svg
from normscope.notation.shape import Size
from normscope.notation.spec import spec

SVG = "{http://www.w3.org/2000/svg}"

every_case = pytest.mark.parametrize(("pattern", "shape", "sizes"), CASES, ids=NAMES)


def shapes(root: ElementTree.Element, *classes: str) -> int:
    """How many cells or lines there are of all these classes."""
    return sum(
        path.get("d", "").count("M")
        for path in root.iter(f"{SVG}path")
        if set(classes) <= set(path.get("class", "").split())
    )


def joined_pairs(shown: Picture) -> tuple[int, int]:
    """How many neighbours on visible sides, with no gap between, have one set and two sets."""
    axes = range(len(shown.axes))
    sides = [(shown.numbers, [*axes])]
    if len(axes) > 3:
        front, top, right = visible_faces(shown)
        *outer, depth, down, across = axes
        sides = [
            (front, [*outer, down, across]),
            (top, [*outer, depth, across]),
            (right, [*outer, depth, down]),
        ]
    one = two = 0
    for numbers, dims in sides:
        # Only the two axes within a side have neighbours that touch.
        for position in range(numbers.ndim)[-2:]:
            touching = [not level for level in shown.axes[dims[position]].breaks[1:]]
            same = np.diff(numbers, axis=position).compress(touching, axis=position) == 0
            one += int(same.sum())
            two += int((~same).sum())
    return one, two


@every_case
def test_svg_says_every_axis(pattern: str, shape: tuple[Size, ...], sizes: dict[str, int]) -> None:
    shown = pictured(pattern, shape, sizes)
    root = ElementTree.fromstring(draw_svg(shown))
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    texts = ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]
    for axis in shown.axes:
        assert axis.caption in texts
    assert f"one statistics set: {shown.set_size}" in texts
    assert (shown.others in texts) == bool(shown.others)
    assert root.findtext(f"{SVG}title") == f"One statistics set of {pattern}"
    assert root.findtext(f"{SVG}desc") == shown.description


@every_case
def test_svg_colours_the_chosen_set_wherever_it_is_seen(
    pattern: str, shape: tuple[Size, ...], sizes: dict[str, int]
) -> None:
    shown = pictured(pattern, shape, sizes)
    root = ElementTree.fromstring(draw_svg(shown))
    faces = visible_faces(shown)
    in_legend = 1
    coloured = sum(int((face == shown.chosen).sum()) for face in faces)
    assert coloured > 0
    assert shapes(root, "cell", "chosen") == coloured + in_legend
    assert shapes(root, "cell") == sum(face.size for face in faces) + in_legend


@every_case
def test_svg_tells_the_sets_apart(
    pattern: str, shape: tuple[Size, ...], sizes: dict[str, int]
) -> None:
    shown = pictured(pattern, shape, sizes)
    root = ElementTree.fromstring(draw_svg(shown))
    one, two = joined_pairs(shown)
    assert shapes(root, "within") + shapes(root, "inside") == one
    assert shapes(root, "apart") > two


@every_case
def test_svg_lies_within_its_view(
    pattern: str, shape: tuple[Size, ...], sizes: dict[str, int]
) -> None:
    root = ElementTree.fromstring(draw_svg(pictured(pattern, shape, sizes)))
    left, top, width, height = map(float, root.get("viewBox", "").split())
    assert width >= 640
    starts = [
        (float(x), float(y))
        for path in root.iter(f"{SVG}path")
        for x, y in re.findall(r"M(-?[\d.]+) (-?[\d.]+)", path.get("d", ""))
    ]
    starts += [(float(t.get("x", "")), float(t.get("y", ""))) for t in root.iter(f"{SVG}text")]
    for x, y in starts:
        assert left <= x <= left + width
        assert top <= y <= top + height


def test_svg_is_self_contained_and_disturbs_nothing() -> None:
    svg = draw_svg(pictured("b c h [w]", (None, 128, 56, 56), {}))
    assert not re.search(r"<script|\bid=|\burl\(|href|@import|@font-face", svg)
    style = re.search(r"<style>(.*)</style>", svg)
    assert style
    rules = re.findall(r"([^{}]+)\{[^{}]*\}", style[1])
    assert len(rules) > 10
    assert all(
        selector.startswith(".normscope-picture") for rule in rules for selector in rule.split(",")
    )
    assert svg == draw_svg(pictured("b c h [w]", (None, 128, 56, 56), {}))


def test_svg_escapes_labels() -> None:
    layout = spec("b [c]").layout((2, 3))
    root = ElementTree.fromstring(draw_svg(picture(layout, ["<b>", '"&c'])))
    texts = ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]
    assert {"<b> = 2", '"&c = 3'} <= set(texts)


def test_svg_of_nothing_says_so() -> None:
    root = ElementTree.fromstring(draw_svg(pictured("b c [h w]", (8, 0, 56, 56), {})))
    assert shapes(root, "cell") == 0
    assert "has no elements" in "".join(root.itertext())


def test_different_patterns_give_different_pictures() -> None:
    patterns = ["b c h [w]", "b c [h] w", "b [c] h w", "[b] c h w", "b [c h w]", "[b] c [h w]"]
    drawings = {
        re.sub(r"<(title|desc)>.*?</\1>", "", draw_svg(pictured(p, (8, 8, 8, 8), {})))
        for p in patterns
    }
    assert len(drawings) == len(patterns)
