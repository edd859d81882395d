"""The network in an architecture: shapes as Keras recorded them, names of axes, contradictions."""

from __future__ import annotations

import gc
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from budget import budget
from normscope.errors import ModelFileError
from normscope.keras1.files import read_model_file
from normscope.keras1.network import Call, Network, build_network
from normscope.keras1.network.shapes import RULES, Tensor

Json = dict[str, Any]


def layer(layer_class: str, name: str | None = None, **config: object) -> Json:
    return {"class_name": layer_class, "config": {"name": name or layer_class.lower(), **config}}


def sequential(*layers: Json) -> Json:
    return {"class_name": "Sequential", "config": list(layers)}


def node(entry: Json, *sources: list[object], name: str | None = None) -> Json:
    """A layer of a functional model, called once on `sources` ([name, call, output])."""
    inbound = [list(sources)] if sources else []
    return entry | {"name": name or entry["config"]["name"], "inbound_nodes": inbound}


def functional(*nodes: Json, ends: tuple[str, ...] = (), name: str = "m") -> Json:
    inputs = [[n["name"], 0, 0] for n in nodes if n["class_name"] == "InputLayer"]
    outputs = [[end, 0, 0] for end in ends or (nodes[-1]["name"],)]
    config = {"name": name, "layers": list(nodes)}
    return {
        "class_name": "Model",
        "config": config | {"input_layers": inputs, "output_layers": outputs},
    }


def source(name: str, *sizes: int | None) -> Json:
    return node(layer("InputLayer", name, batch_input_shape=[None, *sizes]))


def conv(name: str = "conv", ordering: str = "th", **config: object) -> Json:
    sizes = {"nb_filter": 4, "nb_row": 3, "nb_col": 3} | config
    return layer("Convolution2D", name, dim_ordering=ordering, **sizes)


def norm(name: str = "bn", **config: object) -> Json:
    return layer("BatchNormalization", name, **config)


def dense(name: str = "dense", width: int = 3, **config: object) -> Json:
    return layer("Dense", name, output_dim=width, **config)


def build(architecture: Json, ordering: str | None = None) -> dict[str, Call]:
    return {call.id: call for call in build_network(architecture, "m.json", ordering).calls}


def axes(tensor: Tensor) -> str | None:
    return None if tensor.axes is None else " ".join(tensor.axes)


def refusal(architecture: object) -> str:
    with budget(), pytest.raises(ModelFileError) as caught:
        build_network(architecture, "m.json")  # type: ignore[arg-type]
    assert str(caught.value).isprintable()
    return caught.value.reason


# ---------------------------------------------------------------------------------- genuine models


def genuine(folder: Path) -> list[tuple[Json, Network]]:
    entries = json.loads((folder / "models.json").read_text())["models"]
    return [
        (entry, build_network(model.architecture, model.path, entry["dim_ordering"]))
        for entry in entries
        for model in [read_model_file(folder / entry["files"]["json"])]
    ]


def test_shapes_are_those_that_keras_computed(keras1_golden: Path) -> None:
    models = genuine(keras1_golden)
    assert len(models) == 300
    for entry, network in models:
        calls = {call.id: call for call in network.calls}
        shapes = [calls[end].output.shape for end in network.outputs]
        assert [list(shape[1:]) for shape in shapes if shape] == [
            shape[1:] for shape in entry["outputs"]
        ], entry["name"]
        assert [call.id for call in network.calls if call.is_output] == sorted(
            network.outputs, key=list(calls).index
        )


def test_calls_are_in_topological_order(keras1_golden: Path) -> None:
    for _, network in genuine(keras1_golden):
        seen: dict[str, Call] = {}
        for call in network.calls:
            assert call.input_tensors == tuple(seen[name].output for name in call.inputs)
            assert call.id not in seen
            seen[call.id] = call
            for name in call.inputs:
                assert call in network.consumers(name)


