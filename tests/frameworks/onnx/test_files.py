"""ONNX files: large arrays stay in them, and whatever is wrong with one is one clear line."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from frameworks.onnx.programs import X, model_of, saved
from normscope.errors import ModelFileError
from normscope.frameworks.onnx.file import onnx_model
from normscope.frameworks.onnx.tensors import Tensors
from normscope.frameworks.onnx.trace import trace
from normscope.frameworks.onnx.wire import LARGE, DamagedError, without_large_arrays
from normscope.graph.operators import CannotTraceError
from normscope.graph.replay import replay

WEIGHT = np.random.default_rng(0).normal(size=(256, 256)).astype(np.float32)


def large(*more: Any, constant: bool = False) -> onnx.ModelProto:
    """x times a large matrix, which is held by the graph or by a node."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    held = [numpy_helper.from_array(WEIGHT, "w")]
    if constant:
        nodes.insert(0, helper.make_node("Constant", [], ["w"], value=held.pop()))
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "g", [info("x", 1, ["b", 256])], [info("y", 1, ["b", 256])], [*held, *more]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 10
    return model


@pytest.mark.parametrize("constant", [False, True])
def test_large_arrays_stay_in_the_file(tmp_path: Path, constant: bool) -> None:
    file = onnx_model(saved(large(constant=constant), tmp_path / "m.onnx"))
    assert file.model.ByteSize() < 1000
    x = np.ones((4, 256), np.float32)
    graph = trace(file.model, {"x": x}, Tensors(file.path))
    weight = graph.nodes[0].operands[1]
    assert weight.data is not None
    array = weight.data()
    np.testing.assert_array_equal(array, WEIGHT)
    assert not array.flags.owndata
    assert not array.flags.writeable
    np.testing.assert_allclose(replay(graph, graph.outputs, {graph.inputs[0]: x})[0], x @ WEIGHT)


def test_nothing_large_is_read_to_follow_a_model(tmp_path: Path) -> None:
    other = numpy_helper.from_array(np.zeros((2048, 2048), np.float32), "unused")
    path = saved(large(other), tmp_path / "m.onnx")
    x = np.ones((4, 256), np.float32)
    onnx_model(path)  # what is imported and cached counts for nothing
    tracemalloc.start()
    file = onnx_model(path)
    trace(file.model, {"x": x}, Tensors(file.path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20 < path.stat().st_size // 10


def test_numbers_that_are_not_raw_stay_in_the_file_too(tmp_path: Path) -> None:
    tensor = helper.make_tensor("v", TensorProto.FLOAT, WEIGHT.shape, WEIGHT.ravel())
    file = onnx_model(saved(large(tensor), tmp_path / "m.onnx"))
    assert file.model.ByteSize() < 1000
    held = next(t for t in file.model.graph.initializer if t.name == "v")
    np.testing.assert_array_equal(Tensors(file.path).array(held), WEIGHT)


def test_the_model_is_the_same_otherwise() -> None:
    model = large(constant=True)
    model.graph.initializer.append(numpy_helper.from_array(np.arange(5), "small"))
    data = memoryview(model.SerializeToString())
    small = onnx.ModelProto.FromString(without_large_arrays(data, "m.onnx"))
    tensor = small.graph.node[0].attribute[0].t
    place = {entry.key: entry.value for entry in tensor.external_data}
    first = int(place["offset"])
    tensor.raw_data = bytes(data[first : first + int(place["length"])])
    del tensor.external_data[:]
    tensor.ClearField("data_location")
    assert small == model
    assert len(tensor.raw_data) >= LARGE


def test_bytes_that_are_no_message() -> None:
    for data in (b"\xff" * 20, b"\x3a\xff\xff\xff\x7f", b"\x00"):
        with pytest.raises(DamagedError):
            without_large_arrays(memoryview(data), "m.onnx")


def test_arrays_in_another_file_of_the_folder(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(large(), str(path), save_as_external_data=True, location="w.bin", size_threshold=0)
    file = onnx_model(path)
    np.testing.assert_array_equal(Tensors(file.path).array(file.model.graph.initializer[0]), WEIGHT)


OUTSIDE = ["../w.bin", "/etc/hostname", "sub/../../w.bin", "link/w.bin", "missing.bin", "", "a\0b"]


@pytest.mark.parametrize("location", OUTSIDE)
def test_arrays_outside_of_the_folder_are_not_read(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "w.bin").write_bytes(WEIGHT.tobytes())
    (folder / "link").symlink_to(tmp_path)
    (folder / "sub").mkdir()
    model = large()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    path = folder / "m.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelFileError, match="the data of tensor 'w'") as raised:
        onnx_model(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("offset", "-4", "have no place"),
        ("offset", "1" * 30, "have no place"),
        ("offset", "262144", "end after those of w.bin"),
        ("length", "12", "longer than its data"),
    ],
)
def test_a_place_of_arrays_that_cannot_be(tmp_path: Path, key: str, value: str, said: str) -> None:
    (tmp_path / "w.bin").write_bytes(WEIGHT.tobytes())
    model = large()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="w.bin")
    tensor.external_data.add(key=key, value=value)
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelFileError, match=said):
        onnx_model(path)


