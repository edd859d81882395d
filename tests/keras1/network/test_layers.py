"""The layers of an architecture as written: models in models are kept, and read once."""

from __future__ import annotations

from typing import Any

import pytest

from normscope.errors import ModelFileError
from normscope.keras1.network import Graph, Layer, build_network
from normscope.keras1.network.layers import read_layers

Entry = dict[str, Any]


def dense(name: str, **config: Any) -> Entry:
    return {"class_name": "Dense", "config": {"name": name, "output_dim": 2, **config}}


def sequential(*layers: Entry) -> Entry:
    return {"class_name": "Sequential", "config": list(layers)}


def functional(name: str, *layers: Entry, output: tuple[str, int]) -> Entry:
    source = {"class_name": "InputLayer", "name": "x", "inbound_nodes": []}
    source["config"] = {"name": "x", "batch_input_shape": [None, 2]}
    return {
        "class_name": "Model",
        "name": name,
        "config": {
            "name": name,
            "layers": [*layers, source],
            "input_layers": [["x", 0, 0]],
            "output_layers": [[*output, 0]],
        },
    }


def called(entry: Entry, name: str, *nodes: tuple[str, int]) -> Entry:
    return {**entry, "name": name, "inbound_nodes": [[[*node, 0]] for node in nodes]}


def paths(layer: Layer) -> list[str]:
    """The paths of the layers in a model, the models too."""
    match layer.contents:
        case None:
            return [layer.path]
        case Graph():
            inside = list(layer.contents.layers.values())
        case _:
            inside = list(layer.contents)
    return [layer.path, *(path for one in inside for path in paths(one))]


def test_models_in_models_are_kept() -> None:
    inner = functional("inner", called(dense("d"), "d", ("x", 0)), output=("d", 0))
    model = read_layers(sequential(dense("first", input_dim=2), inner, sequential(dense("e"))), "m")
    assert paths(model) == [
        *("", "first", "inner", "inner/d", "inner/x", "sequential_1", "sequential_1/e")
    ]
    assert model.layer_class == "Sequential"
    assert isinstance(model.contents[1].contents, Graph)


def test_a_layer_that_stands_twice_is_one_layer() -> None:
    twice, other = dense("d"), dense("d", output_dim=3)
    first, _, third = read_layers(sequential(twice, dense("e"), twice), "m").contents
    assert first is third
    first, second = read_layers(sequential(twice, other), "m").contents
    assert first is not second
    with pytest.raises(ModelFileError, match="two different layers have the name 'd'"):
        build_network(
            sequential({**twice, "config": {**twice["config"], "input_dim": 2}}, other), "m"
        )


def test_the_calls_of_a_shared_layer_are_in_the_graph() -> None:
    shared = called(dense("d"), "d", ("x", 0), ("d", 0))
    network = build_network(functional("m", shared, output=("d", 0)), "m")
    assert network.model.contents.order == [("d", 0), ("d", 1)]
    assert [call.id for call in network.calls] == ["x", "d", "d#2"]


def test_layers_without_a_name_are_numbered_in_the_order_of_the_calls() -> None:
    """As Keras 1 would make them, not as the file lists them."""
    second = called(sequential(sequential(dense("b"))), "second", ("first", 1))
    first = called(sequential(sequential(dense("a"))), "first", ("x", 0))
    first["inbound_nodes"] = [[["x", 0, 0]]] * 2
    second["inbound_nodes"] = [[["first", 1, 0]]] * 2
    model = read_layers(functional("m", second, first, output=("first", 1)), "m")
    assert [path for path in paths(model) if path.endswith(("/a", "/b"))] == [
        *("second/sequential_2/b", "first/sequential_1/a")
    ]


def test_layers_that_are_never_called_are_left_out() -> None:
    layers = [called(dense("unused"), "unused"), called(dense("d"), "d", ("x", 0))]
    assert list(read_layers(functional("m", *layers, output=("d", 0)), "m").contents.layers) == [
        "d",
        "x",
    ]


def test_branches_and_wrappers_have_their_layers() -> None:
    branches = [sequential(dense("a", input_dim=2)), sequential(dense("b", input_dim=2))]
    merge = {"class_name": "Merge", "config": {"name": "m", "mode": "sum", "layers": branches}}
    around = {"class_name": "TimeDistributed", "config": {"name": "t", "layer": dense("d")}}
    first, second = read_layers(sequential(merge, around), "m").contents
    assert [layer.path for branch in first.branches for layer in branch.contents] == ["a", "b"]
    assert second.inside is not None
    assert second.inside.path == "t/d"


def test_a_setting_called_layer_of_an_unknown_class_is_no_layer() -> None:
    strange = {"class_name": "Strange", "config": {"name": "s", "layer": {"class_name": 3}}}
    assert read_layers(sequential(strange), "m").contents[0].inside is None


def test_a_model_with_too_few_inputs_is_named() -> None:
    merge = {"class_name": "Merge", "config": {"name": "m", "mode": "sum"}}
    merge["config"]["layers"] = [dense("a", input_dim=2), dense("b", input_dim=2)]
    inner = called(sequential(merge), "inner", ("x", 0))
    inner["inbound_nodes"] *= 2
    with pytest.raises(ModelFileError, match="the model 'inner' is called with too few inputs"):
        build_network(functional("whole", inner, output=("inner", 1)), "m.json")