def test_every_layer_class_of_the_golden_data_is_known(keras1_golden: Path) -> None:
    used = {name for entry, _ in genuine(keras1_golden) for name in entry["layers_used"]}
    assert used - set(RULES) == {"Merge", "Model", "TimeDistributed"}


@pytest.mark.parametrize(
    ("name", "layer_id", "names"),
    [
        ("theano_th/seed_network", "batchnormalization_1", "b c h w"),
        ("theano_tf/seed_network", "batchnormalization_8", "b h w c"),
        ("theano_th/resnet_block", "batchnormalization_1", "b c h w"),
        ("theano_tf/mnist_cnn", "flatten_1", "b c"),
        ("theano_any/mlp_sgd", "batchnormalization_1", "b c"),
        ("theano_th/convolution3d", "convolution3d_1", "b c d h w"),
        ("theano_tf/convolution3d", "convolution3d_1", "b d h w c"),
        ("theano_any/embedding", "embedding_1", "b t c"),
        ("theano_any/embedding", "embedding_1_input", "b t"),
        ("theano_any/lstm", "lstm_1", "b c"),
        ("theano_any/lstm_sequences", "lstm_1", "b t c"),
        ("theano_any/bidirectional_lstm_sum", "bidirectional_1", "b t c"),
        ("theano_any/timedistributed_dense", "timedistributed_1", "b t c"),
        ("theano_th/convlstm2d", "convlstm2d_1_input", "b t c h w"),
        ("theano_any/nested_model", "inner/dense_1", "b c"),
    ],
)
def test_names_of_genuine_axes(keras1_golden: Path, name: str, layer_id: str, names: str) -> None:
    model = read_model_file(keras1_golden / f"models/{name}.json")
    assert axes(build(dict(model.architecture))[layer_id].output) == names


def test_the_founding_network(keras1_golden: Path) -> None:
    model = read_model_file(keras1_golden / "models/seed_network_full_th.json")
    network = build_network(model.architecture, model.path)
    norms = [call for call in network.calls if call.layer_class == "BatchNormalization"]
    assert len(norms) == 8
    for call in norms:
        assert call.input_tensors == (Tensor((None, 128, 56, 56), ("b", "c", "h", "w")),)
        assert call.config["mode"] == 1


# ------------------------------------------------------------------------------ structure


def test_shared_layers_have_a_call_for_each_use(keras1_golden: Path) -> None:
    model = read_model_file(keras1_golden / "models/theano_any/shared_dense.json")
    calls = build(dict(model.architecture))
    assert [calls[name].path for name in ("dense_1", "dense_1#2")] == ["dense_1", "dense_1"]
    assert calls["dense_1#2"].inputs == ("input_2",)
    assert calls["merge_1"].inputs == ("dense_1", "dense_1#2")


def test_nested_models_are_flattened() -> None:
    inner = sequential(dense("a", input_dim=2), sequential(norm("b")), dense("c"))
    calls = build(sequential(inner, dense("d")))
    paths = ["sequential_1/a_input", "sequential_1/a", "sequential_1/sequential_2/b"]
    assert list(calls) == [*paths, "sequential_1/c", "d"]
    assert calls["sequential_1/sequential_2/b"].name == "b"
    assert calls["d"].inputs == ("sequential_1/c",)


def test_a_nested_model_that_is_called_twice() -> None:
    inner = functional(source("x", 4), node(norm(), ["x", 0, 0]), name="inner")
    twice = node(inner, ["y", 0, 0], name="inner")
    twice["inbound_nodes"].append([["inner", 1, 0]])
    model = functional(source("y", 4), twice, node(dense(), ["inner", 2, 0]))
    calls = build(model)
    assert list(calls) == ["y", "inner/bn", "inner/bn#2", "dense"]
    assert calls["inner/bn#2"].inputs == ("inner/bn",)
    assert calls["dense"].inputs == ("inner/bn#2",)


