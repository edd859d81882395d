"""A `Picture` as lines of text, for a terminal of 80 columns; readable without colour too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from textwrap import wrap

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from normscope.explain.reports.picture import NO_AXIS, DrawnAxis, Picture, shorter

WIDTH = 78
HEIGHT = 12
"""About as many lines for the cells; captions and legend stand below them."""

CHOSEN, OTHER, MORE = "■", "·", "…"
CHOSEN_STYLE, OTHER_STYLE, PLACE_STYLE = "bold dodger_blue1", "dim", "italic"
LONGEST_PLACE = 24
GAP = 3


def draw_terminal(picture: Picture) -> Text:
    """Draw one statistics set among the others, in flat panels.

    The last axis runs to the right and the one before it down. Further axes repeat the panels
    side by side and below each other; where they would not fit, "…" stands for the rest.

    Args:
        picture: what to draw.

    Returns:
        Text of at most 78 columns.

    Example:
        >>> from normscope.explain.reports.picture import picture
        >>> from normscope import spec
        >>> print(draw_terminal(picture(spec("b [t] c").layout((2, None, 4)), ["b", "t", "c"])))
        b=0       b=1
        ■ · · ·   · · · ·
        ■ · · ·   · · · ·
        ■ · · ·   · · · ·
        → c = 4  ↓ t: any size (3 drawn)  panels: b = 2
        ■ one statistics set: t values   · the other 7 sets
    """
    if not picture.numbers.size:
        return Text("\n".join(wrap(picture.description, WIDTH)))
    legend = [f"{CHOSEN} one statistics set: {picture.set_size}"]
    if picture.others:
        legend.append(f" {OTHER} {picture.others}")
    lines = [*_Panels.of(picture).lines(), *_wrapped(_captions(picture)), *_wrapped(legend)]
    return Text("\n", no_wrap=True).join(lines)


@dataclass(frozen=True)
class _Panels:
    """The panels in rows and columns. `others`: which cells belong to other sets."""

    down: DrawnAxis
    across: DrawnAxis
    below: tuple[DrawnAxis, ...]
    beside: tuple[DrawnAxis, ...]
    others: NDArray[np.bool_]  # (rows of panels, columns of panels, down, across)

    @classmethod
    def of(cls, picture: Picture) -> _Panels:
        outward = range(len(picture.axes))[:-2][::-1]
        below, beside = outward[1::2][::-1], outward[::2][::-1]
        below_axes, beside_axes = (tuple(picture.axes[i] for i in dims) for dims in (below, beside))
        down, across = ((NO_AXIS,) * 2 + picture.axes)[-2:]
        inner = range(len(picture.axes))[-2:]
        others = (picture.numbers != picture.chosen).transpose(*below, *beside, *inner)
        rows, columns = (prod(axis.drawn for axis in axes) for axes in (below_axes, beside_axes))
        others = others.reshape(rows, columns, down.drawn, across.drawn)
        return cls(down, across, below_axes, beside_axes, others)

    def lines(self) -> Iterator[Text]:
        """All that fits, each panel with its place above it and to the left."""
        heads, sides = _places(self.beside), _places(self.below)
        width = GAP + max(2 * self.across.drawn - 1 + sum(self.across.breaks), *map(len, heads))
        margin = GAP + max(map(len, sides)) if any(sides) else 0
        height = 1 + self.down.drawn + sum(map(bool, self.down.breaks))
        columns = _few(self.others.swapaxes(0, 1), (WIDTH - margin - len(MORE)) // width)
        rows = _few(self.others[:, columns], HEIGHT // height)

        more = MORE if len(columns) < len(heads) or _cut(self.beside) else ""
        if any(heads) or more:
            named = "".join(heads[column].ljust(width) for column in columns)
            yield Text(" " * margin + (named + more).rstrip(), PLACE_STYLE)
        for row in rows:
            if row:
                yield Text()
            for index, begins in enumerate(self.down.breaks):
                if begins:
                    yield Text()
                line = Text((sides[row] if index == 0 else "").ljust(margin), PLACE_STYLE)
                for cells in self.others[row, columns, index]:
                    line.append_text(self.row_of_cells(cells, width))
                line.rstrip()
                yield line
        if len(rows) < len(sides) or _cut(self.below):
            yield Text(MORE, PLACE_STYLE)

    def row_of_cells(self, others: NDArray[np.bool_], width: int) -> Text:
        """One row of one panel."""
        text = Text()
        for other, level in zip(others, self.across.breaks, strict=True):
            text.append(" " * (level + bool(text)))
            text.append(*((OTHER, OTHER_STYLE) if other else (CHOSEN, CHOSEN_STYLE)))
        text.pad_right(width - len(text))
        return text


def _cut(axes: Sequence[DrawnAxis]) -> bool:
    return any(axis.note for axis in axes)


def _few(panels: NDArray[np.bool_], most: int) -> list[int]:
    """The first rows or columns of panels; among them, if there is one, one with other sets."""
    mixed = [bool(others.any()) for others in panels]
    shown = list(range(len(mixed)))[: max(most, 1)]
    if len(shown) > 1 and not any(mixed[: len(shown)]) and any(mixed):
        shown[-1] = mixed.index(True)
    return shown


def _places(axes: Sequence[DrawnAxis]) -> list[str]:
    """Each panel's place along the axes that repeat it, in words; one empty word without any."""
    steps = ([axis.place(i) for i in range(axis.drawn)] for axis in axes if axis.drawn > 1)
    return [shorter(" ".join(place), LONGEST_PLACE) for place in product(*steps)]


def _captions(picture: Picture) -> list[str]:
    captions = [f"{arrow} {a.caption}" for arrow, a in zip("→↓", picture.axes[::-1], strict=False)]
    panels = [axis.label + axis.extent for axis in picture.axes[-3::-1]]
    return [*captions, "panels: " + ", ".join(panels)] if panels else captions


def _wrapped(phrases: Sequence[str]) -> Iterator[Text]:
    """Lines that break between phrases where they can."""
    unbroken = "  ".join(phrase.replace(" ", "\xa0") for phrase in phrases)
    for line in wrap(unbroken.replace(",\xa0", ", "), WIDTH):
        text = Text(line.replace("\xa0", " "))
        text.highlight_regex(CHOSEN, CHOSEN_STYLE)
        yield text
