"""Prepared calls, kept by the form of what they were prepared for, and found again by it."""

from __future__ import annotations

from operator import attrgetter
from typing import Any, Protocol, TypeVar

from numpy import ndarray  # one look-up less for each array
from numpy.typing import ArrayLike

from normscope.notation.spec import NormSpec


class Kept(Protocol):
    """What a call has, if it is to be kept."""

    @property
    def pattern(self) -> NormSpec | str:
        """What the caller stated."""


Call = TypeVar("Call", bound=Kept)
Key = tuple[Any, ...]

MOST_CALLS = 1024
_PLAIN = (bool, int, float, str)
_form = attrgetter("shape", "strides", "dtype", "flags.num")
"""Flags say, among others, whether an array is aligned, and whether it may be written to."""


def key_of(
    pattern: NormSpec | str, fields_and_sizes: dict[str, Any], *arrays: ArrayLike | None
) -> Key | None:
    """All that a prepared call may depend on: the spec by identity, and the form of the arrays.

    Returns:
        None where calls are not kept: of lists and subclasses, say.
    """
    kind = type(pattern)
    if kind is not NormSpec and kind is not str:  # a subclass may call equal what is not
        return None
    key: list[Any] = [id(pattern) if kind is NormSpec else pattern]
    for array in arrays:
        if array is None:
            key.append(None)
        elif type(array) is ndarray:
            key.append(_form(array))
        else:
            return None
    if fields_and_sizes:
        if any(type(value) not in _PLAIN for value in fields_and_sizes.values()):
            return None
        key += [(name, type(value), value) for name, value in fields_and_sizes.items()]
    return tuple(key)


def keep(calls: dict[Key | None, Call], key: Key | None, call: Call) -> None:
    """Keep a call among others, if it has a key.

    The identity of a spec says something only while that lives: the call keeps it alive.
    """
    if key is None:
        return
    if len(calls) >= MOST_CALLS:
        calls.clear()
    calls[key] = call
