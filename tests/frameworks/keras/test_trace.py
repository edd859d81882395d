"""The operator graph of Keras models, on the backend that the process runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from frameworks.keras.traced import called, live_of, replayed, sequential, traced
from normscope.frameworks.keras.live import KerasLive
from normscope.frameworks.keras.state import value_of
from normscope.graph.operators import CannotTraceError, Role
from normscope.graph.proof import Verdict, causal, samples_apart
from normscope.graph.sites import find_sites

RNG = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype("float32")


class Cell(layers.SimpleRNNCell):
    """A recurrent cell that normalizes what it gives."""

    def __init__(self, units: int, **named: Any) -> None:
        super().__init__(units, **named)
        self.norm = layers.LayerNormalization(name="norm")

    def build(self, shape: Any) -> None:
        super().build(shape)
        self.norm.build((shape[0], self.units))

    def call(self, x: Any, states: Any, training: bool = False) -> Any:
        output, _ = super().call(x, states)
        output = self.norm(output)
        return output, [output]


class TwoOutputs(keras.Model):
    """A model of a user's own, which gives a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(5, name="dense")
        self.norm = layers.BatchNormalization(name="norm")

    def call(self, x: Any, training: bool | None = None) -> Any:
        return {"y": self.norm(self.dense(x), training=training), "mean": ops.mean(x, 1)}


def small_cnn() -> Any:
    """The founding bug as it is made today: the default axis after channels first."""
    return sequential(
        (3, 12, 12),
        layers.Conv2D(8, 3, data_format="channels_first", padding="same", name="conv"),
        layers.BatchNormalization(name="bn"),
        layers.ReLU(),
        layers.Flatten(),
        layers.Dense(4, name="dense"),
    )


def attention() -> Any:
    x = keras.Input((6, 8))
    y = layers.MultiHeadAttention(2, 4, name="attention")(x, x, use_causal_mask=True)
    return keras.Model(x, layers.LayerNormalization(name="norm")(layers.Add()([x, y])))


def masked() -> Any:
    x = keras.Input((6,), dtype="int32")
    y = layers.Embedding(10, 8, mask_zero=True, name="embedding")(x)
    return keras.Model(x, layers.LSTM(4, name="lstm")(y))


def shared() -> Any:
    a, b = keras.Input((4,)), keras.Input((4,))
    dense = layers.Dense(3, name="dense")
    return keras.Model([a, b], [dense(a), dense(b), layers.Concatenate()([dense(a), b])])


def nested() -> Any:
    x = keras.Input((8,))
    block = sequential((8,), layers.Dense(8), layers.LayerNormalization(name="norm"))
    block.name = "block"
    return keras.Model(x, layers.Dense(2)(block(x)))


