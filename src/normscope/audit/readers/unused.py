"""Normalization layers that a model holds and that no mode of it calls."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from normscope.audit.surroundings import UnusedLayer
from normscope.errors import NormscopeError
from normscope.frameworks.settings import declare
from normscope.graph.operators import Graph

_PARTS = re.compile(r"[./]")


def unused_norms(layers: Mapping[str, Any], graphs: Mapping[bool, Graph]) -> Iterator[UnusedLayer]:
    """The normalization layers that no mode calls although what holds them is called.

    Layers of a part that as a whole is not called are left out, as is one in a list of layers of
    which another is called: such parts are optional.

    Args:
        layers: all those that the model holds, by path.
        graphs: of all modes of the model.
    """
    parts = [part for graph in graphs.values() for part in (graph, *graph.bodies())]
    called = {call.path for part in parts for call in part.calls} | {""}
    ids = {id(call.layer) for part in parts for call in part.calls}
    used = set(_holders(_used_arrays(parts)))
    held = layers.keys() | {""}
    for path, layer in layers.items():
        if path in called or path in used or id(layer) in ids:
            continue
        holder = next(one for one in _parents(path) if one in held)
        siblings = next(iter(_parents(path)))
        optional = siblings != holder and any(
            siblings in _parents(other) for other in called | used
        )
        if holder in called and not optional:
            found = _unused(path, layer)
            if found is not None:
                yield found


def _unused(path: str, layer: Any) -> UnusedLayer | None:
    try:
        said = declare(layer)
    except (NormscopeError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return None  # it is no normalization whose settings are known
    learned = said.train.scale is not None or said.train.bias is not None
    return UnusedLayer(path, said.title or type(layer).__name__, learned)


def _used_arrays(parts: Iterable[Graph]) -> Iterator[str]:
    """The names of the arrays of the model that an operator takes."""
    for part in parts:
        for node in part.nodes:
            yield from (operand.name for operand in node.operands if operand.is_parameter)


def _holders(names: Iterable[str]) -> Iterator[str]:
    """The layers by whose path an array is named."""
    for name in names:
        yield from (path for path in _parents(name) if path)


def _parents(path: str) -> list[str]:
    """What a path stands in, from the inside out; the last is the model itself."""
    ends = [match.start() for match in _PARTS.finditer(path)]
    return [*(path[:end] for end in reversed(ends)), ""]
