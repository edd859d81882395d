"""What the table says of operators of TensorFlow, against what is measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from normscope.frameworks.tensorflow.trace import trace
from normscope.graph.operators import Call, CannotTraceError, Graph, Role
from normscope.graph.proof import Verdict, samples_apart
from normscope.graph.replay import replay
from normscope.graph.rules import Branch, Repeat

RNG = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype("float32")


MATRIX, IMAGES, VOLUME = floats(4, 6), floats(3, 6, 6, 4), floats(2, 4, 4, 4, 3)
INDEX = np.array([2, 0, 3, 1])

OPERATORS: dict[str, tuple[Callable[..., Any], np.ndarray]] = {
    "add": (lambda x: x + x[:1], MATRIX),
    "softmax": (tf.nn.softmax, MATRIX),
    "mean": (lambda x: tf.reduce_mean(x, 1, keepdims=True) * x, MATRIX),
    "norm": (lambda x: x / tf.norm(x, axis=0, keepdims=True), MATRIX),
    "argmax": (lambda x: tf.argmax(x, 1), MATRIX),
    "all": (lambda x: tf.reduce_all(x > 0, 1), MATRIX),
    "cumsum": (lambda x: tf.cumsum(x, 1, exclusive=True, reverse=True), MATRIX),
    "top k": (lambda x: tf.math.top_k(x, 2).values, MATRIX),
    "sort": (lambda x: tf.sort(x, axis=0), MATRIX),
    "matmul": (lambda x: tf.matmul(x, x, transpose_b=True), MATRIX),
    "matmul with numbers": (lambda x: tf.matmul(x, tf.ones((3, 6)), transpose_b=True), MATRIX),
    "numbers on the left": (lambda x: tf.matmul(tf.ones((2, 4)), x), MATRIX),
    "matrices": (lambda x: tf.matmul(x, x, adjoint_a=True), IMAGES),
    "einsum": (lambda x: tf.einsum("...ij,jk->...ik", x, tf.ones((4, 2))), IMAGES),
    "tensordot": (lambda x: tf.tensordot(x, tf.ones((4, 5)), [[3], [0]]), IMAGES),
    "reshape": (lambda x: tf.reshape(x, (2, 2, 6)), MATRIX),
    "transpose": (lambda x: tf.transpose(x, (3, 1, 2, 0)), IMAGES),
    "concat": (lambda x: tf.concat([x, x[::-1]], 1), MATRIX),
    "stack": (lambda x: tf.stack([x, x + 1], 1), MATRIX),
    "unstack": (lambda x: tf.unstack(x, axis=1)[2], MATRIX),
    "split": (lambda x: tf.split(x, 3, axis=1)[1], MATRIX),
    "split by sizes": (lambda x: tf.split(x, [1, 2, 3], axis=1)[2], MATRIX),
    "tile": (lambda x: tf.tile(x, (1, 2)), MATRIX),
    "broadcast": (lambda x: tf.broadcast_to(x[:, None], (4, 3, 6)), MATRIX),
    "reverse": (lambda x: tf.reverse(x, [0]), MATRIX),
    "roll": (lambda x: tf.roll(x, 1, 0), MATRIX),
    "pad": (lambda x: tf.pad(x, [[1, 0], [0, 2]]), MATRIX),
    "mirror": (lambda x: tf.pad(x, [[1, 1], [0, 0]], "REFLECT"), MATRIX),
    "gather": (lambda x: tf.gather(x, INDEX, axis=1), MATRIX),
    "gather in order": (lambda x: tf.gather(x, tf.argmax(x, 1), axis=1, batch_dims=1), MATRIX),
    "gather what is chosen": (lambda x: tf.gather(x, tf.argmax(x, 0)), MATRIX),
    "gather nd": (lambda x: tf.gather_nd(x, [[0, 1], [2, 3]]), MATRIX),
    "depth to space": (lambda x: tf.nn.depth_to_space(x, 2), IMAGES),
    "space to depth": (lambda x: tf.nn.space_to_depth(x, 2), IMAGES),
    "space to batch": (lambda x: tf.space_to_batch(x, [2, 2], [[0, 0], [0, 0]]), IMAGES),
    "patches": (
        lambda x: tf.image.extract_patches(x, [1, 3, 3, 1], [1, 1, 1, 1], [1, 1, 1, 1], "SAME"),
        IMAGES,
    ),
    "diagonal": (lambda x: tf.linalg.diag_part(tf.linalg.diag(x)), MATRIX),
    "set diagonal": (lambda x: tf.linalg.set_diag(x[:, :4], x[:, 4]), MATRIX),
    "band": (lambda x: tf.linalg.band_part(x, 1, 0), MATRIX),
    "scatter": (lambda x: tf.scatter_nd(INDEX[:, None], x, (5, 6)), MATRIX),
    "scatter update": (lambda x: tf.tensor_scatter_nd_update(x, [[0]], x[1:2]), MATRIX),
    "scatter add": (lambda x: tf.tensor_scatter_nd_add(x, [[0], [0]], x[1:3]), MATRIX),
    "segments": (lambda x: tf.math.segment_sum(x, [0, 0, 1, 1]), MATRIX),
    "segments in disorder": (lambda x: tf.math.unsorted_segment_max(x, INDEX, 4), MATRIX),
    "one hot": (lambda x: tf.one_hot(tf.argmax(x, 1), 3), MATRIX),
    "conv": (lambda x: tf.nn.conv2d(x, tf.ones((3, 3, 4, 2)), 2, "SAME"), IMAGES),
    "dilated": (lambda x: tf.nn.conv2d(x, tf.ones((2, 2, 4, 2)), 1, "VALID", dilations=2), IMAGES),
    "grouped": (lambda x: tf.nn.conv2d(x, tf.ones((3, 3, 2, 4)), 1, "SAME"), IMAGES),
    "depthwise": (
        lambda x: tf.nn.depthwise_conv2d(x, tf.ones((3, 3, 4, 2)), [1, 1, 1, 1], "VALID"),
        IMAGES,
    ),
    "transposed": (
        lambda x: tf.nn.conv2d_transpose(x, tf.ones((3, 3, 2, 4)), (3, 12, 12, 2), 2, "SAME"),
        IMAGES,
    ),
    "conv 3d": (lambda x: tf.nn.conv3d(x, tf.ones((2, 2, 2, 3, 2)), [1] * 5, "SAME"), VOLUME),
    "mean pool": (lambda x: tf.nn.avg_pool2d(x, 3, 2, "SAME"), IMAGES),
    "max pool": (lambda x: tf.nn.max_pool2d(x, 2, 1, "VALID"), IMAGES),
    "batch norm": (
        lambda x: tf.compat.v1.nn.fused_batch_norm(x, tf.ones(4), tf.zeros(4))[0],
        IMAGES,
    ),
    "stored batch norm": (
        lambda x: tf.compat.v1.nn.fused_batch_norm(
            x, tf.ones(4), tf.zeros(4), tf.zeros(4), tf.ones(4), is_training=False
        )[0],
        IMAGES,
    ),
    "local response": (lambda x: tf.nn.local_response_normalization(x, 1), IMAGES),
    "bilinear": (lambda x: tf.image.resize(x, (4, 5)), IMAGES),
    "nearest": (lambda x: tf.image.resize(x, (3, 9), "nearest"), IMAGES),
    "contrast": (lambda x: tf.image.adjust_contrast(x, 2.0), IMAGES),
    "inverse": (lambda x: tf.linalg.inv(x + 9 * tf.eye(4)), floats(3, 4, 4)),
    "fourier": (lambda x: tf.math.abs(tf.signal.rfft(x)), MATRIX),
    "where": (lambda x: tf.where(x > 0, x, -x), MATRIX),
    "clip": (lambda x: tf.clip_by_value(x, -1, 1), MATRIX),
    "map": (lambda x: tf.map_fn(lambda row: row / tf.reduce_sum(row), x), MATRIX),
    "scan": (lambda x: tf.scan(lambda a, b: a + b, x), MATRIX),
    "vectorized map": (lambda x: tf.vectorized_map(lambda row: row * tf.norm(row), x), MATRIX),
    "while": (
        lambda x: tf.while_loop(
            lambda i, y: i < 3, lambda i, y: (i + 1, y + tf.roll(y, 1, 1)), (0, x)
        )[1],
        MATRIX,
    ),
    "while it is small": (
        lambda x: tf.while_loop(lambda y: tf.reduce_max(y) < 9, lambda y: [y * 2], [x + 9])[0],
        MATRIX,
    ),
    "branch": (
        lambda x: tf.cond(tf.reduce_sum(x) > 0, lambda: x * 2, lambda: tf.reverse(x, [0])),
        MATRIX,
    ),
    "function": (lambda x: tf.function(lambda y: y - tf.reduce_mean(y, 0))(x), MATRIX),
    "custom gradient": (
        lambda x: tf.custom_gradient(lambda y: (y * 2, lambda up: up))(x),
        MATRIX,
    ),
    "bincount": (
        lambda x: tf.math.bincount(tf.cast(x > 0, tf.int32), axis=-1, minlength=3),
        MATRIX,
    ),
}  # fmt: skip


def traced(function: Callable[..., Any], x: np.ndarray) -> Graph:
    model = Call("", "function")
    return trace(
        lambda tensors, session: function(tensors[0]),
        [x],
        ["x"],
        dtypes=["float32"],
        named={},
        current=lambda: model,
    )[0]


@pytest.mark.parametrize("name", OPERATORS)
def test_a_graph_computes_what_the_function_does(name: str) -> None:
    function, x = OPERATORS[name]
    graph = traced(function, x)
    assert not graph.unknown_operators
    assert not graph.blind
    (found,) = replay(graph, graph.outputs, {graph.inputs[0]: tf.constant(x)})
    np.testing.assert_allclose(found, function(tf.constant(x)), rtol=1e-5, atol=1e-6)


def meets(function: Callable[..., Any], x: np.ndarray, axis: int) -> bool:
    """Whether an element of the output changes with two indices of an axis of the input."""
    before = np.asarray(function(tf.constant(x)))
    count = np.zeros(before.shape, int)
    for index in range(x.shape[axis]):
        changed = np.zeros(before.shape, bool)
        for trial in range(3):
            other = x.copy()
            place = [slice(None)] * x.ndim
            place[axis] = index  # type: ignore[call-overload]
            noise = np.random.default_rng(trial).standard_normal(other[tuple(place)].shape)
            other[tuple(place)] += 4 * noise.astype("float32")
            after = np.asarray(function(tf.constant(other)))
            changed |= ~np.isclose(before, after, rtol=1e-5, atol=1e-6)
        count += changed
    return bool((count > 1).any())


@pytest.mark.parametrize("name", OPERATORS)
def test_what_is_apart_by_the_table_is_apart(name: str) -> None:
    function, x = OPERATORS[name]
    graph = traced(function, x)
    for axis in range(x.ndim):
        verdict = samples_apart(graph, [axis]).verdict
        assert not (verdict is Verdict.APART and meets(function, x, axis)), f"axis {axis}"


def test_counted_loops_walk_over_slices() -> None:
    graph = traced(OPERATORS["map"][0], MATRIX)
    (loop,) = (node.rule for node in graph.nodes if isinstance(node.rule, Repeat))
    assert loop.condition is None
    assert loop.carried == 0
    graph = traced(OPERATORS["while it is small"][0], MATRIX)
    (loop,) = (node.rule for node in graph.nodes if isinstance(node.rule, Repeat))
    assert loop.condition is not None


def test_branches_are_followed() -> None:
    graph = traced(OPERATORS["branch"][0], MATRIX)
    (rule,) = (node.rule for node in graph.nodes if isinstance(node.rule, Branch))
    assert len(rule.bodies) == 2
    known = traced(lambda x: tf.cond(tf.constant(True), lambda: x * 2, lambda: x), MATRIX)
    assert [node.operator for node in known.nodes if node.live] == ["Mul"]


def test_variables_keep_what_a_call_writes_to_them() -> None:
    held = tf.Variable(tf.zeros((4, 6)))

    def turned(x: Any) -> Any:
        held.assign(x)
        held.assign_add(tf.ones((4, 6)))
        return tf.reverse(held, [0]) - tf.reduce_mean(held, 0)

    graph = traced(turned, MATRIX)
    assert samples_apart(graph, [0]).verdict is Verdict.MEET
    assert not held.numpy().any()


def test_a_function_of_the_program_proves_nothing() -> None:
    def reads(x: Any) -> Any:
        return tf.ensure_shape(tf.numpy_function(lambda y: y, [x], tf.float32), (4, 6))

    graph = traced(reads, MATRIX)
    assert graph.blind
    assert samples_apart(graph, [0]).verdict is Verdict.UNKNOWN


def test_a_decision_by_numbers_is_refused() -> None:
    with pytest.raises(CannotTraceError, match="without numbers"):
        traced(lambda x: x if x[0, 0] > 0 else -x, MATRIX)


def test_roles_say_what_matters_for_a_normalization() -> None:
    graph = traced(
        lambda x: (
            (x - tf.reduce_mean(x, -1, keepdims=True))
            * tf.math.rsqrt(tf.math.reduce_variance(x, -1, keepdims=True) + 1e-3)
        ),
        MATRIX,
    )
    roles = [node.role for node in graph.nodes if node.live]
    assert roles.count(Role.STATISTIC) == 3
    assert Role.INVERSE in roles
    assert Role.POWER in roles
    assert roles[-1] is Role.MULTIPLY
