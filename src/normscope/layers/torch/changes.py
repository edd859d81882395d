"""`Changes`: what a function did to the layers of a model, or would do, as a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import nn

from normscope.notebook import Report
from normscope.wording import counted, listed

_SHOWN = 3
"""So many paths of layers that are changed alike are named."""


@dataclass(frozen=True)
class Change:
    """One layer.

    Attributes:
        paths: all its places in the model; "" is the model itself.
        old: what it was, in words.
        new: what it is now, in words; "" if it is left as it was.
        notes: why it is left, or what is different now.
    """

    paths: tuple[str, ...]
    old: str
    new: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, repr=False)
class Changes(Report):
    """What was done to a model.

    Attributes:
        verb: what was done, in one word: "swapped".
        model: the model; another object than was given only where that was itself such a layer.
        changed: the layers that others have taken the place of.
        left: those that stay, with the reasons.
        functional: normalizations that no layer does, so that they stay as well.
        verified: what was checked afterwards, and found right.
        dry_run: nothing was changed.
        remarks: what else there is to say.
        noun: what the layers are called.
    """

    verb: str
    model: nn.Module
    changed: tuple[Change, ...]
    left: tuple[Change, ...] = ()
    functional: tuple[str, ...] = ()
    verified: tuple[str, ...] = ()
    dry_run: bool = False
    remarks: tuple[str, ...] = ()
    noun: str = "normalization layer"

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        number = len(self.changed)
        dry = " (a dry run: nothing was changed)" if self.dry_run else ""
        would = "would be " if self.dry_run else ""
        found = counted(number + len(self.left), self.noun)
        yield f"{number} of {found} {would}{self.verb}{dry}"
        for one, paths in _alike(self.changed):
            yield f"  {_places(paths)}: {one.old} -> {one.new}"
            yield from (f"    {note}" for note in one.notes)
        if self.left:
            yield "left as they are:"
        for one, paths in _alike(self.left):
            yield f"  {_places(paths)}: {one.old}: {listed(one.notes)}"
        if self.functional:
            yield "normalized by no layer, so left as well:"
        yield from (f"  {line}" for line in self.functional)
        yield from self.remarks
        yield from (f"verified: {line}" for line in self.verified)


def _alike(changes: Sequence[Change]) -> Iterator[tuple[Change, list[str]]]:
    """Changes that say the same but for their places, once, with all the places."""
    together: dict[tuple[object, ...], tuple[Change, list[str]]] = {}
    for one in changes:
        key = (one.old, one.new, one.notes)
        together.setdefault(key, (one, []))[1].append(" = ".join(map(_named, one.paths)))
    yield from together.values()


def _named(path: str) -> str:
    return path or "the model itself"


def _places(paths: Sequence[str]) -> str:
    if len(paths) <= _SHOWN + 1:
        return listed(paths)
    return f"{', '.join(paths[:_SHOWN])} and {len(paths) - _SHOWN} more"
