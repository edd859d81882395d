"""`Applied`: one node of a file, with what is known of its operands; `Meaning`: what it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.graph.operators import Role, Value
from normscope.graph.rules import Rule

Made = tuple[tuple[int, ...], str]
"""The shape and the dtype of a result."""


@dataclass(frozen=True)
class Meaning:
    """What an operator does, as a `Node` says it."""

    role: Role
    rule: Rule
    channel_axis: int | None = None
    adds_bias: bool = False


@dataclass(frozen=True)
class Applied:
    """One operator, applied once.

    Attributes:
        kind: its name.
        version: of the operators of its domain.
        attributes: those that the file states.
        places: its operands by their place; None where the file leaves one out.
        made: shape and dtype of each result, by its place; None for one that is left out.
        numbers: of a value, if it depends on no input and is small; None of any other.
        run: gives its results for other arrays of the operands that are not left out.
    """

    kind: str
    version: int
    attributes: Mapping[str, Any]
    places: tuple[Value | None, ...]
    made: tuple[Made | None, ...]
    numbers: Callable[[Value], NDArray[Any] | None]
    run: Callable[..., Any]

    @property
    def operands(self) -> tuple[Value, ...]:
        """Those that are not left out, as the node of the graph has them."""
        return tuple(value for value in self.places if value is not None)

    @property
    def results(self) -> tuple[Made, ...]:
        """Those that are not left out, as the node of the graph has them."""
        return tuple(result for result in self.made if result is not None)

    def at(self, place: int) -> Value | None:
        """The operand at a place of the file; None if it is left out."""
        return self.places[place] if place < len(self.places) else None

    def number(self, place: int) -> int:
        """Which of `operands` stands at a place of the file that is not left out."""
        return sum(value is not None for value in self.places[:place])

    def shape(self, place: int = 0) -> tuple[int, ...]:
        """Of an operand that is there."""
        value = self.at(place)
        assert value is not None  # asked of operands that every such operator has
        return value.shape

    def rank(self, place: int = 0) -> int:
        """Of an operand that is there."""
        return len(self.shape(place))

    @property
    def ranks(self) -> list[int]:
        """Of all operands that are not left out."""
        return [len(value.shape) for value in self.operands]

    def given(self, name: str, place: int, default: Any = None) -> Any:
        """What newer versions take as an operand and older ones as an attribute, as an array.

        None where it is an operand that is not known.
        """
        value = self.at(place)
        if value is not None:
            return self.numbers(value)
        found = self.attributes.get(name, default)
        return None if found is None else np.asarray(found)

    def is_left_out(self, name: str, place: int) -> bool:
        """Whether neither the attribute nor the operand is there."""
        return name not in self.attributes and self.at(place) is None
