"""A `Picture` as SVG: self-contained, for web pages and notebooks, light or dark."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

import numpy as np

from normscope.explain.reports.picture import NO_AXIS, DrawnAxis, Numbers, Picture

Point = tuple[float, float]

WIDTH = 640.0

LEAST_CELL, GREATEST_CELL = 9.0, 24.0

DEPTH_X, DEPTH_Y = 0.48, 0.36
"""A step into the depth of a block goes this far to the right and up, in cells."""

GROUP_GAP = 0.3
BLOCK_GAP = 1.1

LEAST_SCALE = 0.85
"""Of a text of 12 pixels this leaves 10, which can be read."""

LINE_HEIGHT = 16.0
CHARACTER = 6.9
"""The width of a character, estimated: the font that is at hand decides it."""

# Lines and texts take the colour of the page around them, whatever its theme; `:root` matches only
# where the SVG stands alone. There are no ids, so several pictures on a page cannot interfere.
STYLE = """
.normscope-picture{font:12px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
.normscope-picture:root{color:#1f2328}
@media (prefers-color-scheme:dark){.normscope-picture:root{color:#e6edf3}}
.normscope-picture text{fill:currentColor;font-variant-numeric:tabular-nums}
.normscope-picture .name{font-weight:600}
.normscope-picture .quiet{fill-opacity:.65}
.normscope-picture .shared{fill:#2b7bba}
.normscope-picture .cell{fill:currentColor}
.normscope-picture .front{fill-opacity:.03}
.normscope-picture .top{fill-opacity:.01}
.normscope-picture .side{fill-opacity:.08}
.normscope-picture .chosen{fill-opacity:1}
.normscope-picture .chosen.front{fill:#2b7bba}
.normscope-picture .chosen.top{fill:#66aede}
.normscope-picture .chosen.side{fill:#1d5a8c}
.normscope-picture .line{fill:none;stroke:currentColor;}
.normscope-picture .within{stroke-opacity:.16;stroke-width:.8}
.normscope-picture .apart{stroke-opacity:.42}
.normscope-picture .inside{stroke:#fff;stroke-opacity:.5;stroke-width:.8}
.normscope-picture .arrow{stroke-opacity:.6;stroke-linecap:round;stroke-linejoin:round}
.normscope-picture .arrow.shared{fill:none;stroke:#2b7bba;stroke-opacity:1}
""".replace("\n", "")


def draw_svg(picture: Picture, least_width: float = WIDTH, styled: bool = True) -> str:
    """Draw one statistics set among the others.

    The last axis runs to the right, the one before it down, and from rank 4 on the one before
    those into the depth of a block. Further axes repeat this side by side and below each other.

    It shrinks with the page only as far as its labels can be read; the page lets it scroll then.

    Args:
        picture: what to draw.
        least_width: how wide it is at least, in pixels; what is drawn stands in the middle.
        styled: it brings its style sheet; else the page around it has `STYLE`.

    Returns:
        An `<svg>` element as text.

    Example:
        >>> from normscope.explain.reports.picture import picture
        >>> from normscope import spec
        >>> svg = draw_svg(picture(spec("b [c]").layout((8, 4)), ["b", "c"]))
        >>> print(svg[svg.index("<title>") : svg.index("<desc>")])
        <title>One statistics set of b [c]</title>
    """
    canvas = _Canvas()
    if picture.numbers.size:
        scene = _Scene.of(picture)
        _draw_cells(canvas, scene, picture)
        _draw_legend(canvas, picture, _draw_axes(canvas, scene) + 2 * LINE_HEIGHT)
    else:
        canvas.text((0, 0), ("", picture.description))
    title = f"One statistics set of {picture.pattern}"
    return canvas.svg(title, picture.description, least_width, STYLE if styled else "")


class _Canvas:
    """Collects shapes and texts, and knows how far they reach."""

    def __init__(self) -> None:
        self.paths: defaultdict[str, list[str]] = defaultdict(list)
        self.texts: list[str] = []
        self.reach: list[Point] = []

    def path(self, kind: str, points: Sequence[Point], end: str = "") -> None:
        """A stroke through the points, or with end="Z" an area."""
        rounded = [(round(x, 1), round(y, 1)) for x, y in points]
        steps = "".join(
            f" {round(x - u, 1):g} {round(y - v, 1):g}" for (u, v), (x, y) in pairwise(rounded)
        )
        self.paths[kind].append(f"M{rounded[0][0]:g} {rounded[0][1]:g}l{steps[1:]}{end}")
        self.reach += points

    def text(
        self, at: Point, *spans: tuple[str, str], anchor: str = "start", upward: bool = False
    ) -> None:
        """Words of several classes, one after the other, centred on the height of `at`."""
        words = "".join(
            f'<tspan class="{kind}">{escape(word)}</tspan>' if kind else escape(word)
            for kind, word in spans
        )
        x, y = at
        turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if upward else ""
        self.texts.append(
            f'<text x="{x:.1f}" y="{y + 4:.1f}" text-anchor="{anchor}"{turn}>{words}</text>'
        )
        length = CHARACTER * sum(len(word) for _, word in spans)
        start = {"start": 0.0, "middle": -length / 2, "end": -length}[anchor]
        for along, across in ((start, -8.0), (start + length, 8.0)):
            self.reach.append((x + across, y - along) if upward else (x + along, y + across))

    def svg(self, title: str, description: str, least_width: float, style: str) -> str:
        left, top = (min(point[i] for point in self.reach) for i in (0, 1))
        right, bottom = (max(point[i] for point in self.reach) for i in (0, 1))
        width, height = max(least_width, right - left + 16), bottom - top + 16
        sheet = f"<style>{style}</style>" if style else ""
        paths = "".join(
            f'<path class="{kind}" d="{"".join(d)}"/>' for kind, d in self.paths.items()
        )
        return (
            '<svg xmlns="http://www.w3.org/2000/svg" class="normscope-picture" role="img" '
            f'viewBox="{(left + right - width) / 2:.1f} {top - 8:.1f} {width:.1f} {height:.1f}" '
            f'width="100%" style="max-width:{width:.0f}px;min-width:{LEAST_SCALE * width:.0f}px">'
            f"<title>{escape(title)}</title><desc>{escape(description)}</desc>"
            f"{sheet}{paths}{''.join(self.texts)}</svg>"
        )


@dataclass(frozen=True)
class _Ruler:
    """Where the cells, or blocks of cells, of one axis lie: (start, end) of each, in cells."""

    axis: DrawnAxis
    spans: tuple[Point, ...]

    @property
    def end(self) -> float:
        return self.spans[-1][1]

    def gap_after(self, index: int) -> bool:
        return index + 1 == len(self.spans) or self.spans[index][1] < self.spans[index + 1][0]

    @classmethod
    def of(cls, axis: DrawnAxis, unit: float, gap: float, group_gap: float) -> _Ruler:
        position, spans = 0.0, []
        for index, level in enumerate(axis.breaks):
            position += (gap if index else 0.0) + group_gap * level
            spans.append((position, position + unit))
            position += unit
        return cls(axis, tuple(spans))


@dataclass(frozen=True)
class _Scene:
    """The places of axes: those of one block, and those that repeat it to the right or down."""

    depth: _Ruler
    down: _Ruler
    across: _Ruler
    repeats: tuple[tuple[_Ruler, bool], ...]  # innermost first; True: to the right
    lift: float  # how far a block reaches above its front, in cells
    height: float  # of everything, in cells
    cell: float  # in pixels

    @classmethod
    def of(cls, picture: Picture) -> _Scene:
        inner = 3 if picture.solid else 2
        axes = (NO_AXIS,) * 3 + picture.axes[-inner:]
        depth, down, across = (_Ruler.of(axis, 1.0, 0.0, GROUP_GAP) for axis in axes[-3:])
        lift = depth.end * DEPTH_Y if picture.solid else 0.0
        width = across.end + (depth.end * DEPTH_X if picture.solid else 0.0)
        height = down.end + lift
        repeats = []
        for level, axis in enumerate(reversed(picture.axes[:-inner])):
            to_right, gap = level % 2 == 0, BLOCK_GAP * (1 + level // 2)
            ruler = _Ruler.of(axis, width if to_right else height, gap, gap)
            width, height = (ruler.end, height) if to_right else (width, ruler.end)
            repeats.append((ruler, to_right))
        labels = max(len(depth.axis.caption), len(down.axis.caption)) * CHARACTER
        cell = min(max((WIDTH - labels - 64) / width, LEAST_CELL), GREATEST_CELL)
        return cls(depth, down, across, tuple(repeats), lift, height, cell)

    def blocks(self) -> Iterator[tuple[tuple[int, ...], Point]]:
        """The index of each block along the repeating axes, and where its front begins."""
        rulers = self.repeats[::-1]
        for index in np.ndindex(*(len(ruler.spans) for ruler, _ in rulers)):
            starts = [
                (ruler.spans[i][0], to_right)
                for i, (ruler, to_right) in zip(index, rulers, strict=True)
            ]
            x = sum(start for start, to_right in starts if to_right)
            y = sum(start for start, to_right in starts if not to_right)
            yield index, (x, y + self.lift)

    def faces(self, block: Numbers, origin: Point) -> Iterator[_Face]:
        """The sides of one block that can be seen; of a flat grid, the front."""
        x, y = origin
        cell, right = self.cell, self.across.end

        def front(u: float, v: float) -> Point:
            return (x + u) * cell, (y + v) * cell

        def top(u: float, d: float) -> Point:
            return (x + u + d * DEPTH_X) * cell, (y - d * DEPTH_Y) * cell

        def side(d: float, v: float) -> Point:
            return (x + right + d * DEPTH_X) * cell, (y + v - d * DEPTH_Y) * cell

        yield _Face("front", block[0], self.down, self.across, front)
        if self.lift:
            yield _Face("top", block[:, 0], self.depth, self.across, top)
            yield _Face("side", block[:, :, -1].T, self.down, self.depth, side)


@dataclass(frozen=True)
class _Face:
    """One side of a block: rows and columns of cells, and the way to the page."""

    kind: str
    numbers: Numbers
    rows: _Ruler
    columns: _Ruler
    project: Callable[[float, float], Point]

    def cells(self) -> Iterator[tuple[int, list[Point]]]:
        """The statistics set and the corners of each cell."""
        for row, column in np.ndindex(self.numbers.shape):
            (top, bottom), (left, right) = self.rows.spans[row], self.columns.spans[column]
            corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
            yield int(self.numbers[row, column]), [self.project(u, v) for u, v in corners]

    def turned(self) -> _Face:
        """The side of the block with rows as columns."""
        project = self.project
        return _Face(self.kind, self.numbers.T, self.columns, self.rows, lambda u, v: project(v, u))

    def upright_lines(self, chosen: int) -> Iterator[tuple[str, list[Point]]]:
        """The lines left and right of the cells, with the kind of each."""
        for row, column in np.ndindex(self.numbers.shape):
            (top, bottom), (left, right) = self.rows.spans[row], self.columns.spans[column]
            if column == 0 or self.columns.gap_after(column - 1):
                yield "apart", [self.project(left, top), self.project(left, bottom)]
            kind = "apart"
            if not self.columns.gap_after(column):
                here, beside = self.numbers[row, column : column + 2]
                if here == beside:
                    kind = "inside" if here == chosen else "within"
            yield kind, [self.project(right, top), self.project(right, bottom)]


def _draw_cells(canvas: _Canvas, scene: _Scene, picture: Picture) -> None:
    shape = [len(ruler.spans) for ruler in (scene.depth, scene.down, scene.across)]
    faces = [
        face
        for index, origin in scene.blocks()
        for face in scene.faces(picture.numbers[index].reshape(shape), origin)
    ]
    for face in faces:
        for number, corners in face.cells():
            chosen = " chosen" if number == picture.chosen else ""
            canvas.path(f"cell {face.kind}{chosen}", corners, "Z")
    for face in faces:
        for lines in (face, face.turned()):
            for kind, points in lines.upright_lines(picture.chosen):
                canvas.path(f"line {kind}", points)


def _draw_axes(canvas: _Canvas, scene: _Scene) -> float:
    """An arrow and a caption for each axis, left of and below the cells; returns the bottom."""
    left = _label_block(canvas, scene)
    for ruler, to_right in scene.repeats:
        if not to_right:
            end = ruler.end * scene.cell
            _draw_arrow(canvas, ruler.axis, (left - 14, 0), (left - 14, end))
            canvas.text((left - 26, end / 2), *_caption(ruler.axis), anchor="middle", upward=True)
            left -= 36
    bottom = scene.height * scene.cell
    for ruler in (scene.across, *(ruler for ruler, to_right in scene.repeats if to_right)):
        if ruler.axis is not NO_AXIS:
            end = ruler.end * scene.cell
            _draw_arrow(canvas, ruler.axis, (0, bottom + 9), (end, bottom + 9))
            canvas.text((end / 2, bottom + 21), *_caption(ruler.axis), anchor="middle")
            bottom += 28
    return bottom


def _label_block(canvas: _Canvas, scene: _Scene) -> float:
    """Labels the axes that run down and into the depth; returns how far left this reaches."""
    lift, right = scene.lift * scene.cell, scene.depth.end * DEPTH_X * scene.cell
    end = lift + scene.down.end * scene.cell
    middle = (lift + end) / 2
    captions = [ruler.axis.caption for ruler in (scene.down, scene.depth)]
    if scene.down.axis is not NO_AXIS:
        _draw_arrow(canvas, scene.down.axis, (-9, lift), (-9, end))
        canvas.text((-17, middle), *_caption(scene.down.axis), anchor="end")
    if scene.lift:
        _draw_arrow(canvas, scene.depth.axis, (-6, lift - 7), (right - 6, -7))
        at = (right / 2 - 20, min(lift / 2 - 9, middle - LINE_HEIGHT))
        canvas.text(at, *_caption(scene.depth.axis), anchor="end")
    return -17 - CHARACTER * max(map(len, captions))


def _draw_arrow(canvas: _Canvas, axis: DrawnAxis, start: Point, end: Point) -> None:
    """A thin arrow in the direction in which the index grows."""
    angle = math.atan2(end[1] - start[1], end[0] - start[0])
    barbs = [
        (end[0] - 5 * math.cos(angle + turn), end[1] - 5 * math.sin(angle + turn))
        for turn in (0.5, -0.5)
    ]
    kind = "line arrow shared" if axis.shared else "line arrow"
    canvas.path(kind, [start, end])
    canvas.path(kind, [barbs[0], end, barbs[1]])


def _caption(axis: DrawnAxis) -> list[tuple[str, str]]:
    name = ("name shared" if axis.shared else "name", axis.label)
    return [name, ("", axis.extent), *([("quiet", f" {axis.note}")] if axis.note else [])]


def _draw_legend(canvas: _Canvas, picture: Picture, y: float) -> None:
    x = 0.0
    for kind, words in (
        ("cell front chosen", f"one statistics set: {picture.set_size}"),
        ("line apart", picture.others),
    ):
        if words:
            square = [(x, y - 6), (x + 12, y - 6), (x + 12, y + 6), (x, y + 6)]
            canvas.path(kind, square, "Z")
            canvas.text((x + 19, y), ("", words))
            x += 19 + CHARACTER * len(words) + 24
