"""ONNX files are opened; other texts and classes are refused with a way on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, save

import normscope as ns
from normscope.errors import MissingPackageError, ModelFileError, SpecError

X = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    scale = helper.make_tensor("scale", TensorProto.FLOAT, [8], np.ones(8, np.float32))
    graph = helper.make_graph(
        [helper.make_node("LayerNormalization", ["x", "scale"], ["y"], epsilon=1e-3)],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 8])],
        [scale],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    path = tmp_path / "layer.onnx"
    save(model, str(path))
    return path


@pytest.mark.parametrize("given", [str, Path])
def test_an_onnx_file_is_opened(layer: Path, given: Callable[[Path], Any]) -> None:
    found = ns.identify(given(layer), (3, 8), axes="b c")
    assert found.infer is not None
    assert (found.infer.pattern, round(found.infer.eps, 9)) == ("b [c]", 1e-3)
    assert ns.scope(given(layer), X).samples_independent["inference"]


def test_a_wrong_input_of_an_onnx_model_lists_its_own(layer: Path) -> None:
    with pytest.raises(SpecError, match="has the inputs x: no input y"):
        ns.scope(layer, {"y": X})


@pytest.mark.parametrize("content", [b"", b"import os\n", b"\x00" * 64, b"\x08\x07" * 10])
def test_a_file_that_is_none_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    for ask in (lambda: ns.identify(path, (3, 8)), lambda: ns.scope(path, X)):
        with pytest.raises(ModelFileError, match="is not an ONNX model"):
            ask()


def test_a_missing_file_is_named_once(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError) as error:
        ns.scope(tmp_path / "model.onnx", X)
    assert str(error.value).count("model.onnx") == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("torch.nn.LayerNorm(8)", "without quotes"),
        ("b [c]", "without quotes"),
        ("model.h5", "load_model('model.h5')"),
        ("weights.pt", "torch.load('weights.pt')"),
    ],
)
def test_other_texts_say_what_to_give(text: str, said: str) -> None:
    for ask in (lambda: ns.identify(text, (3, 8)), lambda: ns.scope(text, X)):
        with pytest.raises(SpecError) as error:
            ask()
        assert said in str(error.value)


def test_a_class_is_not_its_instance() -> None:
    import torch

    for ask in (
        lambda: ns.identify(torch.nn.GroupNorm, (3, 8)),
        lambda: ns.scope(torch.nn.GroupNorm, X),
    ):
        with pytest.raises(SpecError, match=r"write GroupNorm\(num_groups=\.\.\., num_channels"):
            ask()


def test_without_onnx_the_command_that_installs_it_is_named(
    layer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(MissingPackageError, match="pip install onnx onnxruntime"):
        ns.scope(layer, X)
