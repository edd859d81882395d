"""Inputs of the shapes that an ONNX model states, and what is said of it without any."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper, parser

from normscope.audit import audit
from normscope.frameworks.onnx.live import OnnxLive
from normscope.frameworks.registry import live_of


def live(model: onnx.ModelProto) -> OnnxLive:
    """The model, called with its own example."""

    def first(live: Any) -> Any:
        return live.inputs(live.example()).arguments(live.leaf)

    made = live_of(model, first, "{kind}")
    assert isinstance(made, OnnxLive)
    return made


def language_model() -> onnx.ModelProto:
    """Words and places are looked up, masked and normalized."""
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["": 18]>
        g (int64[batch, sequence] input_ids, int64[batch, sequence] attention_mask,
           int64[1, sequence] position_ids, float[batch, "past + sequence"] past)
          => (float[batch, sequence, 3] y) {
            w = Gather (words, input_ids) p = Gather (places, position_ids) s = Add (w, p)
            f = Cast <to = 1> (attention_mask) z = Constant <value_ints = [-1]> ()
            u = Unsqueeze (f, z) m = Mul (s, u) y = LayerNormalization (m, scale) }""".replace(
            '"past + sequence"', "past_and_sequence"
        )
    )
    dims = model.graph.input[3].type.tensor_type.shape.dim
    dims[1].dim_param = "past + sequence"
    for name, shape in {"words": (5, 3), "places": (9, 3), "scale": (3,)}.items():
        model.graph.initializer.append(numpy_helper.from_array(np.ones(shape, np.float32), name))
    return model


def test_symbols_are_numbers_and_integers_fit_their_tables() -> None:
    made = live(language_model())
    found = made.example()
    assert found is not None
    assert {name: array.shape for name, array in found.items()} == {
        "input_ids": (4, 8),
        "attention_mask": (4, 8),
        "position_ids": (1, 8),
        "past": (4, 16),
    }
    assert found["input_ids"].max() < 5
    assert found["position_ids"].max() < 9
    assert (found["attention_mask"] == 1).all()
    assert "the inputs are made up, in shapes that the file allows" in made.notes[0]


def test_images_are_as_large_as_the_model_needs() -> None:
    weight = numpy_helper.from_array(np.ones((2, 3, 1, 1), np.float32), "w")
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["": 18]> g (float[n, 3, height, width] x) =>
          (float[n, 2, a, b] y) { s = Constant <value_ints = [0, 2, 224, 224]> ()
            c = Conv (x, w) y = Reshape (c, s) }"""
    )
    model.graph.initializer.append(weight)
    found = live(model).example()
    assert found is not None
    assert found["x"].shape == (4, 3, 224, 224)


def test_a_model_without_shapes_has_no_example() -> None:
    model = parser.parse_model(
        '<ir_version: 8, opset_import: ["": 18]> g (float[4] x) => (float[4] y) { y = Relu (x) }'
    )
    model.graph.input[0].type.tensor_type.ClearField("shape")
    x = np.ones((2, 4), np.float32)
    made = live_of(model, lambda live: live.inputs(x).arguments(live.leaf), "{kind}")
    assert made.example() is None


def test_a_file_is_audited_without_inputs(tmp_path: Path) -> None:
    onnx.save(language_model(), str(tmp_path / "m.onnx"))
    found = audit(str(tmp_path / "m.onnx")).to_dict()
    (layer,) = found["layers"]
    assert layer["operator"] == "LayerNormalization"
    assert layer["spec_infer"]["pattern"] == "b s [c]"
    assert found["model"]["samples"]["inference"]["verdict"] == "proved apart"


def test_a_file_that_trains_has_one_verdict(tmp_path: Path) -> None:
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["": 18]> g (float[n, 2] x) => (float[n, 2] y) {
        y, m, v = BatchNormalization <training_mode = 1> (x, scale, bias, mean, var) }"""
    )
    for name in ("scale", "bias", "mean", "var"):
        model.graph.initializer.append(numpy_helper.from_array(np.ones(2, np.float32), name))
    onnx.save(model, str(tmp_path / "m.onnx"))
    samples = audit(str(tmp_path / "m.onnx")).to_dict()["model"]["samples"]
    assert {samples[mode]["verdict"] for mode in ("training", "inference")} == {"mixed"}


def test_an_operator_that_nobody_knows_is_named(tmp_path: Path) -> None:
    node = helper.make_node("Magic", ["n"], ["z"], domain="my.plugin")
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["": 18, "my.plugin": 1]> g (float[n, 2] x) =>
        (float[n, 2] y) { n = LayerNormalization (x, s) y = Add (n, n) }"""
    )
    model.graph.initializer.append(numpy_helper.from_array(np.ones(2, np.float32), "s"))
    model.graph.node.insert(1, node)
    model.graph.node[2].input[1] = "z"
    onnx.save(model, str(tmp_path / "m.onnx"))
    found = audit(str(tmp_path / "m.onnx"))
    assert "my.plugin.Magic" in str(found)
    samples = found.to_dict()["model"]["samples"]["inference"]
    assert samples["verdict"] == "unknown"
    assert len(found.to_dict()["layers"]) == 1
