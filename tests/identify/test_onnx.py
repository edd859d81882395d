"""The normalization operators of ONNX, as onnxruntime computes them."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from identified import identified_as
from normscope import NormSpec, Running
from normscope.identify import identify

SHAPE, NAMES = (4, 8, 5, 6), "b c h w"
BOTH = {"scale": "c", "bias": "c"}
RMS = {"center": False, "measure": "mean_square"}

OPERATORS = {
    "InstanceNormalization": (["x", "s", "b"], {}, NormSpec("b c [h w]", **BOTH)),
    "LayerNormalization": (["x", "s", "b"], {}, NormSpec("b c h [w]", scale="w", bias="w")),
    "LayerNormalization over two": (
        ["x", "s", "b"],
        {"axis": 2, "epsilon": 1e-3},
        NormSpec("b c [h w]", eps=1e-3, scale="h w", bias="h w"),
    ),
    "GroupNormalization": (
        ["x", "s", "b"],
        {"num_groups": 4},
        NormSpec("b (g [c]) [h w]", sizes={"g": 4}, scale="g c", bias="g c"),
    ),
    "RMSNormalization": (["x", "s"], {}, NormSpec("b c h [w]", scale="w", **RMS)),
    "LpNormalization of order 2": (
        ["x"],
        {"axis": 1, "p": 2},
        NormSpec("b [c] h w", center=False, measure="l2", eps=0, unit_below=0),
    ),
    "LpNormalization of order 1": (
        ["x"],
        {"axis": 1, "p": 1},
        NormSpec("b [c] h w", center=False, measure="l1", eps=0, unit_below=0),
    ),
    "MeanVarianceNormalization": (["x"], {}, NormSpec("[b] c [h w]", eps=0)),
    "BatchNormalization": (
        ["x", "s", "b", "m", "v"],
        {},
        NormSpec(None, running=Running(1.0), **BOTH),
    ),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_operators(name: str) -> None:
    inputs, attributes, expected = OPERATORS[name]
    node = helper.make_node(name.split()[0], inputs, ["y"], **attributes)
    identified_as(expected, node, SHAPE, NAMES)


def test_batch_normalization_in_training() -> None:
    node = helper.make_node(
        "BatchNormalization",
        ["x", "s", "b", "m", "v"],
        ["y", "m2", "v2"],
        training_mode=1,
        momentum=0.8,
    )
    found = identify(node, SHAPE, NAMES)
    assert found.train == NormSpec("[b] c [h w]", running=Running(0.8), **BOTH)


def test_a_model_is_not_changed() -> None:
    node = helper.make_node("InstanceNormalization", ["x", "s", "b"], ["y"])
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node],
        "one",
        [info("x", 1, SHAPE)],
        [info("y", 1, SHAPE)],
        [onnx.numpy_helper.from_array(np.ones(8, np.float32), name) for name in "sb"],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)])
    model.ir_version = 10
    before = model.SerializeToString()
    assert identify(model, SHAPE, NAMES).train == NormSpec("b c [h w]", **BOTH)
    assert model.SerializeToString() == before


@pytest.mark.parametrize(
    ("name", "attributes"), [("LRN", {"size": 3}), ("Softmax", {}), ("Relu", {})]
)
def test_decoys(name: str, attributes: dict[str, int]) -> None:
    assert identify(helper.make_node(name, ["x"], ["y"], **attributes), SHAPE).train is None
