"""Inputs and layers that tell which positions of a batch are padded -> `Padding`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.audit.padding import Padding
from normscope.graph.operators import Graph, Value
from normscope.graph.replay import replay


def padding_of(graphs: Mapping[bool, Graph], arrays: Sequence[NDArray[Any]]) -> Padding | None:
    """What tells the padded positions of a model; None if nothing does.

    Args:
        graphs: of the modes of the model.
        arrays: its inputs, in their order.
    """
    graph = next(iter(graphs.values()))
    if len(graph.inputs) != len(arrays):
        return None
    pairs = list(zip(graph.inputs, arrays, strict=True))
    for value, array in pairs:
        padded = _by_input(value, np.asarray(array), [a for v, a in pairs if v is not value])
        if padded is not None:
            return _made(f"the input {value.name}", padded)
    for call in graph.calls:
        padded = _by_layer(graph, call.layer, call.inputs[:1], dict(pairs))
        if padded is not None:
            return _made(f"{call.type} {call.path}", padded)
    return None


def _by_input(
    value: Value, array: NDArray[Any], others: Sequence[NDArray[Any]]
) -> NDArray[np.bool_] | None:
    """Padded positions, by the name of an input: a mask, or lengths."""
    name = value.name.lower().rpartition(".")[2]
    whole = array.dtype.kind in "biu"
    if "length" in name and whole and array.dtype.kind != "b" and array.ndim == 1:
        lengths = {a.shape[1] for a in others if a.ndim > 1 and len(a) == len(array)}
        return np.arange(min(lengths)) >= array[:, None] if lengths else None
    if "mask" not in name and "pad" not in name:
        return None
    if array.ndim != 2 or min(array.shape) < 1 or not np.isin(array, (0, 1)).all():
        return None
    alike = any(a.shape[:2] == array.shape for a in others if a.ndim >= 2)
    if not alike:
        return None
    return array.astype(bool) if "pad" in name else ~array.astype(bool)


def _by_layer(
    graph: Graph, layer: Any, inputs: Sequence[Value], given: Mapping[Value, Any]
) -> NDArray[np.bool_] | None:
    """Padded positions, by a layer that makes a mask of what it is given, as those of Keras do."""
    masks = type(layer).__name__ == "Masking" or getattr(layer, "mask_zero", False)
    compute = getattr(layer, "compute_mask", None)
    if not masks or compute is None or len(inputs) != 1:
        return None
    native = {
        value: graph.arrays.from_numpy(np.asarray(array), value.dtype)
        for value, array in given.items()
    }
    try:
        numbers = np.asarray(graph.arrays.to_numpy(replay(graph, inputs, native)[0]))
        valid = np.array(compute(numbers))
    except Exception:  # a layer may refuse what it is given by any exception
        return None
    return ~valid.astype(bool) if valid.ndim == 2 else None


def _made(told_by: str, padded: NDArray[np.bool_]) -> Padding:
    """Where all is padded, or nothing, the later half of every second sample is taken for it."""
    some = bool(padded.any(1).any() and not padded.all(1).any())
    if not some:
        length = padded.shape[-1]
        padded = np.zeros_like(padded)
        padded[::2, (length + 1) // 2 :] = True
    return Padding(told_by, padded, some)
