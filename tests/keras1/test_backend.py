"""`K`: each function against NumPy, and what is special in Keras 1."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from normscope import keras1 as k
from normscope.errors import SpecError
from normscope.keras1 import backend as K  # noqa: N812  # as all scripts call it
from normscope.keras1.live.layers import phase

RNG = np.random.default_rng(2)
A = RNG.uniform(0.1, 2, (2, 3, 4)).astype("float32")
B = RNG.uniform(0.1, 2, (2, 3, 4)).astype("float32")
IMAGES = RNG.standard_normal((2, 5, 6, 3)).astype("float32")


@pytest.fixture(autouse=True)
def phase_as_before() -> Iterator[None]:
    yield
    phase.force(None)


CASES: dict[str, tuple[Callable[..., Any], Any]] = {
    "mean": (lambda a, b: K.mean(a, axis=[0, -1]), A.mean(axis=(0, 2))),
    "sum": (lambda a, b: K.sum(a, axis=1, keepdims=True), A.sum(axis=1, keepdims=True)),
    "std": (lambda a, b: K.std(a, axis=-1), A.std(axis=-1)),
    "var": (lambda a, b: K.var(a), A.var()),
    "prod": (lambda a, b: K.prod(a, axis=1), A.prod(axis=1)),
    "max": (lambda a, b: K.max(a, axis=(1, 2)), A.max(axis=(1, 2))),
    "argmax": (lambda a, b: K.argmax(a), A.argmax(axis=-1)),
    "any": (lambda a, b: K.any(K.greater(a, 1.5), axis=1) + 1, (A > 1.5).any(axis=1) + 1),
    "all": (lambda a, b: K.all(K.greater(a, 0.2), axis=2), (A > 0.2).all(axis=2)),
    "mean of truth": (lambda a, b: K.mean(K.equal(a, a)), 1.0),
    "pow": (lambda a, b: K.pow(a, 3), A**3),
    "sqrt of less than 0": (lambda a, b: K.sqrt(a - 1), np.sqrt(np.maximum(A - 1, 0))),
    "clip": (lambda a, b: K.clip(a, 1, 0.5), np.ones_like(A)),
    "lesser_equal": (lambda a, b: K.cast(K.lesser_equal(a, b), "float32"), A <= B),
    "dot": (lambda a, b: K.dot(a, K.variable(B[0].T)), A @ B[0].T),
    "dot of 3 and 3": (lambda a, b: K.dot(a, K.permute_dimensions(b, (0, 2, 1))),
                       np.dot(A, B.transpose(0, 2, 1))),
    "batch_dot": (lambda a, b: K.batch_dot(a, b, axes=[2, 2]), A @ B.transpose(0, 2, 1)),
    "batch_dot of vectors": (lambda a, b: K.batch_dot(a[:, 0], b[:, 0], axes=1),
                             (A[:, 0] * B[:, 0]).sum(axis=1, keepdims=True)),
    "batch_dot of matrices": (lambda a, b: K.batch_dot(a, K.permute_dimensions(b, (0, 2, 1))),
                              A @ B.transpose(0, 2, 1)),
    "concatenate": (lambda a, b: K.concatenate([a, b], axis=1), np.concatenate([A, B], axis=1)),
    "reshape": (lambda a, b: K.reshape(a, (-1, 4)), A.reshape(-1, 4)),
    "repeat": (lambda a, b: K.repeat(a[:, 0], 5), np.repeat(A[:, :1], 5, axis=1)),
    "repeat_elements": (lambda a, b: K.repeat_elements(a, 2, axis=1), A.repeat(2, axis=1)),
    "tile": (lambda a, b: K.tile(a, [1, 2, 1]), np.tile(A, [1, 2, 1])),
    "flatten": (lambda a, b: K.flatten(a), A.ravel()),
    "batch_flatten": (lambda a, b: K.batch_flatten(a), A.reshape(2, -1)),
    "expand_dims": (lambda a, b: K.expand_dims(a), A[..., None]),
    "squeeze": (lambda a, b: K.squeeze(a[:, :1], 1), A[:, 0]),
    "stack": (lambda a, b: K.stack([a, b]), np.stack([A, B])),
    "reverse": (lambda a, b: K.reverse(a, 1), A[:, ::-1]),
    "gather": (lambda a, b: K.gather(a, K.variable([1, 1, 0])), A[[1, 1, 0]]),
    "one_hot": (lambda a, b: K.one_hot(K.variable([2, 0]), 3), np.eye(3)[[2, 0]]),
    "arange": (lambda a, b: K.arange(4), np.arange(4)),
    "l2_normalize": (lambda a, b: K.l2_normalize(a, axis=-1),
                     A / np.linalg.norm(A, axis=-1, keepdims=True)),
    "softmax": (lambda a, b: K.softmax(a), np.exp(A) / np.exp(A).sum(axis=-1, keepdims=True)),
    "hard_sigmoid": (lambda a, b: K.hard_sigmoid(a), np.clip(0.2 * A + 0.5, 0, 1)),
    "binary_crossentropy": (lambda a, b: K.binary_crossentropy(a / 3, b / 3),
                            -(B / 3 * np.log(A / 3) + (1 - B / 3) * np.log(1 - A / 3))),
    "switch": (lambda a, b: K.switch(K.greater(a, b), a, b), np.maximum(A, B)),
    "switch by row": (lambda a, b: K.switch(K.variable([1, 0]), lambda: a, lambda: b),
                      np.stack([A[0], B[1]])),
    "temporal_padding": (lambda a, b: K.temporal_padding(a, 1),
                         np.pad(A, ((0, 0), (1, 1), (0, 0)))),
    "map_fn": (lambda a, b: K.map_fn(lambda x: x * 2, a), A * 2),
    "moving_average": (lambda a, b: K.moving_average_update(K.variable(A), b, 0.75),
                       0.75 * A + 0.25 * B),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_functions(name: str) -> None:
    function, wanted = CASES[name]
    found = K.get_value(function(ops.convert_to_tensor(A), ops.convert_to_tensor(B)))
    assert found.shape == np.shape(wanted)
    np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("ordering", ["th", "tf"])
def test_images_follow_the_ordering(ordering: str) -> None:
    last = ordering == "tf"
    x = IMAGES if last else IMAGES.transpose(0, 3, 1, 2)
    kernel = RNG.standard_normal((2, 2, 3, 4)).astype("float32")
    given = kernel if last else kernel.transpose(3, 2, 0, 1)
    y = K.get_value(K.conv2d(ops.convert_to_tensor(x), given, dim_ordering=ordering))
    y = y if last else y.transpose(0, 2, 3, 1)
    wanted = np.einsum("bijc,ijcf->bf", IMAGES[:, 1:3, 2:4], kernel)
    np.testing.assert_allclose(y[:, 1, 2], wanted, rtol=1e-4, atol=1e-5)

    K.set_image_dim_ordering(ordering)
    try:
        for found, size in (
            (K.pool2d(ops.convert_to_tensor(x), (2, 2), pool_mode="avg"), (4, 5)),
            (K.resize_images(ops.convert_to_tensor(x), 2, 3), (10, 18)),
            (K.spatial_2d_padding(ops.convert_to_tensor(x), (1, 2)), (7, 10)),
        ):
            shape = tuple(found.shape)
            assert shape == ((2, *size, 3) if last else (2, 3, *size))
    finally:
        K.set_image_dim_ordering("tf")


def test_steps_along_a_sequence() -> None:
    mask = np.array([[True, True, False], [True, False, True]])

    def step(x: Any, states: list[Any]) -> tuple[Any, list[Any]]:
        total, weight = states
        return total + x * weight, [total + x * weight]

    last, outputs, states = K.rnn(
        step,
        ops.convert_to_tensor(A),
        [ops.zeros((2, 4))],
        mask=ops.convert_to_tensor(mask),
        constants=[ops.convert_to_tensor(2.0)],
    )
    wanted = np.cumsum(2 * A * mask[:, :, None], axis=1)
    np.testing.assert_allclose(K.get_value(outputs), wanted, rtol=1e-5)
    np.testing.assert_allclose(K.get_value(last), wanted[:, -1], rtol=1e-5)
    np.testing.assert_allclose(K.get_value(states[0]), wanted[:, -1], rtol=1e-5)


def test_variables() -> None:
    v = K.variable(np.ones((2, 2)), name="a/b:0")
    K.set_value(v, 3 * np.ones((2, 2)))
    assert K.get_value(v).tolist() == [[3, 3], [3, 3]]
    assert (K.int_shape(v), K.ndim(v), K.dtype(v), K.count_params(v)) == ((2, 2), 2, "float32", 4)
    K.batch_set_value([(v, np.zeros((2, 2)))])
    assert K.batch_get_value([v])[0].sum() == 0
    K.update_add(v, 1)
    assert K.eval(v).sum() == 4
    with phase.calling(training=False):
        K.update_sub(v, 1)
    assert K.eval(v).sum() == 4
    with pytest.raises(SpecError, match="only a variable"):
        K.set_value(ops.ones((2,)), 0)
    with pytest.raises(SpecError, match=r"K\.function"):
        K.eval(k.Input(shape=(2,)))


def test_the_learning_phase() -> None:
    x = k.Input(shape=(3,))
    y = k.Dropout(0.5)(k.Lambda(lambda x: K.in_train_phase(lambda: x * 2, x))(x))
    f = K.function([x, K.learning_phase()], [y])
    ones = np.ones((200, 3))
    assert (f([ones, 0])[0] == 1).all()
    assert set(np.unique(f([ones, 1])[0])) == {0, 4}
    with pytest.raises(SpecError, match="set_learning_phase"):
        K.in_train_phase(1, 2)
    K.set_learning_phase(1)
    assert [K.in_train_phase(1, 2), K.learning_phase()] == [1, 1]
    z = k.Model(x, k.Dropout(0.5)(x)).predict(ones)
    assert set(np.unique(z)) == {0, 2}


def test_functions_refuse_what_they_cannot_do() -> None:
    x = k.Input(shape=(3,))
    for inputs, outputs, options, text in (
        ([x], [np.ones(3)], {}, "symbolic tensors"),
        ([K.learning_phase()], [x], {}, "at least one input"),
        ([x], [x * 2], {"updates": [1]}, "updates"),
    ):
        with pytest.raises(SpecError, match=text):
            K.function(inputs, outputs, **options)
    with pytest.raises(SpecError, match="a list of 1 inputs, got 2"):
        K.function([x], [x * 2])([1, 2])
    with pytest.raises(SpecError, match=r"jax\.grad"):
        _ = K.gradients


def test_settings() -> None:
    assert K.epsilon() == 1e-7
    K.set_epsilon(1e-3)
    try:
        assert keras.config.epsilon() == 1e-3
    finally:
        K.set_epsilon(1e-7)
    assert K.backend() == K._BACKEND == keras.backend.backend()
    assert K.cast_to_floatx([1]).dtype == "float32"
    with pytest.raises(SpecError, match="0 or 1"):
        K.set_learning_phase(2)
    with pytest.raises(SpecError, match="float16"):
        K.set_floatx("int8")


def test_what_is_given_to_a_function_is_never_written_into() -> None:
    """A `*=` of Keras 1 made a new tensor; one of torch writes into the array of the user."""

    def scaled(x: Any) -> Any:
        x /= K.sum(x, axis=1, keepdims=True)
        x *= 10
        return x

    x = k.Input(shape=(3,))
    model = k.Model(x, [k.Lambda(scaled)(x), k.Lambda(lambda x: x + 0)(x)])
    given = np.array([[1.0, 2.0, 5.0]], dtype="float32")
    first, second = model.predict_on_batch(given)
    np.testing.assert_allclose(first, [[1.25, 2.5, 6.25]], rtol=1e-6)
    assert second.tolist() == given.tolist() == [[1, 2, 5]]


def test_keras_shape() -> None:
    x = k.Input(shape=(4, 3))
    y = k.Dense(2)(x)
    assert (x._keras_shape, y._keras_shape) == ((None, 4, 3), (None, 4, 2))
    assert k.Sequential([k.Dense(5, input_dim=3)])(k.Input(shape=(3,)))._keras_shape == (None, 5)
    if keras.backend.backend() == "jax":
        with pytest.raises(SpecError, match=r"K\.int_shape"):
            k.Lambda(lambda x: x * x._keras_shape[1])(x)
