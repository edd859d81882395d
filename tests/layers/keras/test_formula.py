from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st
from keras import ops

from normscope import NormSpec, Running, ShapeError, preset, reference
from normscope.layers.keras import moments, normalize, normalized
from strategies import cases, specs

TENSORFLOW = keras.backend.backend() == "tensorflow"


def arrays(spec: NormSpec, shape: tuple[int, ...], rng: np.random.Generator) -> dict:
    layout = spec.layout(shape)
    return {
        name: rng.normal(size=[layout.known_sizes[i] for i in layout.named(axes)]).astype("f4")
        for name, axes in (("scale", spec.scale), ("bias", spec.bias))
        if axes is not None
    }


def close(found: object, wanted: np.ndarray, tolerance: float = 2e-5) -> None:
    found = ops.convert_to_numpy(found)
    size = max(1.0, float(np.abs(wanted).max(initial=0)))
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=tolerance * size)


@given(st.data())
@settings(max_examples=40)  # on each of three backends; JAX compiles for each
def test_the_formula_agrees_with_the_definition(data: st.DataObject) -> None:
    case = data.draw(cases())
    # TensorFlow does not broadcast more than five axes that cannot be merged, on any device.
    assume(not TENSORFLOW or len(case.atoms) <= 5)
    spec = data.draw(specs(case))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    x = rng.normal(data.draw(st.sampled_from([0, 1, 1e4])), 1, case.shape).astype("f4")
    layout, learned = spec.layout(x.shape), arrays(spec, x.shape, rng)
    mask = None
    if data.draw(st.booleans()) and not spec.ddof:
        mask = rng.random(x.shape[: data.draw(st.integers(1, x.ndim))]) < 0.7
    y, _ = normalize(x, spec, layout, mask=mask, **learned)
    inside = mask is not None and any(a.shared and a.dim < mask.ndim for a in layout.axes)
    full = mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim)) if inside else None
    close(y, reference(x, spec, mask=full, **learned), 1e-4)


@pytest.mark.parametrize("mean", [0, 20000, -3e6])
@pytest.mark.parametrize(
    ("name", "arguments"),
    [("batch", {}), ("layer", {}), ("instance", {}), ("group", {"num_groups": 4}), ("whole", {})],
)
def test_a_large_mean_costs_nothing(name: str, arguments: dict, mean: float) -> None:
    spec = preset(name, **arguments)
    x = (mean + np.random.default_rng(0).normal(size=(4, 12, 11, 16))).astype("f4")
    learned = arrays(spec, x.shape, np.random.default_rng(1))
    y, _ = normalize(x, spec, spec.layout(x.shape), **learned)
    close(y, reference(x, spec, **learned), 5e-6)


def test_keras_itself_loses_digits_on_torch() -> None:
    """The twin: the tolerance above is one that a formula with E[x**2] - E[x]**2 cannot meet."""
    x = (20000 + np.random.default_rng(0).normal(size=(4, 12, 11, 16))).astype("f4")
    m = np.mean(x, (0, 1, 2), dtype="f4")
    v = np.mean(np.square(x), (0, 1, 2), dtype="f4") - np.square(m)
    with pytest.raises(AssertionError), np.errstate(invalid="ignore"):
        close((x - m) / np.sqrt(np.abs(v) + 1e-5), reference(x, preset("batch")), 5e-6)


@pytest.mark.parametrize("value", [0.0, 20000.0, 1 / 3, -1e30])
@pytest.mark.parametrize("name", ["batch", "layer", "instance", "whole"])
def test_constant_input_gives_exactly_the_bias(name: str, value: float) -> None:
    spec = preset(name)
    x = np.full((3, 7, 5, 6), value, "f4")
    bias = np.arange(6, dtype="f4")
    y, _ = normalize(x, spec, spec.layout(x.shape), scale=np.full(6, 7, "f4"), bias=bias)
    np.testing.assert_array_equal(ops.convert_to_numpy(y), np.broadcast_to(bias, x.shape))


@pytest.mark.parametrize(
    ("pattern", "sizes", "along"),
    [
        ("[b] c [s...]", {}, "c"),
        ("[b...] c", {}, "c"),
        ("c [s...]", {}, "c"),
        ("b [s...] c", {}, "c"),
        ("b c [s...]", {}, "c"),
        ("b [s...] (g [c])", {"g": 3}, "g c"),
        ("b (g [c]) [s...]", {"g": 3}, "g c"),
        ("b [s... c]", {}, "c"),
        ("b [c s...]", {}, "c"),
        ("b ... [c]", {}, "c"),
        ("... [c]", {}, "c"),
        ("[s...]", {}, "s..."),
        ("b [s...]", {}, "s..."),
    ],
)
@pytest.mark.parametrize("used", [("scale", "bias"), ("scale",), ("bias",), ()])
@pytest.mark.parametrize("shape", [(2, 6, 5, 6), (4, 6), (2, 6, 1, 6), (1, 6, 6)])
def test_usual_patterns_with_any_parameters(
    pattern: str, sizes: dict, along: str, used: tuple[str, ...], shape: tuple[int, ...]
) -> None:
    """On torch these are run by its own operators; also with an axis of one, or one sample."""
    spec = NormSpec(pattern, sizes=sizes, running=None, **dict.fromkeys(used, along))
    x = np.random.default_rng(0).normal(5, 2, shape).astype("f4")
    learned = arrays(spec, shape, np.random.default_rng(1))
    y, _ = normalize(x, spec, spec.layout(shape), **learned)
    close(y, reference(x, spec, **learned))


