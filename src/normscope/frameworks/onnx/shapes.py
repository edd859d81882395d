"""Shapes and dtypes of what a node makes, before it is run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import defs, helper, numpy_helper, shape_inference

from normscope.frameworks.onnx.evaluation import np_dtype, per_group, type_of
from normscope.frameworks.onnx.operators.applied import Made
from normscope.graph.operators import Value
from normscope.wording import one_line


class MisfitError(Exception):
    """The operands do not fit the operator; the text says why."""


def schema_of(node: Any, version: int) -> Any | None:
    """What ONNX knows of an operator; None if it does not know it."""
    try:
        return defs.get_schema(
            node.op_type, version, "" if node.domain == "ai.onnx" else node.domain
        )
    except defs.SchemaError:
        return None


def inferred(
    node: Any,
    schema: Any,
    places: Sequence[Value | None],
    known: Mapping[int, NDArray[Any]],
    versions: Mapping[str, int],
) -> list[Made | None]:
    """Of each output that is not left out; None for what depends on the numbers themselves.

    Args:
        node: the node; no graphs inside.
        schema: of its operator.
        places: its operands.
        known: the numbers of some of them, by place.
        versions: of the operators, by domain.

    Raises:
        MisfitError: the operands do not fit.
    """
    x = places[0] if places else None
    if per_group(node, versions) and x is not None:
        return [(x.shape, x.dtype)]
    types = {
        name: type_of(value)
        for name, value in zip(node.input, places, strict=True)
        if value is not None
    }
    data = {node.input[place]: numpy_helper.from_array(array) for place, array in known.items()}
    imports = [helper.make_opsetid(domain, version) for domain, version in versions.items()]
    try:
        found = shape_inference.infer_node_outputs(schema, node, types, data, opset_imports=imports)
    except Exception as error:  # of bytes that anybody wrote
        raise MisfitError(one_line(error, 200)) from error
    return [_made(found.get(name)) for name in node.output if name]


def _made(kind: Any) -> Made | None:
    if kind is None or kind.WhichOneof("value") != "tensor_type":
        return None
    tensor = kind.tensor_type
    if not tensor.elem_type or not tensor.HasField("shape"):
        return None
    if not all(dim.HasField("dim_value") for dim in tensor.shape.dim):
        return None
    name = helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    return tuple(int(dim.dim_value) for dim in tensor.shape.dim), name


def function_of(node: Any, schema: Any, version: int, places: Sequence[Value | None]) -> Any | None:
    """The function by which ONNX defines an operator, from other operators; None without one."""
    if schema is None:
        return None
    body: Any = None
    if schema.has_context_dependent_function:
        known = schema.context_dependent_function_opset_versions
        usable = [v for v in known if v <= version] or known[:1]
        types = [b"" if v is None else type_of(v).SerializeToString() for v in places]
        body = schema.get_context_dependent_function_with_opset_version(
            max(usable), node.SerializeToString(), types
        )
    elif schema.has_function:
        usable = [v for v in schema.function_opset_versions if v <= version]
        body = schema.get_function_with_opset_version(max(usable)) if usable else None
    if not body:
        return None
    found = onnx.FunctionProto()
    found.ParseFromString(body if isinstance(body, bytes) else body.SerializeToString())
    for attribute in schema.attributes.values():
        if attribute.default_value.name:
            found.attribute_proto.append(attribute.default_value)
    if all(entry.domain for entry in found.opset_import):
        found.opset_import.append(helper.make_opsetid("", defs.onnx_opset_version()))
    return found


def declared(graph: Any, given: Mapping[str, tuple[int, ...]]) -> dict[str, Made]:
    """What a file states of its values, where it is known in numbers.

    Args:
        graph: of the file.
        given: the shapes of the inputs, from which the symbols are known.
    """
    symbols: dict[str, int] = {}
    for value in graph.input:
        dims = value.type.tensor_type.shape.dim
        for dim, size in zip(dims, given.get(value.name, ()), strict=False):
            if dim.dim_param:
                symbols[dim.dim_param] = size
    found: dict[str, Made] = {}
    for value in (*graph.value_info, *graph.output):
        tensor = value.type.tensor_type
        sizes = [
            dim.dim_value if dim.HasField("dim_value") else symbols.get(dim.dim_param, -1)
            for dim in tensor.shape.dim
        ]
        if tensor.HasField("shape") and tensor.elem_type and min(sizes, default=0) >= 0:
            name = helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
            found[value.name] = (tuple(map(int, sizes)), name)
    return found


def bytes_of(made: Made) -> int:
    """What a result takes in memory."""
    shape, dtype = made
    return prod(shape) * (8 if dtype == "object" else np_dtype(dtype).itemsize)


def largest(results: Sequence[Made]) -> int:
    """The most elements that one of these has."""
    return max((prod(shape) for shape, _ in results), default=0)
