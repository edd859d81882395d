from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from keras.src.testing import TestCase

from normscope import NormSpec, Running, ShapeError, SpecError, preset, reference, spec
from normscope.layers.keras import Norm
from normscope.reference import running_update

BATCH = spec("[b...] c", scale="c", bias="c", running=Running(0.9))


@dataclass(frozen=True)
class Native:
    """A layer of Keras, what it is as `Norm`, and a shape."""

    layer: Any
    arguments: dict[str, Any]
    name: str
    options: dict[str, Any]
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.options} {self.shape}"

    def native(self) -> Any:
        return self.layer(**self.arguments)

    def own(self) -> Norm:
        return Norm(self.name, **self.options)


def same(layer: Any, shape: tuple[int, ...], **arguments: Any) -> Native:
    return Native(layer, arguments, f"keras.{layer.__name__}", arguments, shape)


NATIVE = [
    same(layers.BatchNormalization, (8, 5, 4, 6)),
    same(layers.BatchNormalization, (8, 6, 5, 4), axis=1, momentum=0.9),
    same(layers.BatchNormalization, (8, 6), center=False),
    same(layers.BatchNormalization, (8, 6), scale=False),
    same(layers.LayerNormalization, (8, 5, 6)),
    same(layers.LayerNormalization, (8, 6), center=False),
    same(layers.GroupNormalization, (8, 5, 4, 6), groups=3),
    same(layers.GroupNormalization, (8, 6, 5, 4), groups=2, axis=1),
    same(layers.GroupNormalization, (8, 5, 4, 6), groups=-1),
    same(layers.RMSNormalization, (8, 5, 6)),
    same(layers.UnitNormalization, (8, 5, 6)),
]


def model_of(layer: Any, shape: tuple[int, ...]) -> Any:
    """The layer behind a Dense, whose weights then move with the gradient of the layer's input."""
    start = keras.Input(shape[1:])
    model = keras.Model(start, layer(layers.Dense(shape[-1])(start)))
    model.compile(keras.optimizers.SGD(0.5), "mse")
    return model


