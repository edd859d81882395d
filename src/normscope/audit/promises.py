"""What a model must keep, as its user declares it, and what an audit found of it.

Two things can be promised, each along axes of the inputs:

independent  Along the axis of the samples: no sample's output depends on another sample. Along any
             other axis, such as h and w: no normalization takes a statistic along it, so that a
             part of the input, a tile, is normalized as the whole is. Other ways to see along it
             keep that promise: bounded windows, as of a convolution or of statistics of patches,
             and attention, whose softmax and products are no statistics of a normalization.
causal       No step of an output depends on a later step of an input.

A promise holds in training and at inference, unless it is restricted to one: "b@inference".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from normscope.errors import SpecError
from normscope.notation.values import shown
from normscope.sight.verdict import Through
from normscope.wording import listed

MODES = ("training", "inference")

PromisedAxes = str | int | Sequence[str | int] | Mapping[str, "str | int | Sequence[str | int]"]
"""Axes as a user writes them: "b", "h w", "b@inference", 0, ["b", "h"], {"inference": "b"}."""

_WORD = re.compile(r"(?P<axis>-?\d+|[A-Za-z_]\w*)(?:@(?P<mode>\w+))?")


class Kind(StrEnum):
    """What is promised."""

    INDEPENDENT = "independent"
    CAUSAL = "causal"


class Standing(StrEnum):
    """What was found of a promise."""

    KEPT = "kept"
    BROKEN = "broken"
    UNKNOWN = "unknown"


class About(StrEnum):
    """What lies along the axis."""

    SAMPLES = "samples"
    POSITIONS = "positions"
    STEPS = "steps"


@dataclass(frozen=True)
class Wanted:
    """One promise, as its user declares it.

    Attributes:
        kind: what is promised.
        axis: of the inputs: a name, or a number.
        modes: in which it holds: "training", "inference".
    """

    kind: Kind
    axis: str | int
    modes: tuple[str, ...] = MODES

    def __str__(self) -> str:
        only = "" if self.modes == MODES else f"@{self.modes[0]}"
        return f'{self.kind}="{self.axis}{only}"'


@dataclass(frozen=True)
class Promise:
    """What was found of a promise in one mode.

    Attributes:
        wanted: the promise.
        about: what lies along its axis.
        mode: "training" or "inference".
        standing: whether it is kept, broken, or not known.
        how: of one that is kept, how that is known: "proved", "by probing".
        through: where it is broken first, or what leaves it open; None if there is no such place.
        why: the reason, in words.
        sites: the numbers, in `ModelGraph.sites`, of those normalizations that break it.
        measured: what was measured, in words; "" if nothing was.
        numbers: the same as JSON types.
    """

    wanted: Wanted
    about: About
    mode: str
    standing: Standing
    how: str = ""
    through: Through | None = None
    why: str = ""
    sites: tuple[int, ...] = ()
    measured: str = ""
    numbers: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        through = self.through
        return {
            "promise": str(self.wanted.kind),
            "axis": self.wanted.axis,
            "about": str(self.about),
            "mode": self.mode,
            "standing": str(self.standing),
            "how": self.how,
            "through": None if through is None else through.to_dict(),
            "why": self.why,
            "measured": dict(self.numbers),
        }


def wanted_promises(
    independent: PromisedAxes | None = None, causal: PromisedAxes | None = None
) -> tuple[Wanted, ...]:
    """The promises that a user declares, each axis once.

    >>> print(*wanted_promises("b h@inference", {"training": "t"}))
    independent="b" independent="h@inference" causal="t@training"

    Raises:
        SpecError: it is not the name or the number of an axis, or there is no such mode.
    """
    found: dict[tuple[Kind, str | int], set[str]] = {}
    for kind, axes in ((Kind.INDEPENDENT, independent), (Kind.CAUSAL, causal)):
        for axis, modes in _axes(kind, axes):
            found.setdefault((kind, axis), set()).update(modes)
    return tuple(
        Wanted(kind, axis, tuple(mode for mode in MODES if mode in modes))
        for (kind, axis), modes in found.items()
    )


def _axes(
    kind: Kind, axes: object, modes: tuple[str, ...] = MODES
) -> Iterator[tuple[str | int, tuple[str, ...]]]:
    if axes is None:
        return
    if isinstance(axes, str):
        words = axes.replace(",", " ").split()
        if not words:
            raise _not_an_axis(kind, axes)
        for word in words:
            match = _WORD.fullmatch(word)
            if match is None:
                raise _not_an_axis(kind, word)
            axis, mode = match["axis"], match["mode"]
            number = axis.lstrip("-").isdigit()
            yield int(axis) if number else axis, _modes(kind, mode) if mode else modes
    elif isinstance(axes, int) and not isinstance(axes, bool):
        yield axes, modes
    elif isinstance(axes, Mapping):
        for mode, own in axes.items():
            yield from _axes(kind, own, _modes(kind, mode))
    elif isinstance(axes, Sequence) and not isinstance(axes, bytes):
        for own in axes:
            yield from _axes(kind, own, modes)
    else:
        raise _not_an_axis(kind, axes)


def _modes(kind: Kind, mode: object) -> tuple[str, ...]:
    if mode not in MODES:
        raise SpecError(
            f"{kind}: {shown(mode)} is not a mode; a promise holds in {listed(MODES)}, or in one "
            f'of them: {kind}="b@inference"'
        )
    return (str(mode),)


def _not_an_axis(kind: Kind, said: object) -> SpecError:
    return SpecError(
        f"{kind}={shown(said)} is not the name or the number of an axis; write a name of `axes`, "
        f'such as {kind}="{"t" if kind is Kind.CAUSAL else "b"}", several as "b h w", or a number'
    )
