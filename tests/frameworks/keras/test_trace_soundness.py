"""Programs made to fool the proof, in the operators of Keras, against measured coupling."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from frameworks.keras.traced import is_coupled, proved, sequential
from normscope.graph.operators import CannotTraceError
from normscope.graph.proof import Verdict

X = np.random.default_rng(0).standard_normal((4, 6)).astype("float32")


class Remembering(layers.Layer):
    """Adds to its state, and takes from it."""

    def build(self, shape: Any) -> None:
        self.seen = self.add_weight(shape=(6,), initializer="zeros", trainable=False)

    def call(self, x: Any) -> Any:
        self.seen.assign(self.seen + ops.mean(x, axis=0))
        return x - self.seen


class Writing(layers.Layer):
    """Writes what each sample gives and reads it back, turned around."""

    def __init__(self, turned: bool) -> None:
        super().__init__()
        self.turned = turned

    def build(self, shape: Any) -> None:
        self.held = self.add_weight(shape=(4, 6), initializer="zeros", trainable=False)

    def call(self, x: Any) -> Any:
        self.held.assign(x)
        return ops.flip(ops.convert_to_tensor(self.held), 0) if self.turned else self.held * 2.0


class Counting(layers.Layer):
    """Its cell normalizes over the batch at each step."""

    def call(self, x: Any) -> Any:
        def step(carried: Any, row: Any) -> Any:
            return carried + row, carried * row

        return ops.scan(step, ops.zeros((6,)), x)[1]


def _slices(x: Any) -> Any:
    return ops.concatenate([x[1:], x[:1]], axis=0)


def _updated(x: Any) -> Any:
    return ops.slice_update(x, (0, 0), x[2:4, :3])


def _scattered(x: Any) -> Any:
    return ops.scatter_update(ops.zeros_like(x), np.array([[3], [2], [1], [0]]), x)


def _windowed(x: Any) -> Any:
    return ops.average_pool(ops.reshape(x, (1, 4, 6)), 3, 1, "same")[0]


def _summed_by_index(x: Any) -> Any:
    return ops.take(ops.segment_sum(x, np.array([0, 0, 1, 1]), 2), np.array([0, 0, 1, 1]), 0)


def _while(x: Any) -> Any:
    found = ops.while_loop(
        lambda count, y: count < 3, lambda count, y: (count + 1, y * 2 + x), (0, x)
    )
    return found[1]


def _live_while(x: Any) -> Any:
    return ops.while_loop(lambda y: ops.max(y) < 100, lambda y: (y * 2,), (ops.abs(x) + 1,))[0]


def _in_turn(x: Any) -> Any:
    return ops.fori_loop(0, 4, lambda i, y: y + ops.roll(y, 1, axis=0), x)


# what the program computes, and what is said of it: by any of these words
PROGRAMS: dict[str, tuple[Callable[..., Any], set[str]]] = {
    "rows": (lambda x: x / ops.norm(x, axis=-1, keepdims=True), {"apart"}),
    "columns": (lambda x: x - ops.mean(x, axis=0), {"meet"}),
    "sliced": (_slices, {"meet", "apart"}),
    "updated": (_updated, {"meet"}),
    "scattered": (_scattered, {"meet", "apart"}),
    "reshaped": (
        lambda x: ops.reshape(ops.swapaxes(ops.reshape(x, (2, 2, 6)), 0, 1), (4, 6)),
        {"meet"},
    ),
    "gram": (lambda x: ops.einsum("bi,ci->bc", x, x), {"meet"}),
    "own product": (lambda x: ops.einsum("bi,bi->b", x, x), {"apart"}),
    "sorted by samples": (lambda x: ops.sort(x, axis=0), {"meet", "unknown"}),
    "sorted by features": (lambda x: ops.sort(x, axis=1), {"apart"}),
    "best of the batch": (
        lambda x: ops.take(x, ops.argmax(x[:, 0]), axis=0) + x,
        {"meet", "unknown"},
    ),
    "one by one": (lambda x: ops.vectorized_map(lambda v: v / ops.sum(v), x), {"apart"}),
    "mapped": (lambda x: ops.map(lambda v: v / ops.sum(ops.abs(v)), x), {"apart"}),
    "running sum of samples": (lambda x: ops.cumsum(x, axis=0), {"meet"}),
    "running sum of features": (lambda x: ops.cumsum(x, axis=1), {"apart"}),
    "windows over samples": (_windowed, {"meet"}),
    "sums by index": (_summed_by_index, {"meet"}),
    "counted rounds": (_while, {"apart"}),
    "rounds until it is large": (_live_while, {"meet", "unknown"}),
    "mixing in turn": (_in_turn, {"meet"}),
    "branch": (
        lambda x: ops.cond(ops.mean(x) > 0, lambda: x * 2, lambda: x + 1),
        {"meet", "unknown"},
    ),
    "padded": (lambda x: ops.pad(x, [[1, 1], [0, 0]])[1:5], {"apart"}),
    "padded and shifted": (lambda x: ops.pad(x, [[1, 0], [0, 0]])[:4], {"meet", "apart"}),
    "chosen by the other": (lambda x: ops.where(ops.flip(x, 0) > 0, x, -x), {"meet", "unknown"}),
    "triangle": (lambda x: ops.matmul(ops.tril(ops.ones((4, 4))), x), {"meet"}),
    "one matrix": (lambda x: ops.matmul(ops.eye(4), x), {"meet", "apart"}),
    "one hot": (lambda x: ops.one_hot(ops.argmax(x, axis=1), 6), {"apart", "unknown"}),
    "diagonal": (lambda x: ops.diagonal(ops.matmul(x, ops.transpose(x)))[:, None] * x, {"meet"}),
}
LAYERS: dict[str, tuple[Callable[[], Any], set[str]]] = {
    "remembers": (Remembering, {"meet"}),
    "written and read": (lambda: Writing(False), {"apart"}),
    "written, read and turned": (lambda: Writing(True), {"meet", "apart"}),
    "scan over samples": (Counting, {"meet"}),
}
MADE = {
    **{name: (lambda f=f: layers.Lambda(f), said) for name, (f, said) in PROGRAMS.items()},
    **LAYERS,
}


@pytest.mark.parametrize("name", MADE)
def test_what_is_proved_apart_is_apart(name: str) -> None:
    make, said = MADE[name]
    model = sequential((6,), make(), batch_size=4)
    coupled = is_coupled(model, X, False)
    try:
        proof = proved(model, X, False)
    except CannotTraceError:
        assert coupled or not said - {"meet", "unknown"}, "what stays apart can be followed"
        return
    assert not (coupled and proof.verdict is Verdict.APART), f"unsound: {proof}"
    if coupled:
        assert proof.verdict.value in said | {"unknown"}
    else:
        assert proof.verdict is not Verdict.MEET or "meet" in said


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rows", "apart"),
        ("columns", "meet"),
        ("mapped", "apart"),
        ("one by one", "apart"),
        ("own product", "apart"),
        ("sorted by features", "apart"),
        ("running sum of features", "apart"),
        ("padded", "apart"),
        ("counted rounds", "apart"),
        ("written and read", "apart"),
        ("mixing in turn", "meet"),
        ("scan over samples", "meet"),
        ("remembers", "meet"),
        ("windows over samples", "meet"),
    ],
)
def test_what_is_plain_is_decided(name: str, expected: str) -> None:
    assert proved(sequential((6,), MADE[name][0](), batch_size=4), X, False).verdict == expected


def test_a_program_that_reads_numbers_is_proved_nothing_of() -> None:
    class Reading(layers.Layer):
        def call(self, x: Any) -> Any:
            return x * 2 if float(ops.convert_to_numpy(x).mean()) > 0 else x * 3

        def compute_output_spec(self, x: Any) -> Any:
            return keras.KerasTensor(x.shape, x.dtype)

    model = sequential((6,), layers.Dense(6), Reading(), batch_size=4)
    with suppress(CannotTraceError):
        assert proved(model, X, False).verdict is Verdict.UNKNOWN