MODELS: dict[str, tuple[Callable[[], Any], Any]] = {
    "cnn": (small_cnn, floats(4, 3, 12, 12)),
    "pooled": (
        lambda: sequential(
            (12, 12, 3),
            layers.Conv2D(8, 3, strides=2, padding="same"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(2),
            layers.DepthwiseConv2D(3, padding="same"),
            layers.GlobalAveragePooling2D(),
            layers.LayerNormalization(),
        ),
        floats(4, 12, 12, 3),
    ),
    "norms": (
        lambda: sequential(
            (8, 8, 4),
            layers.GroupNormalization(2),
            layers.UnitNormalization(),
            layers.SpectralNormalization(layers.Conv2D(4, 3)),
            layers.RMSNormalization(),
            layers.Conv2DTranspose(3, 2, strides=2),
            layers.UpSampling2D(),
            layers.ZeroPadding2D(),
            layers.AveragePooling2D(2),
        ),
        floats(4, 8, 8, 4),
    ),
    "lstm": (
        lambda: sequential((5, 3), layers.LSTM(4, return_sequences=True), layers.GRU(3)),
        floats(4, 5, 3),
    ),
    "cell": (
        lambda: sequential(
            (5, 3), layers.RNN(Cell(4, name="cell"), return_sequences=True, name="rnn")
        ),
        floats(4, 5, 3),
    ),
    "both directions": (
        lambda: sequential(
            (5, 3),
            layers.Bidirectional(layers.LSTM(4, return_sequences=True)),
            layers.TimeDistributed(layers.Dense(2)),
            layers.LayerNormalization(),
        ),
        floats(4, 5, 3),
    ),
    "masked": (masked, RNG.integers(0, 3, (4, 6)).astype("int32")),
    "attention": (attention, floats(4, 6, 8)),
    "preprocessing": (
        lambda: sequential(
            (8, 8, 3),
            layers.Rescaling(1 / 255),
            layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[1.0, 1.0, 2.0], name="adapted"),
            layers.Resizing(4, 4),
        ),
        floats(4, 8, 8, 3),
    ),
    "own class": (TwoOutputs, floats(4, 6)),
    "shared": (shared, [floats(4, 4), floats(4, 4)]),
    "nested": (nested, floats(4, 8)),
    "lambda": (
        lambda: sequential(
            (6,), layers.Lambda(lambda x: x / ops.norm(x, axis=-1, keepdims=True), name="mine")
        ),
        floats(4, 6),
    ),
    "mixed precision": (
        lambda: sequential(
            (8,),
            layers.Dense(4, dtype="mixed_bfloat16"),
            layers.BatchNormalization(dtype="mixed_bfloat16"),
        ),
        floats(4, 8),
    ),
    "einsum": (
        lambda: sequential((9, 4), layers.EinsumDense("abc,cd->abd", (None, 6), bias_axes="d")),
        floats(4, 9, 4),
    ),
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_the_graph_computes_what_the_model_does(name: str, training: bool) -> None:
    """And batch norm couples samples, in training alone."""
    make, inputs = MODELS[name]
    model = make()
    if not model.built:
        model(inputs)
    graph = traced(model, inputs, training)
    assert not graph.blind
    assert not graph.unknown_operators
    parts = [type(layer).__name__ for layer in model._flatten_layers()]
    couples = training and "BatchNormalization" in parts
    proof = samples_apart(graph, [0] * len(graph.inputs))
    assert proof.verdict == (Verdict.MEET if couples else Verdict.APART)
    wanted = called(model, inputs, training)
    for one, other in zip(replayed(graph, inputs), wanted, strict=True):
        loose = 2e-2 if name == "mixed precision" else 1e-4
        np.testing.assert_allclose(one, other, rtol=loose, atol=loose)


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        ("cnn", {"bn"}),
        ("attention", {"norm"}),
        ("own class", {"norm"}),
        ("nested", {"block/norm"}),
        ("cell", {"rnn/cell/norm"}),
        ("lambda", {"mine"}),
    ],
)
def test_what_normalizes_is_found_by_its_path(name: str, paths: set[str]) -> None:
    make, inputs = MODELS[name]
    model = make()
    if not model.built:
        model(inputs)
    sites = find_sites(traced(model, inputs, True))
    assert {site.path for site in sites if not site.dismissed} == paths


def test_a_cell_that_is_tried_first_is_told_once() -> None:
    make, inputs = MODELS["cell"]
    sites = [site for site in find_sites(traced(make(), inputs, True)) if not site.dismissed]
    steps = 5 if keras.backend.backend() == "torch" else 1  # which does not know loops
    assert len(sites) in (steps, steps + 1 if steps > 1 else steps)


def test_each_call_of_a_layer_has_its_values() -> None:
    make, inputs = MODELS["shared"]
    graph = traced(make(), inputs, False)
    calls = [call for call in graph.calls if call.path == "dense"]
    assert [call.number for call in calls] == [1, 2, 3]
    assert calls[0].inputs == (graph.inputs[0],)
    assert calls[1].inputs == (graph.inputs[1],)
    assert all(len(call.outputs) == 1 and call.type == "Dense" for call in calls)
    assert graph.calls[0].inputs == tuple(graph.inputs)
    assert graph.calls[0].outputs == tuple(graph.outputs)
    assert len(graph.output_names) == 3


def test_products_tell_the_axis_of_their_channels() -> None:
    make, inputs = MODELS["cnn"]
    graph = traced(make(), inputs, False)
    products = [node for node in graph.nodes if node.role is Role.PRODUCT and node.live]
    assert [node.path for node in products] == ["conv", "dense"]
    assert products[-1].channel_axis in (1, -1)
    named = {value.name for node in graph.nodes for value in node.operands if value.is_parameter}
    assert any(name.endswith("conv/kernel") for name in named)


