"""What an exporter has folded away: batch normalizations in the weights before them."""

from __future__ import annotations

import re
from typing import Any

from normscope.wording import counted

_MADE_BY_AN_EXPORTER = re.compile(r"onnx::Conv_\d+|.*fused_bn.*")
"""Weights that were computed at export: PyTorch numbers them, tf2onnx says what it did."""

_CONVOLUTIONS = ("Conv", "ConvTranspose")


def note_on_folding(graph: Any) -> str:
    """What cannot be seen in a file; "" where nothing tells of it."""
    folded = sum(
        node.op_type in _CONVOLUTIONS
        and len(node.input) > 1
        and _MADE_BY_AN_EXPORTER.fullmatch(node.input[1]) is not None
        for node in graph.node
    )
    if not folded:
        return ""
    have, it = ("has", "it") if folded == 1 else ("have", "them")
    return (
        f"{counted(folded, 'convolution')} {have} weights that the exporter computed, as when it "
        f"folds a batch normalization into {it}: those are no longer in the file and not listed"
    )
