"""Checked values: what a field of a spec may hold, and what is said when it does not."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from normscope.errors import SpecError
from normscope.notation.shape import MAX_LENGTH, SizeGiven


class Sizes(Mapping[str, SizeGiven]):
    """Axis sizes by name: a mapping that cannot change and can be hashed.

    >>> Sizes({"g": 32})
    {'g': 32}
    """

    __slots__ = ("_items",)

    def __init__(self, sizes: object = ()) -> None:
        """Check names and sizes, in alphabetical order.

        Raises:
            SpecError: a key is not a text, or a size not a positive integer (or tuple of them).
        """
        try:
            pairs = dict(sizes)  # type: ignore[call-overload]  # no mapping: the error below
        except (TypeError, ValueError):
            raise SpecError(f"sizes is a mapping such as {{'g': 32}}, not {shown(sizes)}") from None
        for name in pairs:
            if not isinstance(name, str):
                raise SpecError(f"the keys of sizes are axis names, not {shown(name)}")
        self._items = {name: _size(name, pairs[name]) for name in sorted(pairs)}

    def __getitem__(self, name: str) -> SizeGiven:
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(tuple(self._items.items()))

    def __repr__(self) -> str:
        return repr(self._items)


def _size(name: str, value: object) -> SizeGiven:
    if isinstance(value, tuple | list):
        return tuple(_positive(name, size) for size in value)
    return _positive(name, value)


def _positive(name: str, value: object) -> int:
    size = integer(f"the size of axis {name}", value)
    if size == 0:
        raise SpecError(f"the size of axis {name} is positive, not 0")
    return size


def shown(value: object) -> str:
    """`repr` on one line, cut so that one absurd value does not fill a screen.

    >>> import numpy as np
    >>> shown(np.zeros((200, 3))), shown("b [c]")
    ('an array of float64, shape (200, 3)', "'b [c]'")
    """
    if isinstance(value, int) and abs(value) >= 10**30:
        return "a huge integer"
    if hasattr(value, "dtype") and hasattr(value, "shape") and not isinstance(value, type):
        return f"an array of {value.dtype}, shape {value.shape}"
    first, *more = repr(value).splitlines() or [""]
    if more:
        return f"a {type(value).__name__}"
    return first if len(first) <= 60 else first[:57] + "..."


def number(name: str, value: object) -> float:
    """A finite number.

    Raises:
        SpecError: it is none.
    """
    try:
        if isinstance(value, bool | str | bytes):
            raise TypeError
        found = float(value)  # type: ignore[arg-type]  # what is no number ends in TypeError
    except (TypeError, ValueError, OverflowError):
        raise SpecError(f"{name} is a number, not {shown(value)}") from None
    if not math.isfinite(found):
        raise SpecError(f"{name} is a finite number, not {found}")
    return found


def non_negative(name: str, value: object) -> float:
    """A finite number that is not below 0.

    Raises:
        SpecError: it is none.
    """
    found = number(name, value)
    if found < 0:
        raise SpecError(f"{name} is not negative; it is {found:g}")
    return found


def integer(name: str, value: object) -> int:
    """An integer that is not below 0 and no larger than an axis can be.

    Raises:
        SpecError: it is none.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        found = operator.index(value)  # type: ignore[arg-type]  # no integer: TypeError
    except TypeError:
        raise SpecError(f"{name} is an integer, not {shown(value)}") from None
    if not 0 <= found <= MAX_LENGTH:
        raise SpecError(f"{name} is an integer from 0 to {MAX_LENGTH}, not {shown(value)}")
    return found


def flag(name: str, value: object) -> bool:
    """True or False.

    Raises:
        SpecError: it is neither.
    """
    if not isinstance(value, bool):
        raise SpecError(f"{name} is True or False, not {shown(value)}")
    return value


def told_fields(value: Any) -> list[tuple[str, Any]]:
    """The first field of a dataclass, and those that are not as they are by default."""
    first, *rest = fields(value)
    told = [field.name for field in rest if getattr(value, field.name) != field.default]
    return [(name, getattr(value, name)) for name in (first.name, *told)]
