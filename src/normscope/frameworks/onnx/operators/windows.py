"""The windows of convolutions and pools, from their attributes."""

from __future__ import annotations

from collections.abc import Sequence

from normscope.frameworks.onnx.operators.applied import Applied
from normscope.graph.rules import Window


def windows_of(node: Applied, sizes: Sequence[int]) -> list[Window] | None:
    """One for each axis of positions; None where their place is not known."""
    count = len(sizes)
    strides = list(node.attributes.get("strides", [1] * count))
    dilations = list(node.attributes.get("dilations", [1] * count))
    before = _padding(node, sizes, strides, dilations)
    if before is None:
        return None
    return [
        Window(size, stride, dilation, start)
        for size, stride, dilation, start in zip(sizes, strides, dilations, before, strict=True)
    ]


def transposed_windows_of(node: Applied, sizes: Sequence[int]) -> list[Window] | None:
    """Of a transposed convolution: input i and element k of the kernel meet at i * stride + k."""
    count = len(sizes)
    if node.attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        return None
    if "output_shape" in node.attributes:
        return None
    strides = node.attributes.get("strides", [1] * count)
    dilations = node.attributes.get("dilations", [1] * count)
    pads = node.attributes.get("pads", [0] * 2 * count)[:count]
    return [
        Window(size, 1, dilation, (size - 1) * dilation - pad, stride)
        for size, stride, dilation, pad in zip(sizes, strides, dilations, pads, strict=True)
    ]


def _padding(
    node: Applied, sizes: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> list[int] | None:
    match node.attributes.get("auto_pad", "NOTSET"):
        case "NOTSET" | "":
            return list(node.attributes.get("pads", [0] * 2 * len(sizes))[: len(sizes)])
        case "VALID":
            return [0] * len(sizes)
        case "SAME_UPPER" | "SAME_LOWER" as kind:
            found = []
            lengths = node.shape()[2:]
            for length, size, stride, dilation in zip(
                lengths, sizes, strides, dilations, strict=True
            ):
                made = -(-length // stride)
                total = max((made - 1) * stride + (size - 1) * dilation + 1 - length, 0)
                found.append(total // 2 if kind == "SAME_UPPER" else -(-total // 2))
            return found
    return None
