"""What is known of the layers of Keras 1, against the models that the genuine Keras 1.2.2 wrote."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from normscope.frameworks.keras1.traits import ADDS_BIAS, traits_of
from normscope.frameworks.traits import Traits
from normscope.keras1.files import ModelFile, open_arrays, read_model_file, weights_entry
from normscope.keras1.network import Call, build_network

Genuine: TypeAlias = list[tuple[ModelFile, Call]]

IMAGE = ("b", "c", "h", "w")
BIAS_INSIDE = {"SimpleRNN", "GRU", "LSTM", "ConvLSTM2D", "MaxoutDense", "Highway"}
BIAS_PER_POSITION = {"LocallyConnected1D", "LocallyConnected2D"}


@pytest.fixture(scope="module")
def genuine(keras1_golden: Path) -> Genuine:
    """All layers of all models, each with its file."""
    models = json.loads((keras1_golden / "models.json").read_text())["models"]
    files = [read_model_file(keras1_golden / model["files"]["h5"]) for model in models]
    return [(file, call) for file in files for call in build_network(file.architecture, "").calls]


def of(call: Call) -> Traits:
    return traits_of(call.layer_class, call.config, call.output.axes)


def test_the_channel_axis_is_as_long_as_the_layer_has_units(genuine: Genuine) -> None:
    checked: Counter[str] = Counter()
    for _, call in genuine:
        axis = of(call).channel_axis
        if axis is None or call.layer_class in ("Highway", "TimeDistributed"):
            continue  # as many units as its input has features; told by the layer in it
        units = call.config.get("nb_filter", call.config.get("output_dim"))
        assert call.output.shape is not None
        assert call.output.shape[axis] == units, call
        checked[call.layer_class] += 1
    assert len(checked) >= 10, checked


def test_a_layer_that_keeps_axes_has_those_of_its_input(genuine: Genuine) -> None:
    checked: Counter[str] = Counter()
    for _, call in genuine:
        if not of(call).keeps_axes or not call.inputs:
            continue
        for tensor in call.input_tensors:
            assert tensor.axes == call.output.axes, call
        checked[call.layer_class] += 1
    assert len(checked) >= 10, checked


def test_a_bias_that_is_added_is_stored_one_number_per_channel(genuine: Genuine) -> None:
    added = elsewhere = 0
    for file, call in genuine:
        entry = weights_entry(file, call.path)
        names = [f"{call.name}_b", f"{call.name}_b:0"]
        name = next((name for name in names if entry and name in file.weights[entry]), None)
        bias = None
        if entry and name:
            with open_arrays(file) as arrays:
                bias = arrays.array(entry, name)
        traits = of(call)
        if traits.adds_bias:
            assert traits.channel_axis is not None
            assert call.output.shape is not None
            assert bias is not None, call
            assert bias.shape == (call.output.shape[traits.channel_axis],), call
            added += 1
        elif bias is not None and call.layer_class not in BIAS_INSIDE | BIAS_PER_POSITION:
            assert call.layer_class in ADDS_BIAS, call
            assert call.config["activation"] != "linear", call
            elsewhere += 1
    assert added > 50
    assert elsewhere > 20


@pytest.mark.parametrize(
    ("layer_class", "config", "axes", "traits"),
    [
        ("Dense", {}, ("b", "c"), Traits(1, adds_bias=True)),
        ("Dense", {"bias": False}, ("b", "c"), Traits(1)),
        ("Dense", {"activation": "relu"}, ("b", "c"), Traits(1)),
        ("Dense", {}, None, Traits(adds_bias=True)),
        ("Convolution2D", {}, IMAGE, Traits(1, adds_bias=True)),
        ("Convolution2D", {}, ("b", "h", "w", "c"), Traits(3, adds_bias=True)),
        ("LSTM", {}, ("b", "t", "c"), Traits(2)),
        ("Activation", {"activation": "relu"}, IMAGE, Traits(keeps_axes=True)),
        ("Activation", {"activation": "linear"}, IMAGE, Traits(keeps_axes=True, identity=True)),
        ("ActivityRegularization", {}, IMAGE, Traits(keeps_axes=True, identity=True)),
        ("BatchNormalization", {}, IMAGE, Traits(keeps_axes=True)),
        ("MaxPooling2D", {}, IMAGE, Traits(keeps_axes=True)),
        ("Merge", {"mode": "concat"}, IMAGE, Traits(keeps_axes=True)),
        ("Merge", {"mode": "dot"}, ("b", "c"), Traits()),
        ("Reshape", {}, IMAGE, Traits()),
        ("Lambda", {}, None, Traits()),
        ("A class of the user", {"bias": True}, IMAGE, Traits()),
    ],
)
def test_the_traits_of_a_layer(
    layer_class: str, config: Mapping[str, Any], axes: tuple[str, ...] | None, traits: Traits
) -> None:
    assert traits_of(layer_class, config, axes) == traits


def test_a_time_distributed_layer_has_the_traits_of_the_layer_in_it() -> None:
    inner = {"class_name": "Dense", "config": {"activation": "linear"}}
    traits = traits_of("TimeDistributed", {"layer": inner}, ("b", "t", "c"))
    assert traits == Traits(2, adds_bias=True)
    assert traits_of("TimeDistributed", {"layer": None}, ("b", "t", "c")) == Traits()
