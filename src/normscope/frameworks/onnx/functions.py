"""Calls of the functions of a file: their attributes, and inputs that a call leaves out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from normscope.frameworks.onnx.structure import graphs_of

Bindings = Mapping[str, Any]
"""The attributes of a function, by name, as its call gives them."""


def bindings(function: Any, node: Any) -> dict[str, Any]:
    """The attributes of a function: as its call gives them, else as it says itself."""
    usual = {attribute.name: attribute for attribute in function.attribute_proto}
    return usual | {attribute.name: attribute for attribute in node.attribute}


def bound(node: Any, around: Bindings | None) -> Any:
    """A node with attributes in the place of references to those of the function around it.

    Args:
        node: of a function, or of a graph inside of one.
        around: None if no function is around.
    """
    if around is None or not _refers(node):
        return node
    found = type(node)()
    found.CopyFrom(node)
    del found.attribute[:]
    for attribute in node.attribute:
        if not attribute.ref_attr_name:
            kept = found.attribute.add()
            kept.CopyFrom(attribute)
            for graph in ([kept.g] if kept.HasField("g") else []) + list(kept.graphs):
                inner = [bound(n, around) for n in graph.node]
                del graph.node[:]
                graph.node.extend(inner)
        elif attribute.ref_attr_name in around:
            made = found.attribute.add()
            made.CopyFrom(around[attribute.ref_attr_name])
            made.name = attribute.name
    return found


def _refers(node: Any) -> bool:
    return any(a.ref_attr_name for a in node.attribute) or next(graphs_of(node), None) is not None


def without_missing(node: Any, missing: Sequence[str]) -> Any:
    """A node of a function, without the inputs that the call of the function leaves out."""
    if not set(missing).intersection(node.input):
        return node
    found = type(node)()
    found.CopyFrom(node)
    del found.input[:]
    found.input.extend("" if name in missing else name for name in node.input)
    return found
