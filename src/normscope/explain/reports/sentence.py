"""The answer in one phrase: "one image row of 56 pixels on its own"."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import TYPE_CHECKING

from normscope.explain.facts import AxisFact
from normscope.notation.axis_roles import Role
from normscope.notation.shape import Size
from normscope.wording import listed

if TYPE_CHECKING:
    from normscope.explain.result import Explanation

_SPACE = {
    *("d", "h", "w", "x", "y", "z", "depth", "height", "width"),
    *("row", "rows", "col", "cols"),
}
_TIME = {"t", "time", "l", "length"}
_ROWS, _COLUMNS = {"w", "width", "cols", "col"}, {"h", "height", "rows", "row"}


def what_is_normalized(explanation: Explanation) -> str:
    """A phrase for each statistics set, to stand after "normalizes".

    >>> from normscope.explain import explain
    >>> what_is_normalized(explain("b c h [w]", (8, 128, 56, 56)))
    'one image row of 56 pixels on its own'
    >>> what_is_normalized(explain("[b] c [h w]", (8, 128, 56, 56)))
    'one channel over the whole batch: 25,088 values'
    >>> what_is_normalized(explain("b t [c]", (8, 10, 64)))
    'one time step on its own, over its 64 channels'
    >>> what_is_normalized(explain("a [b] c", (8, 10, 64)))
    'all of b, for one a and one c: 10 values'
    """
    facts = explanation.facts
    axes = [axis for axis in facts.axes if axis.size != 1] or list(facts.axes)
    shared = [axis for axis in axes if axis.word == "shared"]
    kept = [axis for axis in axes if axis.independent]
    if len(shared) + len(kept) == len(axes):
        samples_known = facts.sample_axis is not None
        phrase = _phrase(axes, shared, kept) if samples_known and shared else None
        if phrase is not None:
            return phrase
    return _in_general(explanation)


def _phrase(axes: list[AxisFact], shared: list[AxisFact], kept: list[AxisFact]) -> str | None:
    """The words for the usual ways to share axes; None for the others."""
    channel = next((axis for axis in axes if axis.role is Role.CHANNEL), None)
    places = [axis for axis in axes if axis.role is Role.POSITION]
    if any(axis.role is Role.OTHER for axis in axes):
        return None
    together = [axis for axis in places if axis in shared]
    if any(axis.role is Role.SAMPLE for axis in shared):
        return _over_the_batch(shared, kept, channel, places)
    if channel in shared and together == places:
        things = "values" if places else "features"
        return f"one sample on its own, as a whole: {_number(shared, things)}"
    if channel in shared and not together:
        channels = _number([channel], "channels", "its ")
        return f"one {_place(places)} on its own, over {channels}"
    if channel in shared:
        return None
    if together == places:
        of = "one channel of one sample" if channel else "one sample"
        return f"{of} on its own: {_number(shared, f'{_place(places)}s')}"
    names = {axis.label.lower() for axis in together}
    images = {axis.label.lower() for axis in places} & _ROWS and len(places) == 2
    if images and names <= _ROWS:
        return f"one image row of {_number(shared, 'pixels')} on its own"
    if images and names <= _COLUMNS:
        return f"one image column of {_number(shared, 'pixels')} on its own"
    return None


def _over_the_batch(
    shared: list[AxisFact],
    kept: list[AxisFact],
    channel: AxisFact | None,
    places: list[AxisFact],
) -> str | None:
    size = _product(shared)
    values = "" if size is None else f": {size:,} values"
    if not kept:
        return f"the whole batch at once{values}"
    if kept == [channel]:
        return f"one {'channel' if places else 'feature'} over the whole batch{values}"
    return None


def _in_general(explanation: Explanation) -> str:
    """The phrase that the explanation has for a statistics set, in the axes' own names."""
    (sentence, *_) = explanation.sections[0].lines
    return sentence.removeprefix("A statistics set is ").removesuffix(".")


def _place(places: list[AxisFact]) -> str:
    names = {axis.label.lower() for axis in places}
    if len(places) == 2 and names <= _SPACE:
        return "pixel"
    return "time step" if names and names <= _TIME else "position"


def _number(axes: Iterable[AxisFact | None], things: str, whose: str = "") -> str:
    known = [axis for axis in axes if axis is not None]
    size = _product(known)
    if size is not None:
        return f"{whose}{size:,} {things}"
    return f"all {whose}{things} ({listed([axis.label for axis in known])})"


def _product(axes: Iterable[AxisFact]) -> Size:
    sizes = [axis.size for axis in axes]
    known = [size for size in sizes if size is not None]
    return prod(known) if len(known) == len(sizes) else None
