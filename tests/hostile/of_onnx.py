"""ONNX models: what lies outside of them, sizes, names, graphs in circles, and damaged messages."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from hostile.case import Expected, Family, Place

FAMILY = Family("ONNX")
Model = Any


def _onnx() -> tuple[Any, Any, Any]:
    import onnx
    from onnx import helper, numpy_helper

    return onnx, helper, numpy_helper


def value(name: str, shape: Sequence[int | str | None], kind: int = 1) -> Any:
    """What a graph takes or gives; 1 is float32."""
    _, helper, _ = _onnx()
    return helper.make_tensor_value_info(name, kind, shape)


def array(name: str, numbers: Any) -> Any:
    """An array that a graph holds."""
    return _onnx()[2].from_array(np.asarray(numbers), name)


def node(kind: str, inputs: Sequence[str], outputs: Sequence[str], **settings: Any) -> Any:
    """An operator."""
    return _onnx()[1].make_node(kind, inputs, outputs, **settings)


def model_of(
    nodes: Sequence[Any],
    *,
    inputs: Sequence[Any] = (),
    outputs: Sequence[Any] = (),
    arrays: Sequence[Any] = (),
    functions: Sequence[Any] = (),
    opsets: Sequence[tuple[str, int]] = (("", 18),),
) -> Model:
    """A model with the input x, of shape (2, 3, 8, 8), and the output y."""
    _, helper, _ = _onnx()
    graph = helper.make_graph(
        nodes,
        "net",
        inputs or [value("x", (2, 3, 8, 8))],
        outputs or [value("y", (2, 3, 8, 8))],
        arrays,
    )
    made = helper.make_model(
        graph, functions=functions, opset_imports=[helper.make_opsetid(*one) for one in opsets]
    )
    made.ir_version = 10
    return made


def norm_model(**how: Any) -> Model:
    """A model of one instance normalization."""
    arrays = [array("scale", np.ones(3, "f4")), array("bias", np.zeros(3, "f4"))]
    nodes = [node("InstanceNormalization", ["x", "scale", "bias"], ["y"], name="/norm/In")]
    return model_of(nodes, arrays=arrays, **how)


def _file(place: Place, model: Model, name: str = "net.onnx") -> Path:
    return place.file(name, model.SerializeToString())


def _external(model: Model, name: str, **entries: str) -> Model:
    """An array whose numbers are said to be elsewhere."""
    onnx, _, _ = _onnx()
    for tensor in model.graph.initializer:
        if tensor.name == name:
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            del tensor.external_data[:]
            for key, text in entries.items():
                entry = tensor.external_data.add()
                entry.key, entry.value = key, text
    return model


# --- good ones ------------------------------------------------------------------------------------


@FAMILY.good("as it is written", "norm")
def _plain(place: Place) -> Path:
    return _file(place, norm_model())


@FAMILY.good("another ending", "norm")
def _ending(place: Place) -> Path:
    return _file(place, norm_model(), "net.bin")


@FAMILY.good("numbers in a file of the folder", "norm")
def _beside(place: Place) -> Path:
    place.file("net.data", np.ones(3, "f4").tobytes())
    return _file(place, _external(norm_model(), "scale", location="net.data"))


@FAMILY.good("numbers in a subfolder, at a place", "norm")
def _below(place: Place) -> Path:
    place.file("data/w.bin", bytes(64) + np.ones(3, "f4").tobytes())
    where = {"location": "data/w.bin", "offset": "64", "length": "12"}
    return _file(place, _external(norm_model(), "scale", **where))


@FAMILY.good("numbers in a file at ./", "norm")
def _dot(place: Place) -> Path:
    place.file("net.data", np.ones(3, "f4").tobytes())
    return _file(place, _external(norm_model(), "scale", location="./net.data"))


@FAMILY.good("an operator of a domain that is not known")
def _unknown_domain(place: Place) -> Path:
    nodes = [
        node("InstanceNormalization", ["x", "scale", "bias"], ["h"]),
        node("Evil", ["h"], ["y"], domain="com.evil", path="/etc/passwd", command="touch x"),
    ]
    arrays = [array("scale", np.ones(3, "f4")), array("bias", np.zeros(3, "f4"))]
    return _file(place, model_of(nodes, arrays=arrays, opsets=(("", 18), ("com.evil", 1))))


@FAMILY.good("large arrays, one of them of doubles", "norm")
def _large(place: Place) -> Path:
    model = norm_model()
    model.graph.initializer.append(array("unused", np.ones(100_000)))
    model.graph.initializer.append(array("unused too", np.ones(100_000, "f4")))
    return _file(place, model)


# --- what lies outside ----------------------------------------------------------------------------


def _locations() -> dict[str, Callable[[Place], str]]:
    return {
        "../": lambda place: f"{place.up}/secret",
        "an absolute path": lambda place: str(place.outside / "secret"),
        "../ behind a folder": lambda place: f"data/../{place.up}/secret",
        "backslashes": lambda place: place.up.replace("/", "\\") + "\\secret",
        "a drive": lambda place: "C:\\secret",
        "a URL": lambda place: "http://localhost:9/secret",
        "a URL of a file": lambda place: f"file://{place.outside}/secret",
        "a host": lambda place: "\\\\localhost\\share\\secret",
        "NUL": lambda place: "net.data\0/../../../outside/secret",
        "nothing": lambda place: "",
        "a dot": lambda place: ".",
        "a file that is not there": lambda place: "gone",
        "a name of 10 MB": lambda place: "x" * 10**7,
        "a name with escapes": lambda place: "\x1b[2J\nnormscope: fine",
        "/dev/zero": lambda place: "/dev/zero",
        "the home folder": lambda place: "~/secret",
        "a variable": lambda place: "$HOME/secret",
        "the file itself": lambda place: "net.onnx",
        "a wildcard": lambda place: "*",
    }


def _location_cases() -> None:
    for name, location in _locations().items():
        expected = Expected.EITHER if name == "the file itself" else Expected.REFUSED

        def write(place: Place, location: Callable[[Place], str] = location) -> Path:
            return _file(place, _external(norm_model(), "scale", location=location(place)))

        FAMILY.add(f"numbers at {name}", write, expected)

    for name, entries in {
        "a huge offset": {"offset": str(2**62)},
        "an offset of many digits": {"offset": "9" * 5000},
        "a negative offset": {"offset": "-4"},
        "an offset that is no number": {"offset": "0x10"},
        "a huge length": {"length": str(2**62)},
        "a length that is too short": {"length": "4"},
        "a negative length": {"length": "-1"},
        "an offset in other digits": {"offset": "٣"},
    }.items():

        def place_it(place: Place, entries: dict[str, str] = entries) -> Path:
            place.file("net.data", np.ones(3, "f4").tobytes())
            return _file(place, _external(norm_model(), "scale", location="net.data", **entries))

        expected = Expected.EITHER if name == "a huge length" else Expected.REFUSED
        FAMILY.add(f"numbers at {name}", place_it, expected)


_location_cases()


@FAMILY.hostile("numbers behind a link that leads out")
def _link(place: Place) -> Path:
    (place.folder / "net.data").symlink_to(place.outside / "secret")
    return _file(place, _external(norm_model(), "scale", location="net.data"))


@FAMILY.hostile("numbers in a folder behind a link")
def _folder_link(place: Place) -> Path:
    (place.folder / "data").symlink_to(place.outside)
    return _file(place, _external(norm_model(), "scale", location="data/secret"))


@FAMILY.hostile("numbers in a link to itself")
def _loop(place: Place) -> Path:
    (place.folder / "net.data").symlink_to("net.data")
    return _file(place, _external(norm_model(), "scale", location="net.data"))


@FAMILY.hostile("numbers in a pipe")
def _pipe(place: Place) -> Path:
    os.mkfifo(place.folder / "net.data")
    return _file(place, _external(norm_model(), "scale", location="net.data"))


@FAMILY.hostile("numbers in a link to /dev/zero")
def _zero(place: Place) -> Path:
    (place.folder / "net.data").symlink_to("/dev/zero")
    return _file(place, _external(norm_model(), "scale", location="net.data"))


@FAMILY.hostile("numbers in a folder")
def _folder(place: Place) -> Path:
    (place.folder / "net.data").mkdir()
    return _file(place, _external(norm_model(), "scale", location="net.data"))


def _outside_tensor(place: Place) -> Any:
    onnx, _, _ = _onnx()
    tensor = onnx.TensorProto(name="far", data_type=1, dims=[3])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", f"{place.up}/secret"
    return tensor


@FAMILY.hostile("numbers outside in a Constant")
def _constant(place: Place) -> Path:
    nodes = [
        node("Constant", [], ["far"], value=_outside_tensor(place)),
        node("InstanceNormalization", ["x", "far", "far"], ["y"]),
    ]
    return _file(place, model_of(nodes))


@FAMILY.hostile("numbers outside in a branch")
def _branch(place: Place) -> Path:
    _, helper, _ = _onnx()
    inner = [node("InstanceNormalization", ["x", "far", "far"], ["b"])]
    far = _outside_tensor(place)
    graphs = [
        helper.make_graph(inner, name, [], [value("b", (2, 3, 8, 8))], [far]) for name in "ab"
    ]
    nodes = [node("If", ["c"], ["y"], then_branch=graphs[0], else_branch=graphs[1])]
    return _file(place, model_of(nodes, arrays=[array("c", np.array(True))]))


@FAMILY.hostile("numbers outside in a function")
def _in_function(place: Place) -> Path:
    _, helper, _ = _onnx()
    inner = [
        node("Constant", [], ["far"], value=_outside_tensor(place)),
        node("InstanceNormalization", ["a", "far", "far"], ["b"]),
    ]
    opsets = [helper.make_opsetid("", 18)]
    function = helper.make_function("own", "Norm", ["a"], ["b"], inner, opsets)
    nodes = [node("Norm", ["x"], ["y"], domain="own")]
    return _file(place, model_of(nodes, functions=[function], opsets=(("", 18), ("own", 1))))


@FAMILY.hostile("numbers outside in a sparse array")
def _sparse(place: Place) -> Path:
    onnx, _, _ = _onnx()
    model = norm_model()
    del model.graph.initializer[0]
    sparse = onnx.SparseTensorProto(dims=[3])
    far = _outside_tensor(place)
    far.name = "scale"
    sparse.values.CopyFrom(far)
    sparse.indices.CopyFrom(array("places", np.arange(3)))
    model.graph.sparse_initializer.append(sparse)
    return _file(place, model)


@FAMILY.hostile("indices outside in a sparse array")
def _sparse_indices(place: Place) -> Path:
    onnx, _, _ = _onnx()
    model = norm_model()
    del model.graph.initializer[0]
    sparse = onnx.SparseTensorProto(dims=[3])
    sparse.values.CopyFrom(array("scale", np.ones(3, "f4")))
    far = _outside_tensor(place)
    far.data_type = 7
    sparse.indices.CopyFrom(far)
    model.graph.sparse_initializer.append(sparse)
    return _file(place, model)


@FAMILY.hostile("a sparse array of 2**60 numbers")
def _sparse_huge(place: Place) -> Path:
    onnx, _, _ = _onnx()
    model = norm_model()
    del model.graph.initializer[0]
    sparse = onnx.SparseTensorProto(dims=[2**30, 2**30])
    sparse.values.CopyFrom(array("scale", np.ones(3, "f4")))
    sparse.indices.CopyFrom(array("places", np.arange(3)))
    model.graph.sparse_initializer.append(sparse)
    return _file(place, model)


@FAMILY.odd("numbers outside in the information for training")
def _training(place: Place) -> Path:
    model = norm_model()
    info = model.training_info.add()
    info.algorithm.initializer.append(_outside_tensor(place))
    return _file(place, model)


# --- graphs ---------------------------------------------------------------------------------------


def _in_steps(kind: str, count: int, last: str = "y", **settings: Any) -> list[Any]:
    names = ["x", *(f"h{n}" for n in range(count - 1)), last]
    return [node(kind, [a], [b], **settings) for a, b in pairwise(names)]


def _function(name: str, calls: Sequence[str], domain: str = "own") -> Any:
    _, helper, _ = _onnx()
    names = ["a", *(f"h{n}" for n in range(len(calls) - 1)), "b"]
    inner = [
        node(call, [names[n]], [names[n + 1]], domain="" if call == "Relu" else domain)
        for n, call in enumerate(calls)
    ]
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(domain, 1)]
    return helper.make_function(domain, name, ["a"], ["b"], inner, opsets)


def _called(function: str, functions: Sequence[Any]) -> Model:
    return model_of(
        [node(function, ["x"], ["y"], domain="own")],
        functions=functions,
        opsets=(("", 18), ("own", 1)),
    )


def _branches(depth: int) -> Model:
    _, helper, _ = _onnx()
    out = [value("b", (2, 3, 8, 8))]
    graph = helper.make_graph([node("Relu", ["x"], ["b"])], "g", [], out)
    for _ in range(depth):
        inner = node("If", ["c"], ["b"], then_branch=graph, else_branch=graph)
        if inner.ByteSize() > 2**22:  # each level holds the last one twice
            inner = node("If", ["c"], ["b"], then_branch=graph)
        graph = helper.make_graph([inner], "g", [], out)
    whole = node("If", ["c"], ["y"], then_branch=graph, else_branch=graph)
    return model_of([whole], arrays=[array("c", np.array(True))])


def _narrow_branches(depth: int) -> bytes:
    """Graphs inside of each other, more of them than a message of protobuf may hold."""

    def field(number: int, content: bytes) -> bytes:
        return _varint(number << 3 | 2) + _varint(len(content)) + content

    graph = b""
    for _ in range(depth):
        attribute = field(1, b"then_branch") + field(6, graph) + b"\xa0\x01\x05"
        graph = field(1, field(4, b"If") + field(5, attribute))
    whole = model_of([node("Relu", ["x"], ["y"])]).SerializeToString()
    return whole + field(7, graph)


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def _loop_model(count: int, size: int = 8) -> Model:
    _, helper, _ = _onnx()
    body = helper.make_graph(
        [node("Identity", ["go"], ["go_on"]), node("Relu", ["h"], ["h_out"])],
        "body",
        [value("i", (), 7), value("go", (), 9), value("h", (2, 3, size, size))],
        [value("go_on", (), 9), value("h_out", (2, 3, size, size))],
    )
    arrays = [array("count", np.array(count)), array("yes", np.array(True))]
    nodes = [node("Loop", ["count", "yes", "x"], ["y"], body=body)]
    return model_of(nodes, arrays=arrays)


def _growing_loop() -> Model:
    """A value that doubles in each of a thousand rounds."""
    _, helper, _ = _onnx()
    body = helper.make_graph(
        [node("Identity", ["go"], ["go_on"]), node("Concat", ["h", "h"], ["h_out"], axis=0)],
        "body",
        [value("i", (), 7), value("go", (), 9), value("h", (None, 3, 8, 8))],
        [value("go_on", (), 9), value("h_out", (None, 3, 8, 8))],
    )
    arrays = [array("count", np.array(1000)), array("yes", np.array(True))]
    return model_of([node("Loop", ["count", "yes", "x"], ["y"], body=body)], arrays=arrays)


def _made_large(kind: str, sizes: Sequence[int]) -> Model:
    """A small constant that an operator makes large."""
    nodes = [
        node(kind, ["sizes"], ["h"])
        if kind == "ConstantOfShape"
        else node(kind, ["one", "sizes"], ["h"]),
        node("Add", ["x", "h"], ["y"]),
    ]
    one = np.ones((1,) * len(sizes), "f4")
    return model_of(nodes, arrays=[array("sizes", np.array(sizes, "i8")), array("one", one)])


def _doubling(count: int) -> Model:
    """Each operator makes its input twice as long."""
    names = ["x", *(f"h{n}" for n in range(count - 1)), "y"]
    nodes = [node("Concat", [a, a], [b], axis=0) for a, b in pairwise(names)]
    return model_of(nodes, outputs=[value("y", (None, 3, 8, 8))])


def _with_tensor(**fields: Any) -> Model:
    """The model whose scale has other fields."""
    model = norm_model()
    tensor = model.graph.initializer[0]
    for key, own in fields.items():
        if isinstance(own, list):
            tensor.ClearField(key)
            getattr(tensor, key).extend(own)
        elif own is None:
            tensor.ClearField(key)
        else:
            setattr(tensor, key, own)
    return model


def _with_input(shape: Sequence[int | str | None], kind: int = 1) -> Model:
    return norm_model(inputs=[value("x", shape, kind)], outputs=[value("y", None)])  # type: ignore[arg-type]


def _models() -> dict[str, tuple[Callable[[], Model], Expected]]:
    refused, either, read = Expected.REFUSED, Expected.EITHER, Expected.READ
    return {
        "a node that takes its own result": (
            lambda: model_of([node("Add", ["x", "y"], ["y"])]),
            refused,
        ),
        "nodes in a circle": (
            lambda: model_of(
                [
                    node("Add", ["x", "b"], ["a"]),
                    node("Relu", ["a"], ["b"]),
                    node("Relu", ["b"], ["y"]),
                ]
            ),
            refused,
        ),
        "100,000 nodes in a circle": (
            lambda: model_of(
                [
                    node("Add", ["x", "h9999"], ["h0"]),
                    *(node("Relu", [f"h{n}"], [f"h{n + 1}"]) for n in range(9999)),
                    node("Relu", ["h9999"], ["y"]),
                ]
            ),
            refused,
        ),
        "nodes in the opposite order": (lambda: model_of(_in_steps("Relu", 2000)[::-1]), either),
        "a name made twice": (
            lambda: model_of([node("Relu", ["x"], ["y"]), node("Neg", ["x"], ["y"])]),
            refused,
        ),
        "a name that nothing makes": (lambda: model_of([node("Relu", ["gone"], ["y"])]), refused),
        "an output that nothing makes": (lambda: model_of([node("Relu", ["x"], ["z"])]), refused),
        "no nodes": (lambda: model_of([]), refused),
        "no inputs": (
            lambda: model_of(
                [node("ConstantOfShape", ["s"], ["y"])], arrays=[array("s", np.array([2, 3]))]
            ),
            either,
        ),
        "a function that calls itself": (lambda: _called("f", [_function("f", ["f"])]), refused),
        "functions that call each other": (
            lambda: _called("f", [_function("f", ["g"]), _function("g", ["f"])]),
            refused,
        ),
        "functions that double, forty deep": (
            lambda: _called(
                "f40",
                [
                    _function("f0", ["Relu"]),
                    *(_function(f"f{n}", [f"f{n - 1}"] * 2) for n in range(1, 41)),
                ],
            ),
            refused,
        ),
        "functions in functions, 200 deep": (
            lambda: _called(
                "f200",
                [
                    _function("f0", ["Relu"]),
                    *(_function(f"f{n}", [f"f{n - 1}"]) for n in range(1, 201)),
                ],
            ),
            either,
        ),
        "functions that are 100,000 operators": (
            lambda: _called(
                "f5",
                [
                    _function("f0", ["Relu"] * 10),
                    *(_function(f"f{n}", [f"f{n - 1}"] * 6) for n in range(1, 6)),
                ],
            ),
            either,
        ),
        "two functions of one name": (
            lambda: _called("f", [_function("f", ["Relu"]), _function("f", ["f"])]),
            refused,
        ),
        "a function in the place of an operator": (
            lambda: model_of(
                [node("Relu", ["x"], ["y"])], functions=[_function("Relu", ["Relu"], "")]
            ),
            either,
        ),
        "branches in branches, ten deep": (lambda: _branches(10), either),
        "a loop of 2**62 rounds": (lambda: _loop_model(2**62), either),
        "a loop of ten million rounds": (lambda: _loop_model(10**7), either),
        "a loop of -1 rounds": (lambda: _loop_model(-1), either),
        "a loop whose value doubles": (_growing_loop, either),
        "values that double, forty times": (lambda: _doubling(40), refused),
        "values that double, nineteen times": (lambda: _doubling(19), either),
        "a constant of 2**40 numbers": (
            lambda: _made_large("ConstantOfShape", [2**20, 2**20]),
            refused,
        ),
        "a constant of 2**62 numbers": (lambda: _made_large("ConstantOfShape", [2**62]), refused),
        "a constant of 2**64 numbers": (
            lambda: _made_large("ConstantOfShape", [2**32, 2**32]),
            refused,
        ),
        "a constant of -5 numbers": (lambda: _made_large("ConstantOfShape", [-5]), refused),
        "a constant of 300 MB": (lambda: _made_large("ConstantOfShape", [75_000_000, 1]), either),
        "a number expanded 2**40 times": (
            lambda: _made_large("Expand", [2**20, 1, 2**20, 1]),
            refused,
        ),
        "a number tiled 2**40 times": (lambda: _made_large("Tile", [2**20, 1, 2**20, 1]), refused),
        "a range of 2**60": (
            lambda: model_of(
                [
                    node("Range", ["a", "b", "c"], ["h"]),
                    node("Cast", ["h"], ["k"], to=1),
                    node("Add", ["x", "k"], ["y"]),
                ],
                arrays=[array(n, np.array(v)) for n, v in (("a", 0), ("b", 2**60), ("c", 1))],
            ),
            refused,
        ),
        "a range of steps of 0": (
            lambda: model_of(
                [
                    node("Range", ["a", "b", "c"], ["h"]),
                    node("Cast", ["h"], ["k"], to=1),
                    node("Add", ["x", "k"], ["y"]),
                ],
                arrays=[array(n, np.array(v)) for n, v in (("a", 0), ("b", 8), ("c", 0))],
            ),
            refused,
        ),
        "one-hot of depth 2**40": (
            lambda: model_of(
                [node("OneHot", ["i", "d", "v"], ["h"]), node("Add", ["x", "h"], ["y"])],
                arrays=[
                    array("i", np.arange(8)),
                    array("d", np.array(2**40)),
                    array("v", np.array([0, 1], "f4")),
                ],
            ),
            refused,
        ),
        "padding of 2**40": (
            lambda: model_of(
                [node("Pad", ["x", "p"], ["y"])],
                arrays=[array("p", np.array([0, 0, 0, 2**40, 0, 0, 0, 0]))],
            ),
            refused,
        ),
        "padding of -100": (
            lambda: model_of(
                [node("Pad", ["x", "p"], ["y"])],
                arrays=[array("p", np.array([0, 0, 0, -100, 0, 0, 0, 0]))],
            ),
            refused,
        ),
        "resized a million times": (
            lambda: model_of(
                [node("Resize", ["x", "", "s"], ["y"])],
                arrays=[array("s", np.array([1, 1, 1e6, 1e6], "f4"))],
            ),
            refused,
        ),
        "resized by NaN": (
            lambda: model_of(
                [node("Resize", ["x", "", "s"], ["y"])],
                arrays=[array("s", np.array([1, 1, np.nan, np.inf], "f4"))],
            ),
            refused,
        ),
        "reshaped to what it does not hold": (
            lambda: model_of(
                [node("Reshape", ["x", "s"], ["y"])], arrays=[array("s", np.array([7, 11]))]
            ),
            refused,
        ),
        "a convolution of stride 0": (
            lambda: model_of(
                [node("Conv", ["x", "w"], ["y"], strides=[0, 0])],
                arrays=[array("w", np.ones((3, 3, 3, 3), "f4"))],
            ),
            refused,
        ),
        "a convolution of negative padding": (
            lambda: model_of(
                [node("Conv", ["x", "w"], ["y"], pads=[-9] * 4)],
                arrays=[array("w", np.ones((3, 3, 3, 3), "f4"))],
            ),
            refused,
        ),
        "a convolution of dilation 2**62": (
            lambda: model_of(
                [node("Conv", ["x", "w"], ["y"], dilations=[2**62] * 2)],
                arrays=[array("w", np.ones((3, 3, 3, 3), "f4"))],
            ),
            refused,
        ),
        "pooling of a window of 2**40": (
            lambda: model_of([node("MaxPool", ["x"], ["y"], kernel_shape=[2**40] * 2)]),
            refused,
        ),
        "gathering at -2**62": (
            lambda: model_of(
                [node("Gather", ["x", "i"], ["y"], axis=0)],
                arrays=[array("i", np.array([-(2**62)]))],
            ),
            either,
        ),
        "a slice of steps of 0": (
            lambda: model_of(
                [node("Slice", ["x", "a", "b", "c", "d"], ["y"])],
                arrays=[
                    array(n, np.array([v])) for n, v in (("a", 0), ("b", 5), ("c", 2), ("d", 0))
                ],
            ),
            refused,
        ),
        "a permutation with one axis twice": (
            lambda: model_of([node("Transpose", ["x"], ["y"], perm=[0, 0, 1, 2])]),
            refused,
        ),
        "a permutation of axis 99": (
            lambda: model_of([node("Transpose", ["x"], ["y"], perm=[0, 1, 2, 99])]),
            refused,
        ),
        "a reduction of axis 2**62": (
            lambda: model_of(
                [node("ReduceMean", ["x", "a"], ["y"])], arrays=[array("a", np.array([2**62]))]
            ),
            refused,
        ),
        "a split into 2**40": (
            lambda: model_of([node("Split", ["x"], ["y"], num_outputs=2**40)]),
            refused,
        ),
        "an einsum of other axes": (
            lambda: model_of([node("Einsum", ["x"], ["y"], equation="abcdefgh->" + "z" * 100)]),
            refused,
        ),
        "an einsum of 10 MB": (
            lambda: model_of([node("Einsum", ["x"], ["y"], equation="a," * 5_000_000)]),
            refused,
        ),
        "an attribute of another type": (
            lambda: model_of([node("Softmax", ["x"], ["y"], axis="one")]),
            either,
        ),
        "an attribute that is a graph": (
            lambda: model_of(
                [node("Softmax", ["x"], ["y"], axis=model_of([node("Relu", ["x"], ["y"])]).graph)]
            ),
            either,
        ),
        "a cast to type 999": (lambda: model_of([node("Cast", ["x"], ["y"], to=999)]), refused),
        "too many operands": (lambda: model_of([node("Relu", ["x"] * 5000, ["y"])]), either),
        "no operands": (lambda: model_of([node("Add", [], ["y"])]), refused),
        "no results": (
            lambda: model_of([node("Add", ["x", "x"], []), node("Relu", ["x"], ["y"])]),
            either,
        ),
        "an operator without a name": (lambda: model_of([node("", ["x"], ["y"])]), either),
        "opset 0": (lambda: norm_model(opsets=(("", 0),)), either),
        "opset -5": (lambda: norm_model(opsets=(("", -5),)), either),
        "opset 10,000": (lambda: norm_model(opsets=(("", 10_000),)), either),
        "no opset": (lambda: norm_model(opsets=()), either),
        "two opsets of one domain": (lambda: norm_model(opsets=(("", 18), ("", 1))), either),
        "a negative dimension of an array": (lambda: _with_tensor(dims=[-3]), refused),
        "an array of 2**62 numbers": (lambda: _with_tensor(dims=[2**62]), refused),
        "an array whose size overflows": (lambda: _with_tensor(dims=[2**32, 2**32, 3]), refused),
        "an array of 1,000 axes": (lambda: _with_tensor(dims=[1] * 999 + [3]), either),
        "an array of no numbers, and 2**62": (lambda: _with_tensor(dims=[0, 2**62]), either),
        "an array that is too short": (lambda: _with_tensor(raw_data=b"\0" * 4), refused),
        "an array that is too long": (lambda: _with_tensor(raw_data=b"\0" * 400), refused),
        "an array without numbers": (lambda: _with_tensor(raw_data=None), refused),
        "an array of type 0": (lambda: _with_tensor(data_type=0), refused),
        "an array of type 999": (lambda: _with_tensor(data_type=999), refused),
        "an array of texts": (
            lambda: _with_tensor(data_type=8, raw_data=None, string_data=[b"a", b"b", b"c"]),
            refused,
        ),
        "an array of numbers in two fields": (lambda: _with_tensor(float_data=[1.0] * 3), either),
        "an array of NaN and infinity": (
            lambda: _with_tensor(raw_data=np.array([np.nan, np.inf, -1], "f4").tobytes()),
            either,
        ),
        "numbers of another type": (
            lambda: _with_tensor(raw_data=None, int64_data=[1, 2, 3]),
            refused,
        ),
        "two arrays of one name": (lambda: _twice(), either),
        "an input of 2**40 numbers": (lambda: _with_input((2**10, 3, 2**15, 2**15)), refused),
        "an input whose size overflows": (lambda: _with_input((2**32, 3, 2**32, 2**32)), refused),
        "an input of a negative length": (lambda: _with_input((-2, 3, 8, -8)), either),
        "an input of 0 samples": (lambda: _with_input((0, 3, 8, 8)), either),
        "an input of 500 axes": (lambda: _with_input((2, 3) + (1,) * 498), either),
        "an input of no axes": (lambda: _with_input(()), either),
        "an input of texts": (lambda: _with_input((2, 3, 8, 8), 8), refused),
        "an input of complex numbers": (lambda: _with_input((2, 3, 8, 8), 14), either),
        "an input of type 777": (lambda: _with_input((2, 3, 8, 8), 777), refused),
        "symbols that are sums of themselves": (
            lambda: _with_input(("n+n+n", 3, "n*n", "9999999999999")),
            either,
        ),
        "a symbol of a thousand sums": (
            lambda: _with_input(("+".join(["99999"] * 1000), 3, 8, 8)),
            refused,
        ),
        "a symbol of a million letters": (lambda: _with_input(("n" * 10**6, 3, 8, 8)), either),
        "3,000 inputs": (
            lambda: model_of(
                [node("Relu", ["x0"], ["y"])],
                inputs=[value(f"x{n}", (2, 3, 8, 8)) for n in range(3000)],
            ),
            either,
        ),
        "3,000 outputs": (
            lambda: model_of(
                [node("Relu", ["x"], [f"y{n}"]) for n in range(3000)],
                outputs=[value(f"y{n}", (2, 3, 8, 8)) for n in range(3000)],
            ),
            either,
        ),
        "5,000 operators in a row": (lambda: model_of(_in_steps("Relu", 5000)), read),
        "two inputs of one name": (
            lambda: norm_model(inputs=[value("x", (2, 3, 8, 8)), value("x", (2, 3))]),
            either,
        ),
        "an input named as an array": (
            lambda: norm_model(inputs=[value("x", (2, 3, 8, 8)), value("scale", (9,))]),
            either,
        ),
        "an empty name of an input": (
            lambda: model_of([node("Relu", [""], ["y"])], inputs=[value("", (2, 3))]),
            refused,
        ),
        "a scale of another length": (
            lambda: model_of(
                [node("InstanceNormalization", ["x", "s", "s"], ["y"])],
                arrays=[array("s", np.ones(7, "f4"))],
            ),
            either,
        ),
        "eps of NaN": (lambda: _norm_with(epsilon=float("nan")), either),
        "eps of -1": (lambda: _norm_with(epsilon=-1.0), either),
        "eps of infinity": (lambda: _norm_with(epsilon=float("inf")), either),
        "a scan of 2**40 inputs": (
            lambda: model_of(
                [
                    node(
                        "Scan",
                        ["x"],
                        ["y"],
                        num_scan_inputs=2**40,
                        body=model_of([node("Relu", ["x"], ["y"])]).graph,
                    )
                ]
            ),
            refused,
        ),
        "a scan without a body": (lambda: model_of([node("Scan", ["x"], ["y"])]), refused),
        "a loop without a body": (lambda: model_of([node("Loop", ["", "", "x"], ["y"])]), refused),
        "a branch without a condition": (
            lambda: model_of(
                [node("If", ["x"], ["y"], then_branch=model_of([node("Relu", ["x"], ["y"])]).graph)]
            ),
            either,
        ),
        "a matrix product of other sizes": (
            lambda: model_of(
                [node("MatMul", ["x", "w"], ["y"])], arrays=[array("w", np.ones((5, 5), "f4"))]
            ),
            refused,
        ),
        "an LSTM of weights of no axes": (
            lambda: model_of(
                [node("LSTM", ["x", "w", "w"], ["y"], hidden_size=4)],
                arrays=[array("w", np.array(1, "f4"))],
            ),
            refused,
        ),
        "a text split by 10 MB": (
            lambda: model_of(
                [node("RegexFullMatch", ["x"], ["y"], pattern="(a+)+" * 1000)], opsets=(("", 20),)
            ),
            refused,
        ),
    }


def _norm_with(**settings: Any) -> Model:
    arrays = [array("scale", np.ones(3, "f4")), array("bias", np.zeros(3, "f4"))]
    made = node("InstanceNormalization", ["x", "scale", "bias"], ["y"], **settings)
    return model_of([made], arrays=arrays)


def _twice() -> Model:
    model = norm_model()
    model.graph.initializer.append(array("scale", np.ones(9, "f4")))
    return model


for _name, (_model, _expected) in _models().items():

    def _write(place: Place, model: Callable[[], Model] = _model) -> Path:
        return _file(place, model())

    FAMILY.add(_name, _write, _expected)


# --- messages -------------------------------------------------------------------------------------


def _messages() -> dict[str, Callable[[], bytes]]:
    whole = lambda: norm_model().SerializeToString()  # noqa: E731
    return {
        "a field longer than the file": lambda: (
            whole()[:2] + b"\x3a\xff\xff\xff\xff\x7f" + b"x" * 99
        ),
        "a length of 2**63": lambda: b"\x08\x0a\x3a" + b"\xff" * 9 + b"\x01x",
        "a number without end": lambda: b"\x08" + b"\xff" * 100,
        "a million empty fields": lambda: whole() + b"\x3a\x00" * 10**6,
        "a million nodes without anything": lambda: (
            whole() + b"\x3a" + _varint(2 * 10**6) + b"\x0a\x00" * 10**6
        ),
        "groups": lambda: whole() + b"\x0b" * 10_000,
        "groups that end": lambda: whole() + b"\x0b" * 50 + b"\x0c" * 50,
        "field 0": lambda: whole() + b"\x02\x00",
        "graphs inside of each other, 5,000 deep": lambda: _narrow_branches(5000),
        "graphs inside of each other, 80 deep": lambda: _narrow_branches(80),
        "a text that is no UTF-8": lambda: whole().replace(b"net", b"\xff\xfe\xfd"),
        "a graph twice": lambda: whole() + whole(),
        "100 MB of zeros": lambda: whole() + bytes(10**8),
        "an array of 100 MB that is not used": lambda: (
            whole()
            + b"\x3a"
            + _varint(10**8 + 12)
            + b"\x2a"
            + _varint(10**8 + 6)
            + b"\x4a"
            + _varint(10**8)
            + bytes(10**8)
            + b"\x42"
        ),
        "only its version": lambda: b"\x08\x0a\x3a\x00",
    }


for _name, _data in _messages().items():

    def _write_bytes(place: Place, data: Callable[[], bytes] = _data) -> Path:
        return place.file("net.onnx", data())

    FAMILY.add(
        f"message: {_name}",
        _write_bytes,
        Expected.EITHER
        if _name.startswith(("a million", "a graph twice", "groups that", "a text"))
        else Expected.REFUSED,
    )


# --- other commands -------------------------------------------------------------------------------


@FAMILY.hostile("scope of numbers outside")
def _scope(place: Place) -> Sequence[str | Path]:
    made = _file(place, _external(norm_model(), "scale", location=f"{place.up}/secret"))
    return ["scope", made, "--shape", "2,3,8,8"]


@FAMILY.good("scope of a good one")
def _scope_good(place: Place) -> Sequence[str | Path]:
    return ["scope", _file(place, norm_model()), "--shape", "2,3,8,8"]


@FAMILY.hostile("scope of a graph in a circle")
def _scope_circle(place: Place) -> Sequence[str | Path]:
    made = _file(place, model_of([node("Add", ["x", "y"], ["y"])]))
    return ["scope", made, "--shape", "2,3,8,8"]


@FAMILY.hostile("identify of numbers outside")
def _identify(place: Place) -> Sequence[str | Path]:
    made = _file(place, _external(norm_model(), "scale", location=f"{place.up}/secret"))
    return ["identify", made, "--shape", "2,3,8,8"]


@FAMILY.good("identify of a good one")
def _identify_good(place: Place) -> Sequence[str | Path]:
    return ["identify", _file(place, norm_model()), "--shape", "2,3,8,8"]
