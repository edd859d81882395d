"""ONNX models, run by onnxruntime; every value between two nodes can be made an output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
import onnxruntime

from normscope.errors import SpecError
from normscope.frameworks.inputs import Inputs, Passing
from normscope.frameworks.layer import Array
from normscope.frameworks.model import Model
from normscope.frameworks.steps import Recorder
from normscope.wording import counted, listed


class OnnxModel(Model):
    """A model, called with the values of its inputs by name, or in their order."""

    def __init__(self, model: Any) -> None:
        self.model = model
        constant = {value.name for value in model.graph.initializer}
        self.dtypes = {
            i.name: onnx.helper.tensor_dtype_to_np_dtype(i.type.tensor_type.elem_type)
            for i in model.graph.input
            if i.name not in constant
        }
        self.names = list(self.dtypes)
        self.outputs = [output.name for output in model.graph.output]
        self.session = _session(model)
        self.recorder: Recorder | None = None
        title = f"ONNX model {model.graph.name}"
        super().__init__(title, "ONNX model", (False,), [], self.session.run)

    def inputs(self, given: Any) -> Inputs:
        """The inputs by name, in the dtypes that the model states."""
        if not isinstance(given, Mapping):
            values = given if isinstance(given, tuple | list) else [given]
            if len(values) != len(self.names):
                raise SpecError(
                    f"the ONNX model has the inputs {listed(self.names)}, and "
                    f"{counted(len(values), 'input')} came"
                )
            given = dict(zip(self.names, values, strict=True))
        if set(given) != set(self.names):
            wrong = [name for name in given if name not in self.names]
            missing = [name for name in self.names if name not in given]
            problem = f"no input {listed(wrong, 'or')}" if wrong else f"no {listed(missing)} given"
            raise SpecError(
                f"the ONNX model has the inputs {listed(self.names)}: {problem}; on the command "
                f"line write --input {self.names[0]}=4,8"
            )
        arrays = {
            name: np.asarray(value).astype(self.dtypes.get(name)) for name, value in given.items()
        }
        return Inputs(arrays, self._function, Passing.NAMED)

    def leaf(self, original: Any, value: Array) -> Any:
        """New values as a NumPy array, which onnxruntime takes."""
        return np.asarray(super().leaf(original, value))

    def call(self, arguments: tuple[Any, ...], named: dict[str, Any], training: bool) -> Any:
        """One run."""
        if self.recorder is None:
            return dict(zip(self.outputs, self.session.run(self.outputs, named), strict=True))
        return self._node_by_node(named, self.recorder)

    @contextmanager
    def watched(self, recorder: Recorder) -> Iterator[None]:
        """Within, every value of the graph is an output, and each node a submodule."""
        self.recorder, plain = recorder, self.session
        open_model = onnx.ModelProto()
        open_model.CopyFrom(self.model)
        known = {*self.outputs, *self.names}
        for node in self.model.graph.node:
            for name in node.output:
                if name and name not in known:
                    open_model.graph.output.append(onnx.ValueInfoProto(name=name))
        self.session = _session(open_model)
        try:
            yield
        finally:
            self.recorder, self.session = None, plain

    def _node_by_node(self, named: dict[str, Any], recorder: Recorder) -> dict[str, Any]:
        names = [output.name for output in self.session.get_outputs()]
        values = {**named, **dict(zip(names, self.session.run(names, named), strict=True))}
        for node in self.model.graph.node:
            recorder.enter(node.name or node.output[0], node.op_type, _of(values, node.input))
            recorder.leave(_of(values, node.output))
        return _of(values, self.outputs)


def _of(values: Mapping[str, Any], names: Any) -> dict[str, Any]:
    return {name: values[name] for name in names if name in values}


def _session(model: Any) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # warnings about the model are not what was asked for
    # fused nodes would hide what is between them
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
