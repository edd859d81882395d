"""What every layer of Keras 1 must do here: weights, configs, saving; and what no model shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from normscope import keras1 as k
from normscope.errors import ShapeError, SpecError

RNG = np.random.default_rng(0)
VECTORS = RNG.standard_normal((3, 6)).astype("float32")
STEPS = RNG.standard_normal((2, 8, 3)).astype("float32")
IMAGES = RNG.standard_normal((2, 7, 6, 3)).astype("float32")
VOLUMES = RNG.standard_normal((2, 5, 4, 6, 2)).astype("float32")

# A layer of each class, with an input, its output shape and the shapes of its weights.
LAYERS: list[tuple[Callable[[], Any], np.ndarray, tuple[int, ...], list[tuple[int, ...]]]] = [
    (lambda: k.Dense(4), VECTORS, (3, 4), [(6, 4), (4,)]),
    (lambda: k.Dense(4), STEPS, (2, 8, 4), [(3, 4), (4,)]),
    (lambda: k.TimeDistributedDense(4), STEPS, (2, 8, 4), [(3, 4), (4,)]),
    (lambda: k.MaxoutDense(4, 2), VECTORS, (3, 4), [(2, 6, 4), (2, 4)]),
    (lambda: k.Highway(), VECTORS, (3, 6), [(6, 6), (6, 6), (6,), (6,)]),
    (lambda: k.Activation("softplus"), VECTORS, (3, 6), []),
    (lambda: k.ActivityRegularization(0.1, 0.2), VECTORS, (3, 6), []),
    (lambda: k.Flatten(), IMAGES, (2, 126), []),
    (lambda: k.Reshape((3, -1)), VECTORS, (3, 3, 2), []),
    (lambda: k.Permute((2, 1)), STEPS, (2, 3, 8), []),
    (lambda: k.RepeatVector(5), VECTORS, (3, 5, 6), []),
    (lambda: k.Masking(1.0), STEPS, (2, 8, 3), []),
    (lambda: k.Dropout(0.5), VECTORS, (3, 6), []),
    (lambda: k.SpatialDropout1D(0.5), STEPS, (2, 8, 3), []),
    (lambda: k.SpatialDropout2D(0.5), IMAGES, (2, 7, 6, 3), []),
    (lambda: k.SpatialDropout3D(0.5), VOLUMES, (2, 5, 4, 6, 2), []),
    (lambda: k.GaussianNoise(0.5), VECTORS, (3, 6), []),
    (lambda: k.GaussianDropout(0.5), VECTORS, (3, 6), []),
    (lambda: k.Convolution1D(4, 3), STEPS, (2, 6, 4), [(3, 1, 3, 4), (4,)]),
    (lambda: k.Convolution1D(4, 3, border_mode="full"), STEPS, (2, 10, 4), [(3, 1, 3, 4), (4,)]),
    (lambda: k.AtrousConvolution1D(4, 3, atrous_rate=2), STEPS, (2, 4, 4), [(3, 1, 3, 4), (4,)]),
    (lambda: k.Convolution2D(4, 3, 2), IMAGES, (2, 5, 5, 4), [(3, 2, 3, 4), (4,)]),
    (
        lambda: k.Convolution2D(4, 3, 2, dim_ordering="th", bias=False),
        IMAGES,
        (2, 4, 4, 2),
        [(4, 7, 3, 2)],
    ),
    (
        lambda: k.AtrousConvolution2D(4, 2, 2, atrous_rate=(2, 2)),
        IMAGES,
        (2, 5, 4, 4),
        [(2, 2, 3, 4), (4,)],
    ),
    (
        lambda: k.Deconvolution2D(4, 3, 3, output_shape=(None, 15, 13, 4), subsample=(2, 2)),
        IMAGES,
        (2, 15, 13, 4),
        [(3, 3, 3, 4), (4,)],
    ),
    (
        lambda: k.SeparableConvolution2D(4, 3, 3, depth_multiplier=2),
        IMAGES,
        (2, 5, 4, 4),
        [(3, 3, 3, 2), (1, 1, 6, 4), (4,)],
    ),
    (lambda: k.Convolution3D(3, 2, 3, 2), VOLUMES, (2, 4, 2, 5, 3), [(2, 3, 2, 2, 3), (3,)]),
    (lambda: k.LocallyConnected1D(4, 3), STEPS, (2, 6, 4), [(6, 9, 4), (6, 4)]),
    (lambda: k.LocallyConnected2D(4, 3, 2), IMAGES, (2, 5, 5, 4), [(25, 18, 4), (5, 5, 4)]),
    (lambda: k.ZeroPadding1D(2), STEPS, (2, 12, 3), []),
    (lambda: k.ZeroPadding1D({"left_pad": 2}), STEPS, (2, 10, 3), []),
    (lambda: k.ZeroPadding2D((1, 2, 3, 0)), IMAGES, (2, 10, 9, 3), []),
    (lambda: k.ZeroPadding2D({"top_pad": 1}), IMAGES, (2, 8, 6, 3), []),
    (lambda: k.ZeroPadding3D((1, 2, 1)), VOLUMES, (2, 7, 8, 8, 2), []),
    (lambda: k.Cropping1D((1, 2)), STEPS, (2, 5, 3), []),
    (lambda: k.Cropping2D(((1, 2), (0, 1))), IMAGES, (2, 4, 5, 3), []),
    (lambda: k.Cropping3D(((1, 1), (0, 1), (2, 1))), VOLUMES, (2, 3, 3, 3, 2), []),
    (lambda: k.UpSampling1D(3), STEPS, (2, 24, 3), []),
    (lambda: k.UpSampling2D((2, 3)), IMAGES, (2, 14, 18, 3), []),
    (lambda: k.UpSampling3D((2, 1, 2)), VOLUMES, (2, 10, 4, 12, 2), []),
    (lambda: k.MaxPooling1D(2), STEPS, (2, 4, 3), []),
    (lambda: k.AveragePooling1D(3, stride=2, border_mode="same"), STEPS, (2, 4, 3), []),
    (lambda: k.MaxPooling2D(), IMAGES, (2, 3, 3, 3), []),
    (lambda: k.AveragePooling2D(dim_ordering="th"), IMAGES, (2, 7, 3, 1), []),
    (lambda: k.MaxPooling3D(), VOLUMES, (2, 2, 2, 3, 2), []),
    (lambda: k.AveragePooling3D(), VOLUMES, (2, 2, 2, 3, 2), []),
    (lambda: k.GlobalMaxPooling1D(), STEPS, (2, 3), []),
    (lambda: k.GlobalAveragePooling1D(), STEPS, (2, 3), []),
    (lambda: k.GlobalMaxPooling2D(), IMAGES, (2, 3), []),
    (lambda: k.GlobalAveragePooling2D(dim_ordering="th"), IMAGES, (2, 7), []),
    (lambda: k.GlobalMaxPooling3D(), VOLUMES, (2, 2), []),
    (lambda: k.GlobalAveragePooling3D(), VOLUMES, (2, 2), []),
    (lambda: k.BatchNormalization(), VECTORS, (3, 6), [(6,)] * 4),
    (lambda: k.BatchNormalization(axis=1), IMAGES, (2, 7, 6, 3), [(7,)] * 4),
    (lambda: k.BatchNormalization(mode=2), STEPS, (2, 8, 3), [(3,)] * 4),
    (lambda: k.LeakyReLU(), VECTORS, (3, 6), []),
    (lambda: k.ELU(0.7), VECTORS, (3, 6), []),
    (lambda: k.ThresholdedReLU(0.4), VECTORS, (3, 6), []),
    (lambda: k.PReLU(), STEPS, (2, 8, 3), [(8, 3)]),
    (lambda: k.PReLU(shared_axes=[1, 2]), IMAGES, (2, 7, 6, 3), [(1, 1, 3)]),
    (lambda: k.ParametricSoftplus(), VECTORS, (3, 6), [(6,), (6,)]),
    (lambda: k.SReLU(), STEPS, (2, 8, 3), [(8, 3)] * 4),
]

IDS = [f"{make().__class__.__name__}-{number}" for number, (make, *_) in enumerate(LAYERS)]


@pytest.mark.parametrize(("make", "x", "output", "weights"), LAYERS, ids=IDS)
def test_shapes_config_and_saving(
    make: Callable[[], Any],
    x: np.ndarray,
    output: tuple[int, ...],
    weights: list[tuple[int, ...]],
    tmp_path: Path,
) -> None:
    layer = make()
    entry = k.Input(shape=x.shape[1:])
    model = k.Model(input=entry, output=layer(entry))
    assert model.output_shape == (None, *output[1:])
    assert [array.shape for array in layer.get_weights()] == weights
    assert layer.compute_output_shape((None, *x.shape[1:])) == (None, *output[1:])
    assert layer.name.startswith(type(layer).__name__.lower() + "_")

    # Weights that are not those of a new layer, and positive as a running variance must be.
    model.set_weights([np.abs(RNG.standard_normal(shape)) + 0.1 for shape in weights])
    y = model.predict(x)
    assert y.shape == output

    config = layer.get_config()
    text = json.loads(json.dumps(config))
    again = json.loads(json.dumps(type(layer).from_config(text).get_config()))
    for key in ("batch_input_shape", "input_dtype"):  # follow from an input_dim, as in Keras 1
        again.pop(key, None)
    assert again == text

    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(x), y)
    assert isinstance(loaded, k.Model)


def test_every_layer_of_the_package_is_tested() -> None:
    elsewhere = {
        *("SimpleRNN", "GRU", "LSTM", "ConvLSTM2D", "Embedding", "TimeDistributed"),
        *("Bidirectional", "Lambda", "Merge", "InputLayer", "Layer"),
    }
    from normscope.keras1.live.layers.base import Keras1Layer

    classes = {
        name
        for name in k.__all__
        if isinstance(getattr(k, name), type) and issubclass(getattr(k, name), Keras1Layer)
    }
    tested = {make().__class__.__name__ for make, *_ in LAYERS}
    assert {getattr(k, name).__name__ for name in classes} - elsewhere == tested


# --- arguments ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: k.Dense(4, units=3), TypeError, "no argument 'units'"),
        (lambda: k.Dense(4, init="glorot"), SpecError, "has no init 'glorot'"),
        (lambda: k.Dense(4, activation="gelu"), SpecError, "no activation 'gelu'"),
        (lambda: k.Dense(4, W_regularizer="l3"), SpecError, "no regularizer 'l3'"),
        (lambda: k.Dense(4, W_constraint="l3"), SpecError, "no constraint 'l3'"),
        (lambda: k.Dense(4, origin="cntk"), SpecError, "origin is one of"),
        (lambda: k.Convolution2D(4, 3, 3, border_mode="causal"), SpecError, "border_mode is one"),
        (lambda: k.Convolution2D(4, 3, 3, dim_ordering="nchw"), SpecError, "dim_ordering is 'tf'"),
        (lambda: k.Dropout(1.5), SpecError, "from 0 to 1"),
        (lambda: k.ZeroPadding2D((1, 2, 3)), SpecError, "top, bottom, left, right"),
        (lambda: k.Lambda("code"), SpecError, "is not run from a file"),
        (lambda: k.Merge.from_config({"mode_type": "lambda"}), SpecError, "is not run from a file"),
        (lambda: k.Reshape((4, 2))(VECTORS), ShapeError, "cannot be given the shape"),
        (lambda: k.Dense(2)(k.Input(shape=(None,))), ShapeError, "needs a size"),
        (lambda: k.Dense(3, init="identity")(VECTORS), ShapeError, "square"),
    ],
)
def test_what_is_refused(make: Callable[[], Any], error: type[Exception], text: str) -> None:
    # Keras makes another exception of one that is raised while it computes.
    with pytest.raises((error, TypeError), match=text):
        make()


@pytest.mark.parametrize("name", ["Graph", "model_from_yaml"])
def test_names_that_cannot_be_served_say_what_to_use(name: str) -> None:
    with pytest.raises(SpecError, match="cannot be served; use"):
        getattr(k, name)


def test_an_unknown_name_is_no_attribute() -> None:
    assert not hasattr(k, "NoSuchLayer")


# --- values that the models of the golden data do not show ----------------------------------------


def total(losses: list[Any]) -> np.ndarray:
    return np.sum([ops.convert_to_numpy(loss) for loss in losses])


def test_activity_regularization_is_summed_over_the_batch() -> None:
    """Keras 3 divides by the size of the batch, Keras 1 does not."""
    layer = k.ActivityRegularization(l1=0.1, l2=0.2)
    layer(VECTORS)
    wanted = 0.1 * np.abs(VECTORS).sum() + 0.2 * np.square(VECTORS).sum()
    np.testing.assert_allclose(total(layer.losses), wanted, rtol=1e-5)


def test_weight_regularizers_and_constraints() -> None:
    layer = k.Dense(4, W_regularizer=k.l1l2(0.1, 0.2), W_constraint=k.maxnorm(0.5))
    layer(VECTORS)
    kernel = layer.get_weights()[0]
    wanted = 0.1 * np.abs(kernel).sum() + 0.2 * np.square(kernel).sum()
    np.testing.assert_allclose(total(layer.losses), wanted, rtol=1e-5)
    held = ops.convert_to_numpy(layer.W.constraint(ops.convert_to_tensor(kernel * 10)))
    np.testing.assert_allclose(np.linalg.norm(held, axis=0), 0.5, rtol=1e-5)


def test_eigenvalue_regularizer() -> None:
    kernel = RNG.standard_normal((5, 3)).astype("float32")
    largest = np.linalg.eigvalsh(kernel.T @ kernel).max()
    found = float(k.EigenvalueRegularizer(2.0)(ops.convert_to_tensor(kernel)))
    np.testing.assert_allclose(found, 2 * np.sqrt(largest), rtol=0.02)


@pytest.mark.parametrize(
    ("init", "deviation"),
    [
        ("uniform", 0.1 / np.sqrt(12)),
        ("normal", 0.05),
        ("lecun_uniform", np.sqrt(1 / 900)),
        ("glorot_uniform", np.sqrt(2 / 2500)),
        ("glorot_normal", np.sqrt(2 / 2500)),
        ("he_uniform", np.sqrt(2 / 900)),
        ("he_normal", np.sqrt(2 / 900)),
        ("zero", 0.0),
    ],
)
def test_initializations(init: str, deviation: float) -> None:
    layer = k.Convolution2D(64, 3, 3, init=init, dim_ordering="tf", bias=False)
    layer.build((None, 8, 8, 100))
    kernel = layer.get_weights()[0].copy()
    fan_in, fan_out = 900, 576
    if "glorot" in init:
        deviation *= np.sqrt(2500 / (fan_in + fan_out))
    np.testing.assert_allclose(kernel.std(), deviation, rtol=0.02)
    if init == "he_normal":  # not truncated
        assert np.abs(kernel).max() > 3.5 * deviation


def test_orthogonal() -> None:
    layer = k.Dense(4, init="orthogonal", bias=False)
    layer(VECTORS)
    kernel = layer.get_weights()[0]
    np.testing.assert_allclose(kernel.T @ kernel, 1.21 * np.eye(4), atol=1e-5)


def test_noise_acts_in_training_alone() -> None:
    ones = np.ones((50, 40), "float32")
    for layer, mean, deviation in (
        (k.Dropout(0.25), 1.0, np.sqrt(1 / 3)),
        (k.GaussianNoise(0.5), 1.0, 0.5),
        (k.GaussianDropout(0.2), 1.0, 0.5),
    ):
        np.testing.assert_array_equal(ops.convert_to_numpy(layer(ones)), ones)
        y = ops.convert_to_numpy(layer(ones, training=True))
        np.testing.assert_allclose(y.mean(), mean, atol=0.06)
        np.testing.assert_allclose(y.std(), deviation, atol=0.06)


def test_spatial_dropout_drops_channels() -> None:
    y = ops.convert_to_numpy(
        k.SpatialDropout2D(0.5, dim_ordering="th")(np.ones((20, 30, 4, 5), "f"), training=True)
    )
    assert {0.0, 2.0} == set(np.unique(y))
    assert (y == y[:, :, :1, :1]).all()


def test_lambda_and_merge_of_a_function() -> None:
    a = k.Input(shape=(6,))
    doubled = k.Lambda(lambda x, by: x * by, arguments={"by": 2.0})(a)
    model = k.Model(input=a, output=k.merge([a, doubled], mode=lambda xs: xs[0] - xs[1]))
    np.testing.assert_allclose(model.predict(VECTORS), -VECTORS, rtol=1e-6)


def with_weights(layer: Any, x: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """The output with weights that are all different, and the weights."""
    layer.build(x.shape)
    layer.set_weights([RNG.standard_normal(w.shape) for w in layer.weights])
    return ops.convert_to_numpy(layer(x)), layer.get_weights()


def test_maxout() -> None:
    y, (kernel, bias) = with_weights(k.MaxoutDense(4, 3), VECTORS)
    wanted = (np.einsum("bi,fio->bfo", VECTORS, kernel) + bias).max(axis=1)
    np.testing.assert_allclose(y, wanted, rtol=1e-5, atol=1e-6)


def test_parametric_softplus() -> None:
    y, (alphas, betas) = with_weights(k.ParametricSoftplus(), VECTORS)
    np.testing.assert_allclose(y, alphas * np.logaddexp(0, betas * VECTORS), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("hard_sigmoid", lambda x: np.clip(0.2 * x + 0.5, 0, 1)),
        ("elu", lambda x: np.where(x > 0, x, np.exp(x) - 1)),
        ("softsign", lambda x: x / (1 + np.abs(x))),
        ("softplus", lambda x: np.log1p(np.exp(x))),
        ("relu", lambda x: np.maximum(x, 0)),
    ],
)
def test_activations(name: str, wanted: Callable[[np.ndarray], np.ndarray]) -> None:
    y = ops.convert_to_numpy(k.Activation(name)(3 * VECTORS))
    np.testing.assert_allclose(y, wanted(3 * VECTORS), rtol=1e-5, atol=1e-6)


def test_a_sequential_inside_a_sequential() -> None:
    inner = k.Sequential([k.Dense(3, input_dim=6), k.Activation("tanh")], name="inner")
    model = k.Sequential([inner, k.Dense(2)])
    assert [w.shape for w in model.get_weights()] == [(6, 3), (3,), (3, 2), (2,)]
    first, bias, second, last = model.get_weights()
    wanted = np.tanh(VECTORS @ first + bias) @ second + last
    np.testing.assert_allclose(model.predict(VECTORS), wanted, rtol=1e-5, atol=1e-6)


def test_padding_cropping_and_upsampling_with_channels_first() -> None:
    x = np.moveaxis(IMAGES, -1, 1)
    for first, last in (
        (k.ZeroPadding2D((1, 2, 3, 0), "th"), k.ZeroPadding2D((1, 2, 3, 0), "tf")),
        (k.Cropping2D(((1, 2), (0, 1)), "th"), k.Cropping2D(((1, 2), (0, 1)), "tf")),
        (k.UpSampling2D((2, 3), "th"), k.UpSampling2D((2, 3), "tf")),
        (k.MaxPooling2D((3, 2), dim_ordering="th"), k.MaxPooling2D((3, 2), dim_ordering="tf")),
    ):
        wanted = np.moveaxis(ops.convert_to_numpy(last(IMAGES)), -1, 1)
        np.testing.assert_array_equal(ops.convert_to_numpy(first(x)), wanted)


def test_masks_pass_and_are_joined() -> None:
    x = STEPS.copy()
    x[0, 5:] = 0
    entry = k.Input(shape=(8, 3))
    masked = k.LeakyReLU()(k.Masking()(entry))
    merged = k.merge([masked, entry, masked], mode="sum")
    layer = k.Lambda(lambda x, mask: ops.cast(mask, "float32"))
    found = k.Model(input=entry, output=layer(merged)).predict(x)
    np.testing.assert_array_equal(found, np.any(x != 0, axis=-1))


@pytest.mark.parametrize("border_mode", ["valid", "same"])
@pytest.mark.parametrize("origin", ["tensorflow", "theano"])
@pytest.mark.parametrize(("size", "stride"), [(2, 1), (2, 2), (3, 2), (4, 3), (5, 2)])
def test_pooling_leaves_padding_out(border_mode: str, origin: str, size: int, stride: int) -> None:
    """Against windows of NumPy; NaN stands for what is not there."""
    if border_mode == "valid":
        before = after = 0
    elif origin == "theano":
        before = after = size - 2 if size > 2 and size % 2 else size - 1
    else:
        total = max((-(-8 // stride) - 1) * stride + size - 8, 0)
        before, after = total // 2, total - total // 2
    padded = np.pad(STEPS, ((0, 0), (before, after), (0, 0)), constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, size, axis=1)[:, ::stride]
    if border_mode == "same":
        windows = windows[:, : -(-8 // stride)]
    options = {"stride": stride, "border_mode": border_mode, "origin": origin}
    for layer, reduce in (
        (k.MaxPooling1D(size, **options), np.nanmax),
        (k.AveragePooling1D(size, **options), np.nanmean),
    ):
        found = ops.convert_to_numpy(layer(STEPS))
        np.testing.assert_allclose(found, reduce(windows, axis=-1), rtol=1e-5, atol=1e-6)


def test_same_sizes_of_unknown_length() -> None:
    for origin in ("tensorflow", "theano"):
        entry = k.Input(shape=(None, None, 3))
        y = k.Convolution2D(
            4, 2, 4, border_mode="same", subsample=(2, 2), dim_ordering="tf", origin=origin
        )(entry)
        y = k.MaxPooling2D((3, 3), border_mode="same", origin=origin)(y)
        model = k.Model(input=entry, output=y)
        assert model.predict(IMAGES).shape == (2, 2, 1, 4)
