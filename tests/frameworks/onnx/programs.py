"""Models of ONNX as text, as graphs; what they do is measured against what is proved."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import parser

from normscope.frameworks.onnx.tensors import Tensors
from normscope.frameworks.onnx.trace import trace
from normscope.graph.operators import Graph
from normscope.graph.replay import replay

Array = NDArray[Any]

X = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)

_KINDS = {"float32": "float", "int64": "int64", "bool": "bool"}


def model_of(body: str, x: Array = X, opset: int = 18, more: str = "") -> Any:
    """A model of x to y, in the text form of ONNX; nothing is said of the shape of y."""
    shape = ",".join(map(str, x.shape))
    model = parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : {opset}, "com.microsoft" : 1, "local" : 1, '
        f'"other" : 1]> g ({_KINDS[x.dtype.name]}[{shape}] x) => (float y) {{ {body} }} {more}'
    )
    model.graph.output[0].type.Clear()
    return model


def traced(body: str, x: Array = X, opset: int = 18, more: str = "") -> Graph:
    """Its graph."""
    return trace(model_of(body, x, opset, more), {"x": x}, Tensors())


def outputs(graph: Graph, x: Array) -> list[Array]:
    """What the nodes of a graph compute."""
    return [np.asarray(array) for array in replay(graph, graph.outputs, {graph.inputs[0]: x})]


def by_runtime(model: Any, feeds: dict[str, Array]) -> list[Array]:
    """What onnxruntime computes."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString())
    return [np.asarray(array) for array in session.run(None, feeds)]


def coupled(model: Any, x: Array) -> bool:
    """Whether onnxruntime shows that a sample of y changes with another sample of x."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString())
    random = np.random.default_rng(1)
    (before,) = session.run(None, {"x": x})
    for sample in range(len(x)):
        for size in (0.1, 3):
            changed = x.copy()
            other = random.normal(size=x.shape[1:]) * size
            changed[sample] = other if x.dtype.kind == "f" else random.integers(0, 3, x.shape[1:])
            (after,) = session.run(None, {"x": changed})
            if after.shape != before.shape:
                return True
            moved = (before != after).reshape(len(before), -1).any(1)
            if len(before) != len(x) or moved[np.arange(len(x)) != sample].any():
                return True
    return False


def saved(model: onnx.ModelProto, path: Any) -> Any:
    """The path of a file with a model."""
    onnx.save(model, str(path))
    return path
