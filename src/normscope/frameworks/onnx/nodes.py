"""What is in a file, for a graph: nodes as they are called, their attributes, constants."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from onnx import helper

from normscope.graph.operators import Graph, Value


def said(node: Any) -> str:
    """A node, in an error."""
    return f"{node.op_type} {node.name!r}" if node.name else str(node.op_type)


def attributes_of(node: Any) -> dict[str, Any]:
    """The attributes by name; texts as texts, graphs left out."""
    found = {}
    for attribute in node.attribute:
        if attribute.HasField("g") or attribute.graphs:
            continue
        value = helper.get_attribute_value(attribute)
        text = isinstance(value, bytes)
        found[attribute.name] = value.decode(errors="replace") if text else value
    return found


def constant(array: NDArray[Any]) -> Value:
    """A value that no input changes."""
    return Graph.constant(array.shape, array.dtype.name, lambda: array)
