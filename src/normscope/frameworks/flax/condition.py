"""How a module of Flax stands: the mode of one of NNX, and what an update keeps."""

from __future__ import annotations

from collections.abc import Mapping

from flax import linen, nnx

from normscope.frameworks.condition import UNKNOWN, Condition
from normscope.graph.operators import Node


def condition(node: Node, parameters: Mapping[str, str]) -> Condition:
    """How the module stands that an operator belongs to.

    Args:
        node: an operator that normalizes; the modules of its calls are in the state as given.
        parameters: where the model holds its scale and bias. That they are learned is said by the
            optimizer, and not by the module.
    """
    layer = node.call.layer
    if not isinstance(layer, nnx.BatchNorm | linen.BatchNorm):
        return UNKNOWN
    uses_stored = layer.use_running_average if isinstance(layer, nnx.BatchNorm) else None
    return Condition(
        training=None if uses_stored is None else not uses_stored,
        decay=float(layer.momentum),
    )
