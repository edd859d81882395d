"""One layer of the table, and what `identify` says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from normscope import NormSpec, identify

LENGTHS = {"b": 4, "c": 8, "t": 7, "d": 3, "h": 6, "w": 5}
"""How long an axis is, by its name, where a row does not say otherwise."""


@dataclass(frozen=True)
class Row:
    """A layer as its user writes it, and the input that it gets.

    Attributes:
        code: the layer; what is shown is what is run.
        axes: names of the axes of the input.
        shape: their lengths; by `LENGTHS` where it is None.
    """

    code: str
    axes: str
    shape: tuple[int, ...] | None = None

    @property
    def lengths(self) -> tuple[int, ...]:
        """The shape of the input."""
        return self.shape or tuple(LENGTHS[name] for name in self.axes.split())


def measured(row: Row, make: Callable[[str], Any]) -> dict[str, Any]:
    """What the layer computes, as JSON types.

    Args:
        row: the layer.
        make: turns its code into what `identify` takes.

    Returns:
        A dictionary that is the same on every machine: without ulps and numbers of calls.
        `declared` is the spec that the settings declare, where another one was found.
    """
    found = identify(make(row.code), row.lengths, row.axes)
    declared = found.declared if found.headline else None  # there is one where they differ
    return {
        "layer": row.code,
        "axes": row.axes,
        "shape": list(row.lengths),
        "kind": str(found.kind),
        "train": _fields(found.train),
        "infer": _fields(found.infer),
        "train_axes": found.train_axes,
        "infer_axes": found.infer_axes,
        "declared": None if declared is None else _fields(declared.train),
    }


def _fields(spec: NormSpec | None) -> dict[str, Any] | None:
    """The fields of a spec that are not as usual; `NormSpec.from_dict` reads them."""
    if spec is None:
        return None
    usual = NormSpec("[x]").to_dict()
    fields = spec.to_dict().items()
    return {name: value for name, value in fields if name == "pattern" or value != usual[name]}