def _declares_too_much(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[0] = 10**12


def _negative(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[0] = -1


def _of_no_type(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_type = 99


def _without_weight(model: onnx.ModelProto) -> None:
    del model.graph.initializer[:]


def _circle(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = "z"
    model.graph.node.append(helper.make_node("Relu", ["y"], ["z"]))


def _twice(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Relu", ["x"], ["y"]))


def _no_output(model: onnx.ModelProto) -> None:
    model.graph.output[0].name = "elsewhere"


def _endless(model: onnx.ModelProto) -> None:
    inner = helper.make_node("f", ["a"], ["b"], domain="d")
    imports = [helper.make_opsetid("d", 1)]
    model.functions.append(helper.make_function("d", "f", ["a"], ["b"], [inner], imports))
    model.opset_import.append(imports[0])


def _doubling(model: onnx.ModelProto) -> None:
    """Forty functions, each of which calls the one before it twice."""
    imports = [helper.make_opsetid("d", 1), helper.make_opsetid("", 18)]
    for n in range(40):
        first = ("Relu", "") if n == 0 else (f"f{n - 1}", "d")
        steps = [
            helper.make_node(first[0], ["a"], ["b"], domain=first[1]),
            helper.make_node(first[0], ["b"], ["c"], domain=first[1]),
        ]
        model.functions.append(helper.make_function("d", f"f{n}", ["a"], ["c"], steps, imports))
    model.graph.node.append(helper.make_node("f39", ["x"], ["z"], domain="d"))
    model.opset_import.append(imports[0])


DAMAGED = {
    _declares_too_much: "tensor 'w' is longer than its data",
    _negative: "length below 0",
    _of_no_type: "no type of ONNX: 99",
    _without_weight: "nothing makes 'w'",
    _circle: "wait for each other in a circle",
    _twice: "'y' is made twice",
    _no_output: "nothing makes the output 'elsewhere'",
    _endless: "the function 'f' calls itself",
    _doubling: "with its functions written out it has",
}


@pytest.mark.parametrize("damage", DAMAGED, ids=lambda damage: damage.__name__.strip("_"))
def test_a_damaged_file_is_one_clear_line(tmp_path: Path, damage: Any) -> None:
    model = large()
    damage(model)
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelFileError, match=DAMAGED[damage]) as raised:
        onnx_model(path)
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith(str(path))


def test_cut_and_garbled_files_raise_nothing_else(tmp_path: Path) -> None:
    """Whatever the bytes, the answer is a model or one clear line."""
    whole = bytearray(
        model_of("c = Constant <value_ints = [1]> () y = ReduceMean (x, c)").SerializeToString()
    )
    random = np.random.default_rng(0)
    path = tmp_path / "m.onnx"
    refused = 0
    for trial in range(300):
        data = bytearray(whole)
        for place in random.integers(0, len(data), 1 + trial % 4):
            data[place] = random.integers(256)
        path.write_bytes(data[: random.integers(len(data))] if trial % 5 == 0 else data)
        try:
            file = onnx_model(path)
            trace(file.model, {"x": X}, Tensors(path))
        except (ModelFileError, CannotTraceError):
            refused += 1
    assert refused > 50


def test_nodes_in_no_order_are_put_in_order(tmp_path: Path) -> None:
    model = model_of("a = Relu (x) y = Neg (a)")
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    file = onnx_model(saved(model, tmp_path / "m.onnx"))
    graph = trace(file.model, {"x": X}, Tensors(file.path))
    assert [node.operator for node in graph.nodes] == ["Relu", "Neg"]


def test_a_model_whose_arrays_were_not_loaded_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(large(), str(path), save_as_external_data=True, location="w.bin", size_threshold=0)
    model = onnx.load(str(path), load_external_data=False)
    graph = trace(model, {"x": np.ones((4, 256), np.float32)}, Tensors())
    weight = graph.nodes[0].operands[1]
    assert weight.data is not None
    with pytest.raises(
        ModelFileError, match=r"give the path of the model, or load it with onnx\.load"
    ):
        weight.data()