def test_a_nested_model_with_several_inputs_and_outputs() -> None:
    inner = functional(
        source("x", 4),
        source("y", 5),
        node(dense("p", 6), ["x", 0, 0]),
        node(dense("q", 7), ["y", 0, 0]),
        ends=("q", "p"),
        name="inner",
    )
    model = functional(
        source("a", 4),
        source("b", 5),
        node(inner, ["a", 0, 0], ["b", 0, 0], name="inner"),
        node(norm("first"), ["inner", 1, 0]),
        node(norm("second"), ["inner", 1, 1]),
        ends=("first", "second"),
    )
    calls = build(model)
    assert calls["first"].inputs == ("inner/q",)
    assert calls["second"].input_tensors == (Tensor((None, 6), ("b", "c")),)


def test_a_merge_at_the_head_has_its_branches() -> None:
    branches = [sequential(dense("a", input_dim=2)), sequential(dense("b", input_dim=4))]
    calls = build(sequential(layer("Merge", mode="concat", layers=branches), norm()))
    assert list(calls) == ["a_input", "a", "b_input", "b", "merge", "bn"]
    assert calls["bn"].input_tensors == (Tensor((None, 6), ("b", "c")),)


def test_a_sequential_with_a_merge_called_as_a_layer() -> None:
    branches = [sequential(dense("a", input_dim=2)), sequential(dense("b", input_dim=4))]
    inner = sequential(layer("Merge", mode="sum", layers=branches))
    called = node(inner, ["x", 0, 0], ["y", 0, 0], name="inner")
    calls = build(
        functional(source("x", 2), source("y", 4), called, ends=("inner",))
        | {
            "config": functional(source("x", 2), source("y", 4), called)["config"]
            | {"output_layers": [["inner", 1, 0]]}
        }
    )
    assert calls["inner/merge"].inputs == ("inner/a", "inner/b")
    assert calls["inner/b"].inputs == ("y",)


def test_time_distributed_models_are_seen_one_step_at_a_time() -> None:
    step = sequential(conv(input_shape=[3, 8, 8]), norm(), layer("Flatten"))
    wrapper = layer("TimeDistributed", "td", layer=step, batch_input_shape=[None, 5, 3, 8, 8])
    calls = build(sequential(wrapper, norm("after")))
    assert axes(calls["td_input"].output) == "b t c h w"
    assert calls["td"].output == Tensor((None, 5, 4 * 6 * 6), ("b", "t", "c"))
    _, inner, _ = calls["td"].wrapped
    assert (inner.id, inner.name) == ("td/sequential_1/bn", "bn")
    assert inner.input_tensors == (Tensor((None, 4, 6, 6), ("b", "c", "h", "w")),)


def test_a_bidirectional_without_merge_has_two_outputs() -> None:
    lstm = layer("LSTM", output_dim=3)
    both = layer("Bidirectional", "both", layer=lstm, merge_mode=None)
    model = functional(
        source("x", 5, 4),
        node(both, ["x", 0, 0]),
        node(layer("Merge", "merge", mode="sum"), ["both", 0, 0], ["both", 0, 1]),
    )
    assert build(model)["merge"].inputs == ("both", "both")


# ------------------------------------------------------------------------------ names of axes


@pytest.mark.parametrize(("ordering", "names"), [("th", "b c h w"), ("tf", "b h w c")])
def test_names_come_from_a_later_convolution(ordering: str, names: str) -> None:
    calls = build(
        sequential(
            norm("a", batch_input_shape=[None, 8, 8, 8]),
            layer("ZeroPadding2D"),
            layer("Activation"),
            conv(ordering=ordering),
        )
    )
    assert [axes(call.output) for call in calls.values()] == [names] * 5
    padded = (None, 8, 10, 10) if ordering == "th" else (None, 10, 10, 8)
    assert calls["zeropadding2d"].output.shape == padded


def test_names_from_behind_go_to_the_other_branches() -> None:
    model = functional(
        source("x", 4, 8, 8),
        node(norm("a"), ["x", 0, 0]),
        node(conv(), ["a", 0, 0]),
        node(norm("b"), ["x", 0, 0]),
        ends=("conv", "b"),
    )
    assert axes(build(model)["b"].output) == "b c h w"