@pytest.mark.parametrize("shape", [(5, 6), (1, 6), (4, 3, 6)])
@pytest.mark.parametrize("ddof", [0, 1])
def test_moments_and_given_statistics(shape: tuple[int, ...], ddof: int) -> None:
    spec = NormSpec("[b...] c", scale="c", running=Running(0.9), ddof=min(ddof, shape[0] - 1))
    x = np.random.default_rng(0).normal(5, 2, shape).astype("f4")
    layout = spec.layout(shape)
    scale = np.arange(6, dtype="f4")
    mean, v, count = moments(x, spec, layout)
    close(mean, x.mean(tuple(range(x.ndim - 1)), keepdims=True))
    close(v, x.astype("f8").var(tuple(range(x.ndim - 1)), keepdims=True, ddof=spec.ddof))
    assert int(count) == x.size // 6
    y, measured = normalize(x, spec, layout, scale=scale)
    close(measured.mean, ops.convert_to_numpy(mean))
    close(measured.v, ops.convert_to_numpy(v))
    close(y, reference(x, spec, scale=scale))
    close(normalized(x, spec, layout, mean, v, scale=scale), ops.convert_to_numpy(y))
    m, w = np.arange(6.0), np.arange(1.0, 7)
    close(
        normalized(x, spec, layout, m, w, scale=scale),
        reference(x, spec, scale=scale, mean=m, var=w),
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_statistics_are_float32(dtype: str) -> None:
    spec = preset("layer")
    x = ops.cast(np.random.default_rng(0).normal(100, 50, (4, 4096)), dtype)
    y, _ = normalize(x, spec, spec.layout((4, 4096)))
    assert keras.backend.standardize_dtype(y.dtype) == "float32"
    close(y, reference(ops.convert_to_numpy(ops.cast(x, "float32")), spec))


def test_zeros_with_a_floor_have_a_gradient_of_zero() -> None:
    layer = keras.layers.Dense(3, use_bias=False, kernel_initializer="zeros")
    spec = preset("unit")

    class Model(keras.Model):
        def call(self, x):  # type: ignore[no-untyped-def]
            return normalize(layer(x), spec, spec.layout((2, 3)))[0]

    model = Model()
    model.layer = layer
    model.compile(keras.optimizers.SGD(1.0), "mse")
    model.train_on_batch(np.ones((2, 4), "f4"), np.zeros((2, 3), "f4"))
    np.testing.assert_array_equal(layer.get_weights()[0], 0)


@pytest.mark.parametrize("stated", [preset("batch"), preset("unit")], ids=str)
def test_no_gradient_knows_what_a_mask_hides(stated: NormSpec) -> None:
    mask = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1], [1, 1, 0]], bool)
    clean = np.random.default_rng(0).normal(size=(4, 3, 5)).astype("f4")
    stated = replace(stated, pattern="[b t] c", scale="c", bias=None)

    class Model(keras.Model):
        """Learns its input; its data are no more than an example must be."""

        def build(self, _):  # type: ignore[no-untyped-def]
            self.x = self.add_weight(shape=(4, 3, 5), initializer=lambda *_, **__: hidden)
            self.gamma = self.add_weight(shape=(5,), initializer="ones")

        def call(self, _):  # type: ignore[no-untyped-def]
            layout = stated.layout((4, 3, 5))
            y, _ = normalize(self.x, stated, layout, mask=mask, scale=self.gamma)
            return ops.where(mask[..., None], y, 0)

    found = []
    for padding in (0.0, np.nan, -np.inf):
        hidden = np.where(mask[..., None], clean, np.float32(padding))
        model = Model()
        model.compile(keras.optimizers.SGD(1.0), "mse")
        model.train_on_batch(np.ones((4, 1), "f4"), np.full((4, 3, 5), 3, "f4"))
        found.append([value[mask] if value.ndim == 3 else value for value in model.get_weights()])
    for one in found[1:]:
        for value, expected in zip(one, found[0], strict=True):
            np.testing.assert_array_equal(value, expected)
    assert not np.array_equal(found[0][0], clean[mask])


def test_a_mask_of_another_shape_is_refused() -> None:
    spec = preset("batch")
    with pytest.raises(ShapeError, match="leading axes"):
        normalize(
            np.ones((2, 3, 4), "f4"), spec, spec.layout((2, 3, 4)), mask=np.ones((2, 4), bool)
        )


@pytest.mark.skipif(not TENSORFLOW, reason="only TensorFlow has lengths unknown before the run")
@pytest.mark.parametrize("xla", [False, True])
@pytest.mark.parametrize("pattern", ["[b...] c", "b [s...] (g [c])", "b [s...] c", "... [c]"])
def test_lengths_unknown_before_the_run(pattern: str, xla: bool) -> None:
    import tensorflow as tf

    sizes = {"g": 2} if "g" in pattern else {}
    spec = NormSpec(pattern, sizes=sizes, scale="c", ddof=1)

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 6))], jit_compile=xla)
    def run(x):  # type: ignore[no-untyped-def]
        return normalize(x, spec, spec.layout(tuple(x.shape)), scale=scale)[0]

    scale = np.arange(3 if sizes else 6, dtype="f4")
    for shape in ((2, 3, 4, 6), (3, 1, 2, 6)):
        x = np.random.default_rng(0).normal(5, 2, shape).astype("f4")
        close(run(x), reference(x, spec, scale=scale))