def test_a_causal_mask_is_proved() -> None:
    make, inputs = MODELS["attention"]
    graph = traced(make(), inputs, False)
    assert causal(graph, [1]).verdict is Verdict.APART
    make, inputs = MODELS["both directions"]
    graph = traced(make(), inputs, False)
    assert causal(graph, [1]).verdict is not Verdict.APART


def test_a_recurrent_layer_is_causal() -> None:
    model = sequential((5, 3), layers.SimpleRNN(4, return_sequences=True))
    assert causal(traced(model, floats(4, 5, 3), False), [1]).verdict is Verdict.APART


@pytest.mark.parametrize("name", ["pooled", "own class", "norms", "masked"])
@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_as_it_was(name: str, training: bool) -> None:
    make, inputs = MODELS[name]
    model = make()
    if not model.built:
        model(inputs)
    before = {v.path: value_of(v) for v in model.variables}
    parts = list(model._flatten_layers())
    attributes = [set(vars(part)) for part in parts]
    filtered = keras.config.is_traceback_filtering_enabled()
    traced(model, inputs, training)
    assert [set(vars(part)) for part in model._flatten_layers()] == attributes
    for variable in model.variables:
        assert np.array_equal(before[variable.path], value_of(variable)), variable.path
    assert "call" not in vars(model)
    assert "normscope" not in keras.layers.Layer.__call__.__module__
    assert keras.config.is_traceback_filtering_enabled() == filtered


def test_random_numbers_go_on_as_if_nothing_had_happened() -> None:
    model = sequential((6,), layers.Dropout(0.5))
    x = floats(4, 6)
    state = [value_of(v) for v in model.variables]
    traced(model, x, True)
    assert all(np.array_equal(a, value_of(v)) for a, v in zip(state, model.variables, strict=True))


def test_what_raises_is_put_back_too() -> None:
    class Raising(layers.Layer):
        def call(self, x: Any) -> Any:
            raise OSError("no")

        def compute_output_spec(self, x: Any) -> Any:
            return keras.KerasTensor(x.shape, x.dtype)

    model = sequential((6,), Raising())
    original = keras.layers.Layer.__call__
    with pytest.raises(CannotTraceError, match="no"):
        traced(model, floats(4, 6), False)
    assert keras.layers.Layer.__call__ is original


EXAMPLES: dict[str, tuple[Callable[[], Any], Any]] = {
    "cnn": (small_cnn, (4, 3, 12, 12)),
    "masked": (masked, (4, 6)),
    "shared": (shared, [(4, 4), (4, 4)]),
    "open lengths": (
        lambda: sequential((None, None, 3), layers.Conv2D(2, 3)),
        (4, 64, 66, 3),
    ),
    "open steps": (lambda: sequential((None, 3), layers.LSTM(2)), (4, 6, 3)),
    "fixed batch": (lambda: sequential((3,), layers.Dense(2), batch_size=2), (2, 3)),
    "no shapes": (TwoOutputs, None),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_model_tells_inputs_of_its_own_shapes(name: str) -> None:
    make, expected = EXAMPLES[name]
    model = make()
    example = KerasLive(model, _nothing).example() if model.built else None
    if isinstance(expected, list):
        assert [array.shape for array in example] == expected
    elif expected is None:
        assert example is None
    else:
        assert example.shape == expected
        assert example.dtype == ("int32" if name == "masked" else "float32")


def _nothing(live: Any) -> Any:
    raise AssertionError("the model is built")


def test_a_model_that_is_too_large_tells_none() -> None:
    model = sequential((2**14, 2**14), layers.ReLU())
    assert live_of(model, np.zeros((1, 1, 1), "float32")).example() is None


def test_lines_of_the_program_are_told() -> None:
    class Mine(layers.Layer):
        def call(self, x: Any) -> Any:
            return x / ops.norm(x, axis=-1, keepdims=True)

    graph = traced(sequential((6,), Mine()), floats(4, 6), False)
    assert all("test_trace.py:" in node.source for node in graph.nodes if node.live)
    outside = traced(sequential((6,), layers.LayerNormalization()), floats(4, 6), False)
    assert not any(node.source for node in outside.nodes if node.live)
