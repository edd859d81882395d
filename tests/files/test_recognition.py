"""What a file is, is told by its content; whoever opens one says it, and what takes it."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import onnx
import pytest
import torch
from onnx import helper

import normscope as ns
from budget import budget
from normscope import ModelFileError
from normscope.files.recognition import (
    HDF5,
    JSON,
    ONNX,
    SAFETENSORS,
    TORCH_CHECKPOINT,
    TORCH_LEGACY,
    FileKind,
    recognise,
)

KERAS_3 = {"module": "keras", "class_name": "Sequential", "registered_name": None}


def archive(*names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as opened:
        for name in names:
            opened.writestr(name, b"{}")
    return stream.getvalue()


def keras_3_weights() -> bytes:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file.create_group("layers")
    return stream.getvalue()


def saved(save: Callable[[io.BytesIO], object]) -> bytes:
    stream = io.BytesIO()
    save(stream)
    return stream.getvalue()


def onnx_model() -> bytes:
    float_32 = onnx.TensorProto.FLOAT
    ends = [helper.make_tensor_value_info(name, float_32, [2, 3]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", ends[:1], ends[1:])
    return helper.make_model(graph).SerializeToString()


def torch_saved(new: bool) -> bytes:
    weights = {"w": torch.zeros(3)}
    return saved(lambda f: torch.save(weights, f, _use_new_zipfile_serialization=new))


def safetensors() -> bytes:
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(4)


# what is in the file: what it is called, what else must be said
FILES: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "torchscript": (
        lambda: archive("m/constants.pkl", "m/data.pkl", "m/code/__torch__.py"),
        "a TorchScript model",
        "torch.jit.load",
    ),
    "exported torch": (
        lambda: archive("m/archive_format"),
        "holds 0 exported programs",
        "torch.export.save of torch 2.8",
    ),
    "keras 3": (
        lambda: archive("metadata.json", "config.json", "model.weights.h5"),
        "a .keras archive of Keras 3",
        "holds no settings of a model",
    ),
    "keras 3 json": (
        lambda: json.dumps(KERAS_3 | {"config": {"layers": []}}).encode(),
        "its model has no layers",
        "",
    ),
    "keras 2 json": (
        lambda: json.dumps({"class_name": "Functional", "config": {"layers": []}}).encode(),
        "its model has no layers",
        "",
    ),
    "keras 2 json that says so": (
        lambda: json.dumps(
            {"class_name": "Model", "config": {}, "keras_version": "2.2.4"}
        ).encode(),
        "its model has no layers",
        "",
    ),
    "keras 3 weights": (keras_3_weights, "a file of weights of Keras 3", "model.load_weights"),
    "npz": (lambda: saved(lambda f: np.savez(f, x=np.ones(3))), "NumPy arrays (.npz)", "no arch"),
    "npy": (lambda: saved(lambda f: np.save(f, np.ones(3))), "of NumPy (.npy)", "ns.normalize"),
    "pickle": (lambda: pickle.dumps({"a": 1}), "a pickle of Python", "never done here"),
    "saved model": (lambda: b"\x08\x01\x12\x02ab", "the graph of a SavedModel", "TensorFlow"),
    "tflite": (lambda: b"\x1c\0\0\0TFL3" + bytes(99), "a TensorFlow Lite model", "ns.scope"),
    "gguf": (lambda: b"GGUF\3\0\0\0", "a GGUF file", "no architecture"),
    "png": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(9), "a PNG image", "no model"),
    "gzip": (lambda: b"\x1f\x8b\x08" + bytes(9), "gzip", "unpack it"),
    "zip": (lambda: archive("a.txt"), "a zip archive, but not of a model", "unpack it"),
    "cut zip": (lambda: archive("config.json")[:40], "a damaged or very large zip", "get it anew"),
    "pointer": (lambda: b"version https://git-lfs.github.com/spec/v1\n", "Git LFS", "git lfs pull"),
    "page": (lambda: b"<!DOCTYPE html><html>", "an HTML page", "get it anew"),
    "yaml": (lambda: b"class_name: Sequential\nconfig: []\n", "a YAML text", "model.to_json()"),
    "python": (lambda: b"import torch\nnet = 1\n", "Python source", ":net --shape"),
    "empty": (lambda: b"", "an empty file", "get it anew"),
    "text": (lambda: b"hello", "a text", "only files of Keras 1"),
    "noise": (
        lambda: bytes(range(255, 150, -1)),
        "a file of unknown kind",
        "only files of Keras 1",
    ),
    "zip behind something": (
        lambda: b"#!" + archive("config.json"),
        "unknown kind",
        "only files of Keras 1",
    ),
}


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize("name", FILES)
def test_audit_says_what_a_file_is_and_what_takes_it(
    tmp_path: Path, name: str, suffix: str
) -> None:
    data, kind, advice = FILES[name]
    path = tmp_path / f"model{suffix}"  # the name says nothing
    path.write_bytes(data())
    with budget(), pytest.raises(ModelFileError) as raised:
        ns.audit(path)
    message = str(raised.value)
    assert kind in message
    assert advice in message
    assert message.isprintable()
    assert "Error" not in message


def test_folders_are_recognised_too(tmp_path: Path) -> None:
    assert recognise(str(tmp_path)).name == "a folder"
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(ModelFileError, match="a SavedModel folder of TensorFlow"):
        ns.audit(tmp_path)


READ: dict[str, tuple[Callable[[], bytes], FileKind]] = {
    "torch": (lambda: torch_saved(True), TORCH_CHECKPOINT),
    "old torch": (lambda: torch_saved(False), TORCH_LEGACY),
    "onnx": (onnx_model, ONNX),
    "safetensors": (safetensors, SAFETENSORS),
}


@pytest.mark.parametrize("name", READ)
def test_what_is_read_is_told_by_its_content(tmp_path: Path, name: str) -> None:
    data, kind = READ[name]
    path = tmp_path / "model.h5"  # the name says nothing
    path.write_bytes(data())
    assert recognise(str(path)) is kind


def test_what_is_read_is_known_by_its_start(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for start, kind in ((b"\x89HDF\r\n\x1a\n", HDF5), (b"\xef\xbb\xbf {", JSON), (b"[", JSON)):
        path.write_bytes(start)
        assert recognise(str(path)) is kind


@pytest.mark.parametrize("name", ["missing", "a\0b"])
def test_what_cannot_be_opened(name: str) -> None:
    with pytest.raises(ModelFileError, match="cannot be opened"):
        recognise(name)