def test_names_from_behind_pass_a_permutation() -> None:
    calls = build(
        sequential(layer("Permute", dims=[3, 1, 2], input_shape=[8, 7, 3]), norm(), conv())
    )
    assert axes(calls["permute_input"].output) == "b h w c"
    assert calls["bn"].output == Tensor((None, 3, 8, 7), ("b", "c", "h", "w"))


def test_names_after_a_reshape_come_from_behind_only() -> None:
    reshape = layer("Reshape", target_shape=[4, 5, -1], input_dim=40)
    assert axes(build(sequential(reshape, norm()))["bn"].output) is None
    assert axes(build(sequential(reshape, norm(), conv(nb_row=1, nb_col=1)))["bn"].output) == (
        "b c h w"
    )


def test_after_an_unknown_layer_what_can_be_known_is_known() -> None:
    calls = build(
        sequential(
            conv(input_shape=[3, 8, 8]),
            layer("Lambda", function=["bytecode", None, None]),
            norm("a"),
            conv("next"),
            layer("MyOwnLayer"),
            dense(),
            layer("LSTM", output_dim=5),
        )
    )
    assert calls["lambda"].output == Tensor((None,) * 4, ("b", "c", "h", "w"))
    assert calls["next"].output == Tensor((None, 4, None, None), ("b", "c", "h", "w"))
    assert calls["dense"].output == Tensor((None, None, 3), ("b", "t", "c"))
    assert calls["lstm"].output == Tensor((None, 5), ("b", "c"))


@pytest.mark.parametrize("ordering", [None, "th", "tf"])
def test_an_ordering_that_the_file_does_not_tell(ordering: str | None) -> None:
    layers = (layer("UpSampling3D", input_shape=[2, 3, 4, 5]), norm())
    shape = {
        None: (None,) * 5,
        "th": (None, 2, 6, 8, 10),
        "tf": (None, 4, 6, 8, 5),
    }[ordering]
    assert build(sequential(*layers), ordering)["bn"].output.shape == shape


# ------------------------------------------------------------------------------------- shapes

SHAPES: list[tuple[list[int | None], Json, tuple[int | None, ...]]] = [
    ([7], layer("RepeatVector", n=2), (2, 7)),
    ([7], layer("MaxoutDense", output_dim=2), (2,)),
    ([None, 7], dense(), (None, 3)),
    ([None], layer("Embedding", output_dim=3, input_dim=9, input_length=4), (4, 3)),
    ([6, 4], layer("Reshape", target_shape=[-1, 3]), (8, 3)),
    ([None, 4], layer("Reshape", target_shape=[-1, 3]), (None, 3)),
    ([None, 4], layer("Flatten"), (None,)),
    ([9, 2], layer("AtrousConvolution1D", nb_filter=3, filter_length=3, atrous_rate=2), (5, 3)),
    ([9, 2], layer("Convolution1D", nb_filter=3, filter_length=3, border_mode="full"), (11, 3)),
    ([9, 2], layer("MaxPooling1D", pool_length=2, border_mode="same"), (5, 2)),
    ([9, 2], layer("ZeroPadding1D", padding=[1, 3]), (13, 2)),
    ([9, 2], layer("ZeroPadding1D", padding={"left_pad": 1}), (10, 2)),
    ([9, 2], layer("Cropping1D", cropping=[1, 3]), (5, 2)),
    ([9, 2], layer("UpSampling1D"), (18, 2)),
    ([9, 2], layer("GlobalMaxPooling1D"), (2,)),
    ([3, 8, 8], layer("ZeroPadding2D", padding=[1, 2]), (3, 10, 12)),
    ([3, 8, 8], layer("ZeroPadding2D", padding=[1, 2, 3, 4]), (3, 11, 15)),
    ([3, 8, 8], layer("ZeroPadding2D", padding={"top_pad": 1, "right_pad": 2}), (3, 9, 10)),
    ([3, 8, 8], layer("Cropping2D", cropping=[[1, 2], [3, 4]]), (3, 5, 1)),
    ([3, 8, None], conv(subsample=[2, 2], border_mode="same"), (4, 4, None)),
    ([3, 8, 8], layer("SeparableConvolution2D", nb_filter=5, nb_row=2, nb_col=2), (5, 7, 7)),
    (
        [3, 8, 8],
        layer("Deconvolution2D", nb_filter=5, output_shape=[None, 5, 16, None]),
        (5, 16, None),
    ),
    (
        [6, 3, 8, 8],
        layer("ConvLSTM2D", nb_filter=2, nb_row=3, nb_col=3, return_sequences=True),
        (6, 2, 6, 6),
    ),
    ([6, 3], layer("Bidirectional", layer=layer("GRU", output_dim=4)), (8,)),
    ([6, 3], layer("TimeDistributed", layer=dense()), (6, 3)),
    ([6, 3], layer("TimeDistributedDense", output_dim=2), (6, 2)),
]


