"""Nested inputs and outputs: tuples, lists, dicts, named tuples and dataclasses of arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]


def is_array(value: Any) -> bool:
    """Whether this is an array of any framework: it has a shape and a dtype.

    >>> import numpy as np
    >>> is_array(np.zeros(3)), is_array([0.0]), is_array(np.float32)
    (True, False, False)
    """
    return hasattr(value, "shape") and hasattr(value, "dtype") and not isinstance(value, type)


def arrays_by_name(tree: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every array of a nested value, with the path to it.

    Numbers count as arrays without axes; whatever else holds no array is left out.

    >>> [path for path, _ in arrays_by_name({"a": (1.0, None), "b": [2.0]}, "output")]
    ['output.a[0]', 'output.b[0]']
    """
    if is_array(tree) or (isinstance(tree, int | float | complex) and not isinstance(tree, bool)):
        yield name, tree
        return
    for key, part in _parts(tree):
        yield from arrays_by_name(part, f"{name}{key}")


def _parts(tree: Any) -> Iterator[tuple[str, Any]]:
    """The parts of a nested value; the outputs of transformers are mappings too."""
    if isinstance(tree, Mapping):
        yield from ((f".{key}", part) for key, part in tree.items())
    elif isinstance(tree, tuple | list):
        names = getattr(tree, "_fields", None)
        for number, part in enumerate(tree):
            yield (f".{names[number]}" if names else f"[{number}]"), part
    elif dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        for field in dataclasses.fields(tree):
            yield f".{field.name}", getattr(tree, field.name)


def mapped(tree: Any, function: Callable[[Any], Any]) -> Any:
    """Tuples, lists and dicts rebuilt with a function of each array in them.

    >>> import numpy as np
    >>> mapped((np.zeros(2), {"a": np.ones(3)}, "as it is"), np.size)
    (2, {'a': 3}, 'as it is')
    """
    if is_array(tree):
        return function(tree)
    if isinstance(tree, Mapping):
        return {key: mapped(part, function) for key, part in tree.items()}
    if isinstance(tree, tuple | list):
        parts = [mapped(part, function) for part in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    return tree


def first_array(output: Any) -> Any:
    """A nested value itself, or the first of all that it holds.

    >>> first_array({"y": (1, 2)})
    1
    """
    while isinstance(output, tuple | list | Mapping) and len(output) > 0:
        output = next(iter(output.values())) if isinstance(output, Mapping) else output[0]
    return output
