"""What an ONNX file says of a batch normalization: what an update keeps."""

from __future__ import annotations

from collections.abc import Mapping

from normscope.frameworks.condition import UNKNOWN, Condition
from normscope.graph.operators import Node


def condition(node: Node, parameters: Mapping[str, str]) -> Condition:
    """What the attributes of an operator say; a file has no state."""
    momentum = node.settings.get("momentum")
    if node.operator != "BatchNormalization" or not isinstance(momentum, float):
        return UNKNOWN
    return Condition(decay=momentum)
