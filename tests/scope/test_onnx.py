"""ONNX models: each node is a submodule."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from normscope import SpecError
from normscope.scope import scope

X = np.random.default_rng(0).normal(size=(3, 5))
IDS = np.random.default_rng(0).integers(0, 7, (3, 5))


def model(axis: int) -> onnx.ModelProto:
    """Embedded tokens plus x, minus the mean over an axis."""
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["embedded"], name="embed"),
        helper.make_node("Add", ["embedded", "x"], ["sum"], name="add"),
        helper.make_node("ReduceMean", ["sum", "axes"], ["mean"], name="mean"),
        helper.make_node("Sub", ["sum", "mean"], ["y"], name="centre"),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [
            helper.make_tensor_value_info("ids", TensorProto.INT64, ["b", 5]),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["b", 5]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(np.linspace(-1, 1, 7, dtype=np.float32), "table"),
            numpy_helper.from_array(np.array([axis]), "axes"),
        ],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    made.ir_version = 10
    return made


def test_a_model_that_mixes_samples() -> None:
    made = model(axis=0)
    before = made.SerializeToString()
    for inputs in ((IDS, X), {"ids": IDS, "x": X}):
        found = scope(made, inputs, all_axes=True)
        assert found.samples_independent["inference"] is False
        assert str(found.first["inference"]) == "mean (ReduceMean)"
        assert found.axes["inference"]["ids"]["output.y"] == {"b": "shared", "d1": "independent"}
    assert made.SerializeToString() == before


def test_one_that_does_not() -> None:
    found = scope(model(axis=1), (IDS, X), all_axes=True)
    assert found.samples_independent["inference"] is True
    assert found.axes["inference"]["x"]["output.y"] == {"b": "independent", "d1": "shared"}


def test_inputs_have_to_be_all() -> None:
    with pytest.raises(SpecError, match="has the inputs ids and x, and 1 input came"):
        scope(model(axis=1), IDS)


def test_a_node() -> None:
    """A node is a model of one operator; its other inputs have the usual values."""
    node = helper.make_node("LayerNormalization", ["x", "scale"], ["y"], axis=-1)
    assert scope(node, X).samples_independent["inference"] is True
    node = helper.make_node("BatchNormalization", [*"xsbmv"], ["y", "m2", "v2"], training_mode=1)
    found = scope(node, np.random.default_rng(0).normal(size=(4, 5)))
    assert found.one_mode
    assert found.samples_independent["training"] is False


def test_a_model_that_does_not_run_is_refused() -> None:
    made = model(axis=1)
    made.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(SpecError, match=r"onnxruntime cannot run this model: .*NoSuchOperator"):
        scope(made, (IDS, X))
