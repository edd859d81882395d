"""Inputs of the shapes that an ONNX model states, with numbers in the place of symbols."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.errors import SpecError

SAMPLES = 4
_STEPS = 8
POSITIONS = (64, 224, 32)
"""Lengths of images that are tried in turn: networks that halve them often need enough."""

MOST_AXES = 64
"""That an array of NumPy can have."""

_MANY = 2**26
"""So many elements may an input have that is made up."""

_PASSING = frozenset({"Cast", "Identity", "Reshape", "Unsqueeze", "Squeeze", "Flatten", "Expand"})
"""Through these an integer comes as it is to a table."""


def example(
    graph: Any, dtypes: Mapping[str, np.dtype[Any]], positions: int
) -> dict[str, NDArray[Any]] | None:
    """One array for each input; None where an input has no shape, or holds texts.

    Numbers are random; integers are below the length of the table that they choose from.

    Args:
        graph: of the model.
        dtypes: of its inputs, by name.
        positions: the length of images, where it is open.

    Raises:
        SpecError: an input would be too large.
    """
    random = np.random.default_rng(0)
    sizes: dict[str, int] = {}
    found: dict[str, NDArray[Any]] = {}
    for value in graph.input:
        if value.name not in dtypes:
            continue
        tensor, dtype = value.type.tensor_type, dtypes[value.name]
        if not tensor.HasField("shape") or dtype.kind in "OUSc":
            return None
        if len(tensor.shape.dim) > MOST_AXES:
            raise SpecError(
                f"the ONNX model states that {value.name!r:.60} has {len(tensor.shape.dim)} axes; "
                f"an array has at most {MOST_AXES}"
            )
        image = len(tensor.shape.dim) >= 4 and dtype.kind not in "iub"
        shape = [
            _size(dim, axis, sizes, positions if image and axis >= 2 else _STEPS)
            for axis, dim in enumerate(tensor.shape.dim)
        ]
        if prod(shape) > _MANY:
            raise SpecError(
                f"the ONNX model states that {value.name!r:.60} has the shape {tuple(shape)}, "
                "which is too large to be made up; give inputs"
            )
        found[value.name] = _numbers(value.name, tuple(shape), dtype, graph, random)
    return found or None


def is_open(graph: Any, dtypes: Mapping[str, np.dtype[Any]]) -> bool:
    """Whether the length of images is not stated."""
    return any(
        value.name in dtypes
        and any(not dim.dim_value for dim in value.type.tensor_type.shape.dim[2:4])
        for value in graph.input
    )


def _size(dim: Any, axis: int, sizes: dict[str, int], usual: int) -> int:
    """The length of an axis; that of a sum of symbols, as exporters write it, is their sum."""
    if dim.dim_value > 0:
        return int(dim.dim_value)
    usual = SAMPLES if axis == 0 or "batch" in dim.dim_param.lower() else usual
    if not dim.dim_param:
        return usual
    parts = [part.strip() for part in dim.dim_param.split("+")]
    return sum(
        int(part) if part.isdigit() and len(part) < 6 else sizes.setdefault(part, usual)
        for part in parts
    )


def _numbers(
    name: str, shape: tuple[int, ...], dtype: np.dtype[Any], graph: Any, random: Any
) -> NDArray[Any]:
    if dtype.kind == "b" or (dtype.kind in "iu" and "mask" in name.lower()):
        return np.ones(shape, dtype)
    if dtype.kind in "iu":
        return np.asarray(random.integers(0, min(_tables(graph, name), default=2), shape), dtype)
    return np.asarray(random.normal(size=shape)).astype(dtype)


def _tables(graph: Any, name: str) -> Iterator[int]:
    """The lengths of the tables from which an input chooses."""
    held = {tensor.name: tensor for tensor in graph.initializer}
    names = {name}
    for node in graph.node:
        if node.op_type in _PASSING and node.input[:1] and node.input[0] in names:
            names.update(node.output)
        elif node.op_type == "Gather" and node.input[1:2] and node.input[1] in names:
            table = held.get(node.input[0])
            axis = next((a.i for a in node.attribute if a.name == "axis"), 0)
            if table is not None and -len(table.dims) <= axis < len(table.dims):
                yield max(int(table.dims[axis]), 1)
        elif node.op_type == "EmbedLayerNormalization":
            for place, table_place in ((0, 2), (1, 4)):
                if len(node.input) > table_place and node.input[place] in names:
                    table = held.get(node.input[table_place])
                    if table is not None and table.dims:
                        yield max(int(table.dims[0]), 1)
