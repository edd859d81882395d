"""`Attributes`: what an object of Python holds, as it was found."""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np

from normscope.frameworks.trees import Array

_LARGE = 2**22
"""Bytes. A data set that a function holds is not looked through after each of its calls."""

_CONTAINERS = (list, dict, set, OrderedDict, defaultdict, Counter, deque)


class Attributes:
    """The attributes of objects; their lists, dicts, sets and NumPy arrays with all they hold.

    >>> class Counter:
    ...     seen, kept = 0, []
    ...     def __init__(self): self.seen, self.kept = 0, []
    >>> counter = Counter()
    >>> found = Attributes([counter])
    >>> counter.seen += 1; counter.kept.append(1)
    >>> found.put_back()
    >>> counter.seen, counter.kept
    (0, [])
    """

    def __init__(self, objects: list[Any]) -> None:
        self._attributes = [(vars(owner), dict(vars(owner))) for owner in objects]
        held = [value for _, found in self._attributes for value in found.values()]
        self._containers = [(v, v.copy()) for v in held if type(v) in _CONTAINERS]
        self._arrays = [(v, v.copy()) for v in held if type(v) is np.ndarray]

    def changed(self, but: Collection[str] = ()) -> bool:
        """Whether anything is otherwise than it was found, but for attributes of these names."""
        return (
            any(not _same(_without(now, but), _without(old, but)) for now, old in self._attributes)
            or any(not _same(container, copy) for container, copy in self._containers)
            or any(not _same_bits(array, copy) for array, copy in self._arrays)
        )

    def put_back(self, large: bool = True) -> None:
        """Give the objects the attributes, and these the values, that they were found with.

        Args:
            large: also look for changes in arrays of many elements, which takes its time.
        """
        for now, found in self._attributes:
            if not _same(now, found):
                now.clear()
                now.update(found)
        for container, copy in self._containers:
            if not _same(container, copy):
                container.clear()
                if isinstance(container, list | deque):
                    container.extend(copy)
                else:
                    container.update(copy)
        for array, copy in self._arrays:
            if (large or array.nbytes <= _LARGE) and not _same_bits(array, copy):
                array[...] = copy


def _same_bits(a: Array, b: Array) -> bool:
    if a.dtype.hasobject or not (a.flags.c_contiguous and b.flags.c_contiguous):
        return a.tobytes() == b.tobytes()
    return np.array_equal(a.reshape(-1).view(np.uint8), b.reshape(-1).view(np.uint8))


def _without(attributes: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if name not in names}


def _same(a: Any, b: Any) -> bool:
    """Whether two containers hold the same objects in the same order."""
    if isinstance(a, dict):
        return _identities(a) == _identities(b) and _identities(a.values()) == _identities(
            b.values()
        )
    return _identities(a) == _identities(b)


def _identities(objects: Iterable[Any]) -> list[int]:
    return [*map(id, objects)]
