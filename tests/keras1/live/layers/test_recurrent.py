"""Recurrent layers, wrappers and embedding of Keras 1: against NumPy, against what must hold."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from normscope.errors import ShapeError, SpecError
from normscope.keras1 import (
    GRU,
    LSTM,
    SGD,
    Bidirectional,
    ConvLSTM2D,
    Convolution2D,
    Dense,
    Embedding,
    Input,
    Masking,
    Model,
    Sequential,
    SimpleRNN,
    TimeDistributed,
)
from normscope.keras1.network.numpy_layers import computed

CLASSES = (SimpleRNN, GRU, LSTM)
SHAPE = (3, 5, 4)  # samples, times, features
RTOL = 2e-5  # float32 against float64, a few steps of a recurrence


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def filled(layer: Any, shape: tuple[int | None, ...] = (None, *SHAPE[1:])) -> Any:
    """The layer with random weights, biases too."""
    if not layer.built:
        layer.build(shape)
    layer.set_weights([0.5 * random(*w.shape, seed=k) for k, w in enumerate(layer.get_weights())])
    return layer


def run(layer: Any, x: np.ndarray, **options: Any) -> np.ndarray:
    return ops.convert_to_numpy(layer(x, **options))


def close(found: Any, wanted: Any) -> None:
    np.testing.assert_allclose(found, wanted, rtol=RTOL, atol=RTOL)


def arrays_of(layer: Any) -> dict[str, np.ndarray]:
    values = layer.get_weights()
    return {w.name: v.astype("float64") for w, v in zip(layer.weights, values, strict=True)}


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("consume_less", ["cpu", "mem", "gpu"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"return_sequences": True},
        {"go_backwards": True, "return_sequences": True},
        {"unroll": True, "return_sequences": True},
        {"activation": "relu"},
    ],
)
def test_the_formula_in_numpy(cls: Any, consume_less: str, options: dict[str, Any]) -> None:
    layer = filled(cls(3, consume_less=consume_less, **options))
    x = random(*SHAPE, seed=9)
    wanted = computed(
        cls.__name__, layer.get_config(), [x.astype("float64")], arrays_of(layer), "theano"
    )
    assert wanted is not None
    close(run(layer, x), wanted)


def test_a_wrong_formula_would_be_noticed() -> None:
    """The twin: with the gates f and c exchanged NumPy says something else."""
    layer = filled(LSTM(3))
    x = random(*SHAPE, seed=9)
    arrays = arrays_of(layer)
    arrays["W_f"], arrays["W_c"] = arrays["W_c"], arrays["W_f"]
    wanted = computed("LSTM", layer.get_config(), [x.astype("float64")], arrays, "theano")
    assert np.abs(run(layer, x) - wanted).max() > 1e-2


def test_the_order_and_the_names_of_the_weights() -> None:
    def names(layer: Any) -> str:
        layer.build((None, 5, 4))
        return " ".join(weight.name for weight in layer.weights)

    assert names(SimpleRNN(3)) == "W U b"
    assert names(GRU(3)) == "W_z U_z b_z W_r U_r b_r W_h U_h b_h"
    assert names(LSTM(3)) == "W_i U_i b_i W_c U_c b_c W_f U_f b_f W_o U_o b_o"
    assert names(LSTM(3, consume_less="gpu")) == "W U b"


def test_the_forget_bias_starts_at_one() -> None:
    apart, joined = LSTM(2), LSTM(2, consume_less="gpu")
    apart.build((None, 5, 4))
    joined.build((None, 5, 4))
    assert arrays_of(apart)["b_f"].tolist() == [1, 1]
    assert arrays_of(joined)["b"].tolist() == [0, 0, 1, 1, 0, 0, 0, 0]  # i, f, c, o
    zero = LSTM(2, forget_bias_init="zero", consume_less="gpu")
    zero.build((None, 5, 4))
    assert not arrays_of(zero)["b"].any()


@pytest.mark.parametrize("cls", CLASSES)
def test_a_masked_end_is_as_if_it_were_not_there(cls: Any) -> None:
    layer = filled(cls(3))
    x = random(*SHAPE)
    mask = np.arange(5) < np.array([[5], [3], [1]])
    found = run(layer, x, mask=mask)
    for sample, length in enumerate((5, 3, 1)):
        close(found[sample], run(layer, x[sample : sample + 1, :length])[0])


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("unroll", [False, True])
def test_a_masked_beginning_gives_zeros(cls: Any, unroll: bool) -> None:
    layer = filled(cls(3, return_sequences=True, unroll=unroll))
    mask = np.array([[False, False, True, True, True]] * 3)
    found = run(layer, random(*SHAPE), mask=mask)
    assert not found[:, :2].any()
    assert found[:, 2:].all()


@pytest.mark.parametrize("cls", CLASSES)
def test_a_stateful_layer_goes_on(cls: Any) -> None:
    x = random(3, 6, 4)
    whole = filled(cls(3, return_sequences=True))
    layer = cls(3, stateful=True, return_sequences=True, batch_input_shape=(3, 3, 4))
    model = Sequential([layer])
    model.set_weights(whole.get_weights())  # states are no weights
    wanted = run(whole, x)
    for _ in range(2):
        halves = [model.predict(x[:, :3]), model.predict(x[:, 3:])]
        close(np.concatenate(halves, axis=1), wanted)
        model.reset_states()


@pytest.mark.parametrize("origin", ["tensorflow", "theano"])
def test_masked_beginning_of_a_stateful_layer(origin: str) -> None:
    """Keras 1 on TensorFlow then showed the state of the last batch, on Theano zeros."""
    layer = SimpleRNN(2, stateful=True, return_sequences=True, origin=origin)
    filled(layer, (1, 3, 4))
    first = run(layer, random(1, 3, 4))
    second = run(layer, random(1, 3, 4), mask=np.array([[False, True, True]]))
    close(second[:, 0], first[:, -1] if origin == "tensorflow" else np.zeros((1, 2)))


def test_a_stateful_layer_can_be_trained() -> None:
    model = Sequential([LSTM(2, stateful=True, batch_input_shape=(3, 5, 4))])
    model.compile("sgd", "mse")
    x, y = random(*SHAPE), random(3, 2)
    assert model.train_on_batch(x, y) > 0
    assert any(np.any(ops.convert_to_numpy(state)) for state in model.layers[0].states)


@pytest.mark.parametrize("layer", [SimpleRNN(2), GRU(2), LSTM(2), LSTM(2, consume_less="gpu")])
def test_gradients_are_those_of_the_loss(layer: Any) -> None:
    model = Sequential([type(layer)(2, consume_less=layer.consume_less, input_shape=(5, 4))])
    filled(model.layers[0])
    model.compile(SGD(lr=1.0), "mse")
    x, y = random(*SHAPE), random(3, 2)
    before = model.get_weights()

    def loss_at(weights: list[np.ndarray]) -> float:
        model.set_weights(weights)
        return float(np.square(run(model, x).astype("float64") - y).mean())

    model.train_on_batch(x, y)
    gradients = [old - new for old, new in zip(before, model.get_weights(), strict=True)]
    for index, gradient in enumerate(gradients):
        step = 1e-2 * random(*gradient.shape, seed=index)
        plus, minus = ([w.copy() for w in before] for _ in range(2))
        plus[index] += step
        minus[index] -= step
        slope = (loss_at(plus) - loss_at(minus)) / 2
        assert slope == pytest.approx(float((gradient * step).sum()), rel=0.02, abs=2e-6)


@pytest.mark.parametrize("cls", CLASSES)
def test_dropout_acts_in_training_alone(cls: Any) -> None:
    plain = filled(cls(3))
    layer = filled(cls(3, dropout_W=0.4, dropout_U=0.4))
    x = random(*SHAPE)
    close(run(layer, x), run(plain, x))
    assert np.abs(run(layer, x, training=True) - run(plain, x)).max() > 1e-3


def test_the_same_features_are_dropped_at_all_times() -> None:
    """With U = 0 and one input at all times, all outputs but for the state itself are alike."""
    layer = SimpleRNN(3, dropout_W=0.5, return_sequences=True)
    filled(layer)
    kernel, recurrent, bias = layer.get_weights()
    layer.set_weights([kernel, 0 * recurrent, bias])
    x = np.repeat(random(3, 1, 4), 5, axis=1)
    y = run(layer, x, training=True)
    close(y, np.repeat(y[:, :1], 5, axis=1))
    assert np.abs(y - run(layer, x)).max() > 1e-3


def test_simple_rnn_drops_its_input_in_the_mode_cpu_alone() -> None:
    x = random(*SHAPE)
    for consume_less, drops in (("cpu", True), ("mem", False), ("gpu", False)):
        layer = filled(SimpleRNN(3, dropout_W=0.5, consume_less=consume_less))
        differs = np.abs(run(layer, x, training=True) - run(layer, x)).max() > 1e-3
        assert differs == drops


def test_dropout_keeps_the_mean() -> None:
    layer = SimpleRNN(4, dropout_W=0.25, activation="linear")
    filled(layer, (None, 1, 6))
    x = np.repeat(random(1, 1, 6), 20_000, axis=0)
    dropped = run(layer, x, training=True)
    np.testing.assert_allclose(dropped.mean(0), run(layer, x[:1])[0], atol=0.05)


@pytest.mark.parametrize("merge_mode", ["sum", "mul", "ave", "concat", None])
@pytest.mark.parametrize("return_sequences", [True, False])
def test_bidirectional(merge_mode: str | None, return_sequences: bool) -> None:
    layer = filled(Bidirectional(GRU(3, return_sequences=return_sequences), merge_mode))
    x = random(*SHAPE)
    weights = layer.get_weights()
    forward = filled(GRU(3, return_sequences=return_sequences))
    backward = filled(GRU(3, return_sequences=return_sequences))
    forward.set_weights(weights[:9])
    backward.set_weights(weights[9:])
    a, b = run(forward, x), run(backward, x[:, ::-1])
    b = b[:, ::-1] if return_sequences else b
    found = layer(x)
    if merge_mode is None:
        close(ops.convert_to_numpy(found[0]), a)
        close(ops.convert_to_numpy(found[1]), b)
        return
    wanted = {
        "sum": a + b,
        "mul": a * b,
        "ave": (a + b) / 2,
        "concat": np.concatenate([a, b], axis=-1),
    }[merge_mode]
    close(ops.convert_to_numpy(found), wanted)
    assert tuple(found.shape) == layer.compute_output_shape(x.shape)


def test_the_layers_inside_a_bidirectional_have_the_names_of_keras_1() -> None:
    layer = Bidirectional(LSTM(3, name="memory"))
    assert (layer.forward_layer.name, layer.backward_layer.name) == (
        "forward_memory",
        "backward_memory",
    )
    assert layer.get_config()["layer"]["config"]["name"] == "memory"


def test_time_distributed_is_the_layer_at_each_time() -> None:
    inner = Convolution2D(2, 3, 3, dim_ordering="th", border_mode="same")
    layer = TimeDistributed(inner)
    x = random(2, 3, 4, 5, 6)
    found = run(layer, x)
    assert found.shape == layer.compute_output_shape(x.shape)
    for time in range(3):
        close(found[:, time], run(inner, x[:, time]))


def test_time_distributed_around_a_model_passes_the_mask_on() -> None:
    step = Sequential([Dense(3, input_dim=4), Dense(2)])
    x = Input(shape=(None, 4))
    model = Model(input=x, output=LSTM(2)(TimeDistributed(step)(Masking()(x))))
    data = random(*SHAPE)
    data[1, 3:] = 0
    whole, short = model.predict(data), model.predict(data[1:2, :3])
    close(whole[1], short[0])


def test_embedding() -> None:
    layer = Embedding(10, 4, mask_zero=True)
    indices = np.array([[1, 9, 0], [3, 0, 0]])
    found = run(layer, indices)
    (table,) = layer.get_weights()
    np.testing.assert_array_equal(found, table[indices])
    np.testing.assert_array_equal(ops.convert_to_numpy(layer.compute_mask(indices)), indices != 0)
    assert np.abs(table).max() <= 0.05


def test_embedding_drops_rows_for_the_whole_batch() -> None:
    layer = Embedding(50, 4, dropout=0.5)
    indices = np.tile(np.arange(50), (2, 1))
    found = run(layer, indices, training=True)
    (table,) = layer.get_weights()
    np.testing.assert_array_equal(found[0], found[1])
    kept = found[0].any(-1)
    assert 5 < kept.sum() < 45
    close(found[0][kept], 2 * table[kept])


@pytest.mark.parametrize("border_mode", ["valid", "same"])
@pytest.mark.parametrize("origin", ["tensorflow", "theano"])
def test_conv_lstm_is_the_same_for_either_ordering(border_mode: str, origin: str) -> None:
    options = {"border_mode": border_mode, "return_sequences": True, "origin": origin}
    first = ConvLSTM2D(3, 2, 3, dim_ordering="th", subsample=(2, 1), **options)
    last = ConvLSTM2D(3, 2, 3, dim_ordering="tf", subsample=(2, 1), **options)
    x = random(2, 3, 2, 6, 5)
    filled(first, x.shape)
    last.build((2, 3, 6, 5, 2))
    last.set_weights([w.transpose(2, 3, 1, 0) if w.ndim == 4 else w for w in first.get_weights()])
    wanted = run(first, x)
    assert wanted.shape == first.compute_output_shape(x.shape)
    close(np.moveaxis(run(last, np.moveaxis(x, 2, -1)), -1, 2), wanted)


def test_conv_lstm_of_one_pixel_is_an_lstm() -> None:
    images = filled(ConvLSTM2D(3, 1, 1, dim_ordering="tf"), (None, 5, 1, 1, 4))
    vectors = filled(LSTM(3))
    vectors.set_weights(
        [w.reshape(w.shape[-2:]) if w.ndim > 1 else w for w in images.get_weights()]
    )
    x = random(*SHAPE)
    close(run(images, x[:, :, None, None])[:, 0, 0], run(vectors, x))


def test_conv_lstm_drops_in_training_alone() -> None:
    layer = filled(ConvLSTM2D(2, 3, 3, dropout_W=0.5, dropout_U=0.5), (2, 3, 4, 4, 2))
    x = random(2, 3, 4, 4, 2)
    assert np.abs(run(layer, x, training=True) - run(layer, x)).max() > 1e-3


LAYERS = {
    "SimpleRNN": (lambda: SimpleRNN(3, W_regularizer="l2", dropout_U=0.1), SHAPE),
    "GRU": (lambda: GRU(3, go_backwards=True, inner_activation="sigmoid"), SHAPE),
    "LSTM": (lambda: LSTM(3, consume_less="gpu", forget_bias_init="zero"), SHAPE),
    "Bidirectional": (lambda: Bidirectional(LSTM(3), merge_mode="ave"), SHAPE),
    "TimeDistributed": (lambda: TimeDistributed(Dense(2)), SHAPE),
    "ConvLSTM2D": (lambda: ConvLSTM2D(2, 3, 3, border_mode="same"), (2, 3, 4, 5, 2)),
}


def settings(layer: Any) -> dict[str, Any]:
    """The config, without what Keras 1 adds for an input_dim that it wrote itself."""
    config = layer.get_config()
    if "layer" in config:
        config["layer"]["config"] = {**config["layer"]["config"]}
    for part in (config, config.get("layer", {}).get("config", {})):
        part.pop("batch_input_shape", None)
        part.pop("input_dtype", None)
    return config


@pytest.mark.parametrize("name", LAYERS)
def test_saved_and_loaded(name: str, tmp_path: Path) -> None:
    make, shape = LAYERS[name]
    x = Input(shape=shape[1:])
    model = Model(input=x, output=make()(x))
    filled(model.layers[1], shape)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert settings(again.layers[1]) == settings(model.layers[1])
    np.testing.assert_array_equal(again.predict(random(*shape)), model.predict(random(*shape)))


def test_what_is_refused() -> None:
    with pytest.raises(ShapeError, match="known number of times"):
        SimpleRNN(3, unroll=True)(Input(shape=(None, 4)))
    with pytest.raises(ShapeError, match="size of the batch"):
        LSTM(3, stateful=True).build((None, 5, 4))
    with pytest.raises(SpecError, match="consume_less is one of"):
        GRU(3, consume_less="disk")
    with pytest.raises(SpecError, match="no states to reset"):
        GRU(3).reset_states()
    with pytest.raises(SpecError, match="recurrent layer, not Dense"):
        Bidirectional(Dense(3))
    with pytest.raises(SpecError, match="merge_mode is one of"):
        Bidirectional(GRU(3), merge_mode="max")
    with pytest.raises(TypeError, match="no argument 'units'"):
        LSTM(3, units=3)


def test_every_pair_of_options_builds() -> None:
    for cls, consume_less, unroll, sequences in itertools.product(
        CLASSES, ("cpu", "mem", "gpu"), (False, True), (False, True)
    ):
        layer = cls(2, consume_less=consume_less, unroll=unroll, return_sequences=sequences)
        assert run(layer, random(*SHAPE)).shape == layer.compute_output_shape(SHAPE)
