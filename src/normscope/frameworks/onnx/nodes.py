"""Nodes of a file: what they are called, and their attributes."""

from __future__ import annotations

from typing import Any

from onnx import helper


def said(node: Any) -> str:
    """A node, in an error."""
    return f"{node.op_type} {node.name!r}" if node.name else str(node.op_type)


def attributes_of(node: Any) -> dict[str, Any]:
    """By name; texts as texts, graphs left out."""
    found = {}
    for attribute in node.attribute:
        if attribute.HasField("g") or attribute.graphs:
            continue
        value = helper.get_attribute_value(attribute)
        text = isinstance(value, bytes)
        found[attribute.name] = value.decode(errors="replace") if text else value
    return found