def data(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(1, 2, shape).astype("float32")


@pytest.mark.parametrize("case", NATIVE, ids=str)
def test_equals_the_native_layer(case: Native, tmp_path: Path) -> None:
    native, own = (model_of(layer, case.shape) for layer in (case.native(), case.own()))
    rng = np.random.default_rng(1)
    own.set_weights([rng.normal(1, 0.2, w.shape) ** 2 for w in native.get_weights()])
    native.set_weights(own.get_weights())

    def agree(a: Any, b: Any) -> None:
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5)

    for step in range(4):
        x, y = data(case.shape, step), data(case.shape, step + 10)
        agree(own.train_on_batch(x, y), native.train_on_batch(x, y))
        for a, b in zip(own.get_weights(), native.get_weights(), strict=True):
            agree(a, b)
    agree(own.predict(x, verbose=0), native.predict(x, verbose=0))

    own.save(tmp_path / "own.keras")
    loaded = keras.saving.load_model(tmp_path / "own.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), own.predict(x, verbose=0))
    agree(loaded.train_on_batch(x, y), native.train_on_batch(x, y))


LOSSES = ("gamma_regularizer", "beta_regularizer")
CONTRACT = [
    ({"normalization": "batch"}, (2, 3), 2, 2),
    ({"normalization": "batch", **dict.fromkeys(LOSSES, "l2")}, (2, 4, 4, 3), 2, 2),
    ({"normalization": "batch", "data_format": "channels_first"}, (2, 3, 4, 4), 2, 2),
    ({"normalization": "batch", "scale": None, "bias": None}, (2, 4, 3), 0, 2),
    ({"normalization": "layer"}, (2, 5, 3), 2, 0),
    ({"normalization": "group", "num_groups": 2}, (2, 4, 4, 6), 2, 0),
    ({"normalization": "instance", "gamma_constraint": "non_neg"}, (2, 4, 4, 6), 2, 0),
    ({"normalization": "rms"}, (2, 5, 3), 1, 0),
    ({"normalization": "unit"}, (2, 5, 3), 0, 0),
    ({"normalization": BATCH, "synchronized": True}, (2, 5, 3), 2, 2),
    ({"normalization": "b [s...] c", "scale": "c", "scale_shift": 1}, (2, 5, 3), 1, 0),
    ({"normalization": "[b] s c", "bias": "c s", "dtype": "float32"}, (4, 5, 3), 1, 0),
]  # fmt: skip


class ContractTest(TestCase):
    """The test that Keras runs on each of its own layers."""

    # It trains on a generator, and some layers here have no weights.
    @pytest.mark.filterwarnings("ignore:`shuffle=True` was passed:UserWarning")
    @pytest.mark.filterwarnings("ignore:The model does not have any trainable:UserWarning")
    def test_contract(self) -> None:
        for arguments, shape, trainable, fixed in CONTRACT:
            with self.subTest(str(arguments)):
                self.run_layer_test(
                    Norm,
                    init_kwargs=arguments,
                    call_kwargs={"training": True},
                    input_shape=shape,
                    expected_output_shape=shape,
                    expected_num_trainable_weights=trainable,
                    expected_num_non_trainable_weights=fixed,
                    expected_num_seed_generators=0,
                    expected_num_losses=sum(name in arguments for name in LOSSES),
                    supports_masking=True,
                )


@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize("plus_eps", [False, True])
@pytest.mark.parametrize("deviation", [False, True])
def test_moving_statistics_by_the_definition(ddof: int, plus_eps: bool, deviation: bool) -> None:
    running = Running(0.7, ddof=ddof, plus_eps=plus_eps, deviation=deviation)
    stated = spec("[b] c [s...]", eps=1e-2, running=running)
    layer = Norm(stated)
    mean, var = np.zeros(3), np.ones(3)
    for step in range(3):
        x = data((4, 3, 5), step)
        layer(x, training=True)
        mean, var = running_update(x, stated, mean, var)
    np.testing.assert_allclose(ops.convert_to_numpy(layer.moving_mean), mean, rtol=1e-5)
    np.testing.assert_allclose(ops.convert_to_numpy(layer.moving_variance), var, rtol=1e-5)
    inference = replace(stated, eps=stated.inference().eps)
    np.testing.assert_allclose(
        ops.convert_to_numpy(layer(x)),
        reference(x, inference, mean=mean, var=var**2 if deviation else var),
        rtol=1e-4,
        atol=1e-5,
    )


def test_a_mean_alone_moves_where_nothing_is_divided() -> None:
    stated = spec("[b] c [s...]", measure="none", bias="c", running=Running(0.7))
    layer = Norm(stated)
    x = data((4, 3, 5))
    y = ops.convert_to_numpy(layer(x, training=True))
    np.testing.assert_allclose(y, reference(x, stated), rtol=1e-4, atol=1e-5)
    assert layer.moving_variance is None
    assert [weight.name for weight in layer.non_trainable_weights] == ["moving_mean"]
    mean, _ = running_update(x, stated, np.zeros(3), np.ones(3))
    np.testing.assert_allclose(ops.convert_to_numpy(layer.moving_mean), mean, rtol=1e-5)
    y = ops.convert_to_numpy(layer(x))
    np.testing.assert_allclose(y, reference(x, stated, mean=mean), rtol=1e-4, atol=1e-5)
    again = Norm.from_config(layer.get_config())
    assert again.spec == stated
    mask = np.array([[True], [True], [False], [True]]) & np.ones((4, 3), bool)
    again(x, training=True, mask=mask)
    mean, _ = running_update(x[mask[:, 0]], stated, np.zeros(3), np.ones(3))
    np.testing.assert_allclose(ops.convert_to_numpy(again.moving_mean), mean, rtol=1e-5)


GUARDED = [
    spec("b [c]", scale="c", measure="none"),
    spec("b [c]", scale="c", eps=0, unit_below=0),
    spec("b [c]", scale="c", eps=0, unit_below=0.5),
    spec("b [c]", scale="c", eps=1e-12, eps_outside=1e-3, unit_below=0.5),
    spec("b [c]", scale="c", eps=0, unit_below=0, center=False, measure="l2"),
    spec("b [c]", scale="c", eps=0, unit_below=0.5, center=False, measure="max"),
]


@pytest.mark.parametrize("stated", GUARDED, ids=str)
def test_a_divisor_that_would_be_0_is_1(stated: NormSpec) -> None:
    """Sets of 0, of a number that no float holds, and below 0.5; no weight becomes NaN."""
    x = np.array([[0.1] * 4, [0] * 4, [0.1, 0.2, 0.1, 0.3], [1, 2, 5, 3]], "f4")
    y = ops.convert_to_numpy(Norm(stated)(x))
    ones = np.ones(4)
    np.testing.assert_allclose(y, reference(x, stated, scale=ones), rtol=1e-5, atol=1e-6)
    model = model_of(Norm(stated), (4, 4))
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.train_on_batch(x * 0, x)
    assert all(np.isfinite(weights).all() for weights in model.get_weights())


def test_a_frozen_layer_is_in_inference_mode() -> None:
    layer = Norm(BATCH, trainable=False)
    x = data((8, 3))
    same_output = [ops.convert_to_numpy(layer(x, training=mode)) for mode in (True, False)]
    np.testing.assert_array_equal(*same_output)
    np.testing.assert_array_equal(ops.convert_to_numpy(layer.moving_mean), 0)
    layer.trainable = True
    training, inference = (ops.convert_to_numpy(layer(x, training=mode)) for mode in (True, False))
    assert np.abs(training - inference).max() > 0.1


MASKED = [
    spec("[b t] c"),
    spec("b [t] c", scale="c", bias="c"),
    spec("b [t] (g [c])", g=2),
    spec("b [t c]", measure="mean_square", center=False),
]


@pytest.mark.parametrize("stated", MASKED, ids=str)
@pytest.mark.parametrize("padding", [0.0, 1e6, np.nan])
def test_padding_does_not_change_what_is_seen(stated: NormSpec, padding: float) -> None:
    x = data((3, 6, 4))
    mask = np.arange(6) < np.array([[6], [3], [1]])
    padded = np.where(mask[..., None], x, padding).astype("float32")
    y = ops.convert_to_numpy(Norm(stated)(padded, mask=mask))
    wanted = reference(np.where(mask[..., None], x, 0), stated, mask=mask[..., None])
    np.testing.assert_allclose(y[mask], wanted[mask], rtol=1e-4, atol=1e-5)


def test_a_set_without_a_value_gets_the_bias_and_leaves_the_moving_statistics() -> None:
    layer = Norm("b [t] c", bias="c", beta_initializer="ones")
    mask = np.array([[True, True], [False, False]])
    y = ops.convert_to_numpy(layer(data((2, 2, 3)), mask=mask))
    np.testing.assert_array_equal(y[1], 1)
    batch = Norm(BATCH)
    batch(data((2, 2, 3)), training=True, mask=np.zeros((2, 2), bool))
    np.testing.assert_array_equal(ops.convert_to_numpy(batch.moving_mean), 0)
    np.testing.assert_array_equal(ops.convert_to_numpy(batch.moving_variance), 1)


def test_masks_come_from_the_layer_before_and_go_on() -> None:
    model = keras.Sequential([layers.Masking(), Norm("b [t] c"), layers.GlobalAveragePooling1D()])
    x = data((2, 5, 3))
    x[:, 3:] = 0
    wanted = reference(x[:, :3], spec("b [t] c")).mean(1)
    np.testing.assert_allclose(ops.convert_to_numpy(model(x)), wanted, atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_measures_in_float32(policy: str) -> None:
    layer = Norm(BATCH, dtype=policy)
    x = data((512, 3)) * 100 + 300  # the square of some is above the largest float16
    y = layer(x, training=True)
    assert keras.backend.standardize_dtype(y.dtype) == policy.removeprefix("mixed_")
    assert layer.moving_variance.dtype == "float32"
    y = ops.convert_to_numpy(ops.cast(y, "float32"))
    rounding = 1e-2 if policy == "mixed_float16" else 5e-2
    np.testing.assert_allclose(y, reference(x, BATCH), atol=rounding)


def test_float64_stays() -> None:
    if keras.backend.backend() == "jax":
        pytest.skip("JAX has float64 by a switch of the whole process only")
    x = np.random.default_rng(0).normal(1e9, 1, (64, 3))
    y = ops.convert_to_numpy(Norm(BATCH, dtype="float64")(x, training=True))
    np.testing.assert_allclose(y, reference(x, BATCH), atol=1e-6)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_training_with_and_without_compilation(jit_compile: bool) -> None:
    if jit_compile and keras.backend.backend() == "torch":
        pytest.skip("torch.compile needs a C++ compiler")
    model = keras.Sequential([layers.Dense(6), Norm(BATCH), Norm("group", num_groups=3)])
    model.compile("sgd", "mse", jit_compile=jit_compile)
    model.fit(data((10, 4)), data((10, 6)), batch_size=4, epochs=2, verbose=0)
    assert np.abs(model.layers[1].moving_mean.numpy()).max() > 0


def test_symbolic_calls_keep_unknown_lengths() -> None:
    start = keras.Input((None, None, 6))
    assert Norm("group", num_groups=3)(start).shape == (None, None, None, 6)
    assert Norm(BATCH).compute_output_shape((None, 5, 6)) == (None, 5, 6)


@pytest.mark.parametrize("symbolic", [False, True])
def test_a_wrong_rank_is_a_shape_error_at_any_call(symbolic: bool) -> None:
    def given(*shape: int) -> Any:
        return keras.Input(shape[1:]) if symbolic else np.ones(shape, "float32")

    layer = Norm("b [c]")
    with pytest.raises(
        ShapeError, match=r'pattern "b \[c\]" has 2 axes, the shape has 4'
    ) as caught:
        layer(given(8, 3, 5, 5))
    layer(given(8, 3))
    with pytest.raises(ShapeError, match="the shape has 3") as caught:
        layer(given(8, 3, 5))
    assert caught.value.pattern == "b [c]"
    assert caught.value.shape[1:] == (3, 5)


def test_another_number_of_channels_is_a_shape_error() -> None:
    layer = Norm("... [c]", scale="c")
    layer(np.ones((2, 6), "float32"))
    with pytest.raises(ShapeError, match=r"gamma was built with the shape \(6,\)"):
        layer(np.ones((2, 1), "float32"))


def test_one_value_has_no_unbiased_variance() -> None:
    layer = Norm("[b] c", running=Running(0.9, ddof=1))
    with pytest.raises(ShapeError, match="holds 1 value"):
        layer(np.ones((1, 3), "float32"), training=True)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("bacth",), "did you mean batch"),
        ((BATCH.inference(),), "has no pattern"),
        ((3,), "Norm takes a NormSpec"),
        (("b [c]", "channels_first"), "says itself"),
        (("layer", "channels_first"), "no meaning"),
        (("batch", "first"), "channels_last or channels_first"),
    ],
)
def test_what_is_stated_wrongly_is_refused(arguments: tuple, told: str) -> None:
    options = {"data_format": arguments[1]} if len(arguments) > 1 else {}
    with pytest.raises(SpecError, match=told):
        Norm(arguments[0], **options)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"normalization": BATCH, "eps": 1.0}, "says everything already"),
        ({"normalization": "b [c]", "synchronized": "data"}, "True or False"),
        ({"normalization": "[b] c", "measure": "max", "synchronized": True}, "gradient"),
        ({"normalization": "[b] c", "measure": "l2", "running": Running(0.9)}, "moving statistics"),
        ({"normalization": "b [c]", "epsilon": 1.0}, "neither a field nor an axis"),
    ],
)  # fmt: skip
def test_contradictions_are_refused(options: dict, told: str) -> None:
    with pytest.raises(SpecError, match=told):
        Norm(**options)