@pytest.mark.parametrize(("before", "entry", "after"), SHAPES)
def test_output_shapes(
    before: list[int | None], entry: Json, after: tuple[int | None, ...]
) -> None:
    entry["config"]["batch_input_shape"] = [None, *before]
    *_, last = build(sequential(entry), "th").values()
    assert last.output.shape == (None, *after)


@pytest.mark.parametrize(
    ("mode", "left", "right", "after"),
    [
        ("sum", (4, None), (None, 5), (4, 5)),
        ("concat", (4, 5), (4, 3), (4, 8)),
        ("concat", (4, 5), (4, None), (4, None)),
        ("dot", (4, 5), (3, 5), (4, 3)),
        ("dot", (5,), (5,), (1,)),
        ("cos", (5,), (5,), (1, 1)),
    ],
)
def test_merged_shapes(
    mode: str, left: tuple[int, ...], right: tuple[int, ...], after: tuple[int, ...]
) -> None:
    merge = node(layer("Merge", mode=mode), ["x", 0, 0], ["y", 0, 0])
    calls = build(functional(source("x", *left), source("y", *right), merge))
    assert calls["merge"].output.shape == (None, *after)


def test_merges_with_a_function_are_unknown() -> None:
    merge = layer("Merge", mode="my_function", mode_type="function")
    model = functional(source("x", 4), source("y", 5), node(merge, ["x", 0, 0], ["y", 0, 0]))
    assert build(model)["merge"].output == Tensor()


@pytest.mark.parametrize(
    ("config", "shape"),
    [
        (dense(input_dim=4), (None, 4)),
        (dense(input_shape=[7, 4]), (None, 7, 4)),
        (dense(batch_input_shape=[2, 4]), (2, 4)),
        (layer("LSTM", output_dim=3, input_dim=4), (None, None, 4)),
        (layer("LSTM", output_dim=3, input_dim=4, input_length=6), (None, 6, 4)),
        (layer("Embedding", output_dim=3, input_dim=40, input_length=6), (None, 6)),
        (layer("Embedding", output_dim=3, input_dim=40), (None, None)),
        (norm(), None),
    ],
)
def test_ways_to_declare_the_input(config: Json, shape: tuple[int | None, ...] | None) -> None:
    first, *_ = build(sequential(config)).values()
    assert (first.layer_class, first.output.shape) == ("InputLayer", shape)


# ------------------------------------------------------------------------------ contradictions

