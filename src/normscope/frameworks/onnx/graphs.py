"""Graphs of ONNX made from others: of one node, with open initializers, with all values shown."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from normscope.frameworks.trees import Array

_OPSET = 23  # the first with RMSNormalization


def with_open_initializers(model: Any, values: dict[str, Array]) -> Any:
    """The model with its initializers as inputs too, so that other values can be given.

    The new running statistics become outputs, where they are none.
    """
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    known = {i.name for i in model.graph.input}
    for name, value in values.items():
        if name not in known:
            kind = helper.np_dtype_to_tensor_dtype(value.dtype)
            opened.graph.input.append(helper.make_tensor_value_info(name, kind, value.shape))
    have = {output.name for output in model.graph.output}
    for output, source in running_outputs(model.graph).items():
        if output not in have and source in values:
            kind = helper.np_dtype_to_tensor_dtype(values[source].dtype)
            info = helper.make_tensor_value_info(output, kind, values[source].shape)
            opened.graph.output.append(info)
    return opened


def with_all_values(model: Any) -> Any:
    """The model with everything that its nodes compute as outputs."""
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    known = {value.name for value in (*model.graph.input, *model.graph.output)}
    for node in model.graph.node:
        for name in node.output:
            if name and name not in known:
                opened.graph.output.append(onnx.ValueInfoProto(name=name))
    return opened


def model_of_node(node: Any, shape: tuple[int, ...], given: dict[str, Any]) -> Any:
    """A model of one node.

    Args:
        node: its first input is that of the model, the others are initializers.
        shape: of the input.
        given: values of the other inputs; of those left out the usual ones.
    """
    x_name, *names = [name for name in node.input if name]
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    arrays = {
        name: np.asarray(given.get(name, _usual_parameter(node.op_type, shape, attributes)))
        for name in names
    }
    arrays = {name: value.astype(np.float32) for name, value in arrays.items()}
    graph = helper.make_graph(
        [node],
        node.op_type,
        [helper.make_tensor_value_info(x_name, onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(node.output[0], onnx.TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)])
    model.ir_version = 10  # what onnxruntime reads may be older than what onnx writes
    return model


def _usual_parameter(kind: str, shape: tuple[int, ...], attributes: dict[str, Any]) -> Array:
    """Ones, in the shape that a parameter of an operator has."""
    if kind in ("LayerNormalization", "RMSNormalization"):
        return np.ones(shape[attributes.get("axis", -1) :])
    return np.ones(shape[1] if len(shape) > 1 else math.prod(shape))


def trains(node: Any) -> bool:
    """Whether a node is a batch normalization in training mode."""
    return node.op_type == "BatchNormalization" and any(
        attribute.name == "training_mode" and attribute.i for attribute in node.attribute
    )


def running_inputs(node: Any) -> list[str]:
    """The inputs of a node that hold running statistics."""
    return list(node.input[3:5]) if node.op_type == "BatchNormalization" else []


def running_outputs(graph: Any) -> dict[str, str]:
    """The outputs that hold new running statistics, and the inputs that hold the old ones."""
    found: dict[str, str] = {}
    for node in graph.node:
        if trains(node) and len(node.output) >= 3 and len(node.input) >= 5:
            found.update(zip(node.output[1:3], node.input[3:5], strict=True))
    return found