def test_presets_follow_the_data_format() -> None:
    assert Norm("batch").spec == preset("batch", channels="last")
    keras.config.set_image_data_format("channels_first")
    try:
        assert Norm("batch").spec == preset("batch", channels="first")
        assert Norm("batch", data_format="channels_last").spec == preset("batch", channels="last")
        assert Norm("layer").spec == preset("layer")
    finally:
        keras.config.set_image_data_format("channels_last")
    assert Norm("group", num_groups=4, scale=None, ddof=1).spec.ddof == 1


def test_a_config_tells_everything() -> None:
    layer = Norm("b (g [c])", g=2, scale="c", eps=0.5, beta_initializer="ones", name="n")
    config = layer.get_config()
    again = Norm.from_config(config)
    assert again.spec == layer.spec
    assert again.get_config() == config
    assert config["name"] == "n"
    assert config["normalization"] == layer.spec.to_dict()


def test_parts_of_one_axis_count_as_one_in_weights() -> None:
    x = data((2, 3, 8))
    both = Norm("b s (g [c])", g=2, scale="g c", bias="c g")
    both(x)
    assert tuple(both.gamma.shape) == (8,)
    assert tuple(both.beta.shape) == (4, 2)
    across = Norm("b [s] (g c)", g=2, scale="s g c")
    across(x)
    assert tuple(across.gamma.shape) == (3, 8)