IMAGE = [None, 3, 8, 8]
CONTRADICTIONS = {
    "convolution of vectors": sequential(conv("bad", input_dim=5)),
    "kernel larger than the input": sequential(conv("bad", batch_input_shape=IMAGE, nb_row=9)),
    "pool larger than the input": sequential(
        layer("MaxPooling2D", "bad", batch_input_shape=IMAGE, pool_size=[9, 9], dim_ordering="th")
    ),
    "all is cropped": sequential(layer("Cropping1D", "bad", input_shape=[4, 3], cropping=[2, 2])),
    "sizes do not fit": sequential(layer("Reshape", "bad", input_shape=[5], target_shape=[2, 3])),
    "no size fits": sequential(layer("Reshape", "bad", input_shape=[5], target_shape=[2, -1])),
    "sequence of vectors": sequential(layer("LSTM", "bad", input_shape=[5], output_dim=3)),
    "steps of vectors": sequential(layer("TimeDistributed", "bad", input_shape=[5], layer=dense())),
    "permutation of other axes": sequential(layer("Permute", "bad", input_shape=[5], dims=[2, 1])),
    "too large to be": sequential(
        layer("UpSampling1D", "up", length=2**31 - 1, input_shape=[2**31 - 1, 9]),
        layer("UpSampling1D", "bad", length=2**31 - 1),
    ),
    **{
        f"merge {mode}": functional(
            source("x", *left),
            source("y", *right),
            node(layer("Merge", "bad", mode=mode), ["x", 0, 0], ["y", 0, 0]),
        )
        for mode, left, right in [
            ("sum", (4,), (5,)),
            ("max", (4,), (4, 4)),
            ("concat", (4, 5), (3, 5)),
            ("dot", (4,), (5,)),
            ("no such mode", (4,), (4,)),
        ]
    },
    "merge of one": functional(source("x", 4), node(layer("Merge", "bad"), ["x", 0, 0])),
    "dense of two": functional(
        source("x", 4), source("y", 4), node(dense("bad"), ["x", 0, 0], ["y", 0, 0])
    ),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_a_contradiction_names_its_layer(name: str) -> None:
    assert refusal(CONTRADICTIONS[name]).startswith("layer 'bad' (")


WRONG = ["x", -3, 10**400, math.nan, 1.5, True, {"a": 1}, [], [[]], ["x", "x"], [10**400]]
READ: list[tuple[Json, list[int], str]] = [
    (dense(), [5], "output_dim"),
    (conv(), [3, 8, 8], "nb_filter nb_row nb_col border_mode subsample dim_ordering"),
    (
        layer("Convolution1D", nb_filter=3, filter_length=2),
        [9, 2],
        "nb_filter filter_length subsample_length border_mode",
    ),
    (
        layer("Convolution3D", nb_filter=1, kernel_dim1=1, kernel_dim2=1, kernel_dim3=1),
        [2, 3, 3, 3],
        "nb_filter kernel_dim1 kernel_dim2 kernel_dim3 subsample dim_ordering",
    ),
    (
        layer("AtrousConvolution2D", nb_filter=3, nb_row=2, nb_col=2),
        [3, 8, 8],
        "nb_row atrous_rate",
    ),
    (
        layer("Deconvolution2D", nb_filter=3, output_shape=[None, 3, 16, 16]),
        [3, 8, 8],
        "nb_filter output_shape",
    ),
    (layer("MaxPooling1D"), [9, 2], "pool_length stride border_mode"),
    (layer("AveragePooling2D"), [3, 8, 8], "pool_size strides border_mode dim_ordering"),
    (layer("GlobalMaxPooling2D"), [3, 8, 8], "dim_ordering"),
    (layer("UpSampling1D"), [9, 2], "length"),
    (layer("UpSampling2D"), [3, 8, 8], "size"),
    (layer("ZeroPadding1D"), [9, 2], "padding"),
    (layer("ZeroPadding2D"), [3, 8, 8], "padding"),
    (layer("ZeroPadding3D"), [3, 8, 8, 8], "padding"),
    (layer("Cropping1D", cropping=[1, 1]), [9, 2], "cropping"),
    (layer("Cropping2D", cropping=[[1, 1], [1, 1]]), [3, 8, 8], "cropping"),
    (layer("Reshape", target_shape=[-1]), [9, 2], "target_shape"),
    (layer("Permute", dims=[2, 1]), [9, 2], "dims"),
    (layer("RepeatVector", n=2), [9], "n"),
    (layer("MaxoutDense", output_dim=2), [9], "output_dim"),
    (layer("LSTM", output_dim=2), [9, 2], "output_dim"),
    (layer("Embedding", output_dim=2), [9], "output_dim"),
    (layer("TimeDistributedDense", output_dim=2), [9, 2], "output_dim"),
    (layer("TimeDistributed", layer=dense()), [9, 2], "layer"),
    (layer("Bidirectional", layer=layer("GRU", output_dim=2)), [9, 2], "layer merge_mode"),
    (norm(), [9, 2], "batch_input_shape"),
]
SETTINGS = [(entry, sizes, key) for entry, sizes, keys in READ for key in keys.split()]


@pytest.mark.parametrize(
    ("entry", "sizes", "key"), SETTINGS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_wrong_settings_are_refused(entry: Json, sizes: list[int], key: str) -> None:
    good = {"batch_input_shape": [None, *sizes], **entry["config"]}
    build(sequential(entry | {"config": good}), "th")
    for value in WRONG:
        reason = refusal(sequential(entry | {"config": good | {key: value}}))
        assert key in reason or "a layer of" in reason


def test_flags_are_true_or_false() -> None:
    wrong: list[object] = ["x", 1, 10**400, [], {}]
    for value in wrong:
        lstm = layer("LSTM", output_dim=2, input_dim=2, return_sequences=value)
        assert "return_sequences is" in refusal(sequential(lstm))


# -------------------------------------------------------------------------------- wrong graphs


def with_config(**changes: object) -> Json:
    model = functional(source("x", 4), node(dense("a"), ["x", 0, 0]))
    return model | {"config": model["config"] | changes}


def with_node(**changes: object) -> Json:
    entry = node(dense("a"), ["x", 0, 0]) | changes
    return with_config(layers=[source("x", 4), entry])


def doubled(times: int) -> Json:
    """A model that calls a model twice that calls a model twice ..."""
    inner = functional(source("x", 4), node(norm(), ["x", 0, 0]), name="m0")
    end: list[object] = ["bn", 0, 0]
    for level in range(times):
        name = f"m{level}"
        both = node(inner, ["x", 0, 0], name=name)
        both["inbound_nodes"].append([[name, 1, 0]])
        inner = functional(source("x", 4), both)
        end = [name, 2, 0]
        inner["config"]["output_layers"] = [end]
    return inner


def long_chain(count: int) -> Json:
    return sequential(norm("n0", input_shape=[4]), *(norm(f"n{i}") for i in range(1, count)))


WRONG_ENTRIES: list[object] = [None, 5, "x", [], {}, [5], [[]], [[[]]], [["x"]], [["x", 0]]]
WRONG_ENTRIES += [[[["x", 0]]], [[["no such", 0, 0]]], [[["x", 0, 0, {}]]], [[["x", 10**400, 0]]]]
WRONG_ENTRIES += [[[["x", 0, -1]]], [[["x", 0, 3]]], [[["x", 7, 0]]], [[["x", "0", 0]]]]
WRONG_ENTRIES += [[[[["x"], 0, 0]]], [[["a", 0, 0]]], [[["x", math.nan, 0]]]]
ENDS: list[object] = [None, 5, "a", [], {}, [5], [["a"]], [["a", 0]], [["no such", 0, 0]]]
ENDS += [[["a", 1, 0]], [["a", 0, 1]], [["a", 10**400, 0]], [["a", 0, 0, 0]], [[None, 0, 0]]]
NAMES: list[object] = [None, 5, "", [], {}, "x" * 10_000, "\x1b[2J", "two\nlines", "\ud800"]
LAYERS: list[object] = [None, 5, "x", [], {}, [5], ["x"], [[]], [{}], [{"class_name": "Dense"}]]
LAYERS += [[{"class_name": 5, "config": {"name": "a"}}], [{"class_name": "Dense", "config": []}]]
LAYERS += [[{"class_name": "Sequential", "config": {"name": "a"}}], [sequential()]]
LAYERS += [[{"class_name": "\x07", "config": {"name": "a"}}]]
GRAPHS: dict[str, Callable[[], object]] = {
    "no model": lambda: {"class_name": "Graph", "config": {}},
    "no config": lambda: {"class_name": "Model"},
    "cycle": lambda: functional(
        source("x", 4),
        node(norm("a"), ["b", 0, 0]),
        node(norm("b"), ["c", 0, 0]),
        node(norm("c"), ["a", 0, 0]),
    ),
    "two of a name": lambda: functional(
        source("x", 4), node(norm("a"), ["x", 0, 0]), node(dense("a"), ["x", 0, 0])
    ),
    "two of a name in a Sequential": lambda: sequential(dense("a", input_dim=4), dense("a", 7)),
    "an input that is no input": lambda: with_config(input_layers=[["a", 0, 0]]),
    "an input that is not listed": lambda: functional(
        source("x", 4), node(layer("Merge", "merge"), ["x", 0, 0], ["y", 0, 0])
    ),
    "an output of a model that only exists": lambda: functional(
        source("x", 4),
        node(functional(source("y", 4)), ["x", 0, 0], name="inner"),
        node(norm(), ["inner", 0, 0]),
    ),
    "too few inputs": lambda: functional(
        source("x", 4),
        node(
            functional(source("y", 4), source("z", 4), node(norm(), ["y", 0, 0]), name="inner"),
            ["x", 0, 0],
            name="inner",
        ),
        node(norm(), ["inner", 1, 0]),
    ),
    "too many inputs": lambda: functional(
        source("x", 4),
        node(functional(source("y", 4)), ["x", 0, 0], ["x", 0, 0], name="inner"),
        node(norm(), ["inner", 1, 0]),
    ),
    "a merge without branches": lambda: sequential(layer("Merge", layers=[])),
    "a model doubled 20 times": lambda: doubled(20),
    "too many layers": lambda: long_chain(10_001),
    "too many entries": lambda: sequential(*[norm()] * 200_000),
    "rank 17": lambda: sequential(norm(batch_input_shape=[None] * 17)),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_wrong_graphs_are_refused(name: str) -> None:
    assert refusal(GRAPHS[name]())


def test_a_cycle_is_shown() -> None:
    assert "a cycle: 'a' -> " in refusal(GRAPHS["cycle"]())


@pytest.mark.parametrize("value", WRONG_ENTRIES, ids=repr)
def test_wrong_inbound_nodes_are_refused(value: object) -> None:
    assert refusal(with_node(inbound_nodes=value))


@pytest.mark.parametrize("value", ENDS, ids=repr)
@pytest.mark.parametrize("key", ["input_layers", "output_layers"])
def test_wrong_ends_are_refused(key: str, value: object) -> None:
    assert refusal(with_config(**{key: value}))


@pytest.mark.parametrize("value", LAYERS, ids=range(len(LAYERS)))
def test_wrong_layers_are_refused(value: object) -> None:
    assert refusal(with_config(layers=value))
    assert refusal({"class_name": "Sequential", "config": value})


@pytest.mark.parametrize("value", NAMES, ids=range(len(NAMES)))
def test_wrong_names_are_refused(value: object) -> None:
    assert "the name" in refusal(
        with_node(name=value)
        if value is not None
        else sequential({"class_name": "Dense", "config": {"output_dim": 3}})
    )


def test_the_time_to_build_a_model_grows_with_its_length() -> None:
    """Four times as many layers: about 4 times as long, where a quadratic way would take 16."""

    def least(length: int) -> float:
        model, times = long_chain(length), []
        for _ in range(3):
            begin = time.process_time()
            calls = build(model)
            times.append(time.process_time() - begin)
            assert len(calls) == length + 1
        return min(times)

    gc.disable()  # it walks all that other tests of this process have left
    try:
        assert least(9_600) < 9 * least(2_400)
    finally:
        gc.enable()
