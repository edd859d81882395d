"""ONNX models and nodes, run by onnxruntime. The initializers are its parameters."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from normscope.frameworks.layer import Adapter, Array

_OPSET = 23  # the first with RMSNormalization


class OnnxAdapter(Adapter):
    """A model with one input besides those held fixed; a bare node becomes such a model.

    The running statistics that a batch normalization in training mode returns are its state.
    """

    def __init__(self, model: Any, shape: tuple[int, ...], inputs: dict[str, Any]) -> None:
        if isinstance(model, onnx.NodeProto):
            model = _model_of(model, shape, inputs)
            title = f"ONNX {model.graph.node[0].op_type}"
        else:
            title = f"ONNX model {model.graph.name}"
        graph = model.graph
        arrays = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
        self.values: dict[str, Array] = {
            name: np.array(value) for name, value in arrays.items() if value.dtype.kind == "f"
        }
        free = [i.name for i in graph.input if i.name not in arrays]
        self.inputs = {name: np.asarray(inputs[name]) for name in free if name in inputs}
        self.x_name = next(name for name in free if name not in inputs)
        self.state = _running_outputs(graph)
        training = bool(self.state) or any(_trains(node) for node in graph.node)
        kind = next(i.type.tensor_type.elem_type for i in graph.input if i.name == self.x_name)
        known = np.dtype(helper.tensor_dtype_to_np_dtype(kind))
        super().__init__(title, known, (True,) if training else (False,))
        running = {name for node in graph.node for name in _running_inputs(node)}
        self.learned = frozenset(set(self.values) - running)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = (
            3  # it warns of initializers that are inputs, as is wanted here
        )
        self.session = onnxruntime.InferenceSession(
            _with_inputs(model, self.values).SerializeToString(),
            options,
            providers=["CPUExecutionProvider"],
        )
        self.outputs = [graph.output[0].name, *self.state]

    def call(self, x: Array, training: bool) -> Array:
        """The output for one input."""
        first, *running = self.session.run(
            self.outputs, {self.x_name: x, **self.inputs, **self.values}
        )
        for output, value in zip(self.state, running, strict=True):
            self.values[self.state[output]] = value
        return np.array(first)

    def arrays(self) -> dict[str, Array]:
        """Parameters and state by name."""
        return {name: value.copy() for name, value in self.values.items()}

    def write(self, name: str, value: Array) -> None:
        """Replace one array."""
        self.values[name] = np.array(value, self.values[name].dtype)


def _with_inputs(model: Any, values: dict[str, Array]) -> Any:
    """The model with its initializers as inputs too, so that other values can be given."""
    open_model = onnx.ModelProto()
    open_model.CopyFrom(model)
    known = {i.name for i in model.graph.input}
    for name, value in values.items():
        if name not in known:
            kind = helper.np_dtype_to_tensor_dtype(value.dtype)
            open_model.graph.input.append(helper.make_tensor_value_info(name, kind, value.shape))
    have = {output.name for output in model.graph.output}
    for output, source in _running_outputs(model.graph).items():
        if output not in have and source in values:
            kind = helper.np_dtype_to_tensor_dtype(values[source].dtype)
            info = helper.make_tensor_value_info(output, kind, values[source].shape)
            open_model.graph.output.append(info)
    return open_model


def _trains(node: Any) -> bool:
    return node.op_type == "BatchNormalization" and any(
        attribute.name == "training_mode" and attribute.i for attribute in node.attribute
    )


def _running_inputs(node: Any) -> list[str]:
    return list(node.input[3:5]) if node.op_type == "BatchNormalization" else []


def _running_outputs(graph: Any) -> dict[str, str]:
    """The outputs that hold new running statistics, and the inputs that hold the old ones."""
    found: dict[str, str] = {}
    for node in graph.node:
        if _trains(node) and len(node.output) >= 3:
            found.update(zip(node.output[1:3], node.input[3:5], strict=True))
    return found


def _model_of(node: Any, shape: tuple[int, ...], inputs: dict[str, Any]) -> Any:
    x_name, *names = [name for name in node.input if name]
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    arrays = {
        name: np.asarray(inputs.pop(name, _usual_parameter(node.op_type, shape, attributes)))
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
    """Ones, in the shape that a parameter of an operator has; `inputs` gives other values."""
    if kind in ("LayerNormalization", "RMSNormalization"):
        return np.ones(shape[attributes.get("axis", -1) :])
    return np.ones(shape[1] if len(shape) > 1 else math.prod(shape))
