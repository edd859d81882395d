"""Random programs: what is proved apart is apart, where it is measured.

Each program is a few operators in a row on values that are picked at random. Then one sample, or
one step, is given other numbers, and the outputs are compared.
"""

from __future__ import annotations

from collections.abc import Callable

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

from normscope.graph.operators import Graph, Value
from normscope.graph.proof import Verdict, causal, samples_apart
from normscope.graph.rules import Window
from programs import Program, run

N, T, D = 3, 4, 2
Draw = st.DrawFn
Array = NDArray[np.float64]


def axis_of(draw: Draw, value: Value) -> int:
    return draw(st.integers(0, len(value.shape) - 1))


def axes_of(draw: Draw, value: Value) -> set[int]:
    return draw(st.sets(st.integers(0, len(value.shape) - 1), min_size=1))


def unary(draw: Draw, p: Program, x: Value, y: Value) -> Value:
    op = draw(st.sampled_from([p.relu, p.tanh, p.sigmoid, p.square]))
    return op(x)


def exponential(draw: Draw, p: Program, x: Value, y: Value) -> Value:
    return p.exp(x)


def binary(draw: Draw, p: Program, x: Value, y: Value) -> Value:
    if len(x.shape) != len(y.shape) or any(
        a != b and 1 not in (a, b) for a, b in zip(x.shape, y.shape, strict=True)
    ):
        y = x
    return draw(st.sampled_from([p.add, p.sub, p.mul, p.div, p.maximum]))(x, y)


def reduction(draw: Draw, p: Program, x: Value, y: Value) -> Value:
    op = draw(st.sampled_from([p.mean, p.sum, p.var, p.max]))
    axes = axes_of(draw, x)
    keeps = draw(st.booleans()) or len(axes) >= len(x.shape) - 1
    return op(x, axes, keeps)


def statistic_back(draw: Draw, p: Program, x: Value, y: Value) -> Value:
    return p.sub(x, p.mean(x, axes_of(draw, x)))


def along(draw: Draw, p: Program, x: Value, y: Value) -> Value:
    axis = axis_of(draw, x)
    kind = draw(st.sampled_from(["softmax", "cumsum", "sort", "order", "norm"]))
    if kind == "cumsum":
        return p.cumsum(x, axis, draw(st.booleans()))
    if kind == "softmax":
        return p.softmax(x, axis)
    if kind == "norm":
        return p.layer_norm(x, {axis})
    return p.sort(x, axis)[kind == "order"]


def pool(draw: Draw, p: Program, x: Value, y: Value) -> Value:
    axis = axis_of(draw, x)
    size = draw(st.integers(1, 3))
    window = Window(
        size,
        draw(st.integers(1, 2)),
        draw(st.integers(1, 2)),
        draw(st.integers(0, 4)),
        draw(st.integers(1, 2)),
    )
    length = (x.shape[axis] - 1) * window.spread + 1
    if length + window.before <= (size - 1) * window.dilation:
        return x
    return p.pool(x, axis, window)


def permute(draw: Draw, p: Program, x: Value, y: Value) -> Value:
    return p.transpose(x, *draw(st.permutations(range(len(x.shape)))))


def reshape(draw: Draw, p: Program, x: Value, y: Value) -> Value:
    order = draw(st.permutations(x.shape))
    cut = draw(st.integers(0, len(order) - 1))
    merged = [*order[:cut], int(np.prod(order[cut : cut + 2])), *order[cut + 2 :]]
    shape = draw(st.sampled_from([order, merged, [N, T, x.size // (N * T)]]))
    return p.reshape(x, *shape) if int(np.prod(shape)) == x.size else x


def turn(draw: Draw, p: Program, x: Value, y: Value) -> Value:
    return p.flip(x, axis_of(draw, x))


def shift(draw: Draw, p: Program, x: Value, y: Value) -> Value:
    axis = axis_of(draw, x)
    before, after = draw(st.integers(0, 2)), draw(st.integers(0, 2))
    widths = [(before, after) if n == axis else (0, 0) for n in range(len(x.shape))]
    start = draw(st.integers(0, before + after))
    index = [slice(None)] * axis + [slice(start, start + x.shape[axis])]
    number = draw(st.sampled_from([0.0, 1.0, -np.inf] if x.is_float else [0.0, 1.0]))
    return p.slice(p.pad(x, widths, number), *index)


def join(draw: Draw, p: Program, x: Value, y: Value) -> Value:
    axis = axis_of(draw, x)
    y = y if len(y.shape) == len(x.shape) else x
    if any(n != axis and a != b for n, (a, b) in enumerate(zip(x.shape, y.shape, strict=True))):
        y = x
    size = x.shape[axis]
    both = p.concat([x, y], axis)
    return p.slice(both, *[slice(None)] * axis, slice(draw(st.integers(0, size)), None, 2))


def take(draw: Draw, p: Program, x: Value, y: Value) -> Value:
    axis = axis_of(draw, x)
    size = x.shape[axis]
    if draw(st.booleans()):
        index = draw(st.lists(st.integers(0, size - 1), min_size=size, max_size=size))
        return p.take(x, np.array(index), axis)
    chosen = p.cast(p.greater(p.reshape(p.slice(y, 0), -1), 0.0), "int64")
    return p.take(x, p.mul(chosen, np.array(size - 1)), axis)


def put(draw: Draw, p: Program, x: Value, y: Value) -> Value:
    size = x.shape[0]
    index = draw(st.lists(st.integers(0, size - 1), min_size=size, max_size=size))
    target = y if y.shape == x.shape and y.is_float else None
    adds = draw(st.booleans())
    return p.put(target, x, np.array(index), adds or len(set(index)) < size)


def choose(draw: Draw, p: Program, x: Value, y: Value) -> Value:
    y = y if y.shape == x.shape else x
    if draw(st.booleans()):
        return p.where(p.greater(y, 0.1), x, p.mul(x, 2.0))
    mask = np.array(draw(st.lists(st.booleans(), min_size=x.size, max_size=x.size)))
    return p.where(mask.reshape(x.shape), x, draw(st.sampled_from([0.0, -np.inf, -1e30, 3.0])))


def mask(draw: Draw, p: Program, x: Value, y: Value) -> Value:
    rows, columns = x.shape[-2:] if len(x.shape) > 1 else (1, x.shape[0])
    lower = np.tri(rows, columns, draw(st.integers(-1, 1))) > 0
    lower = lower if draw(st.booleans()) else lower[::-1]
    kind = draw(st.sampled_from(["add", "where", "times"]))
    low = draw(st.sampled_from([-np.inf, -1e30, -1e4]))
    if kind == "add":
        return p.add(x, np.where(lower, 0.0, low))
    return p.where(lower, x, low) if kind == "where" else p.mul(x, lower * 1.0)


def product(draw: Draw, p: Program, x: Value, y: Value) -> Value:
    x = x if len(x.shape) > 1 else p.reshape(x, 1, -1)
    other = draw(st.sampled_from(["self", "constant", "other"]))
    if other == "constant":
        size = x.shape[-2]
        weights = draw(st.lists(st.integers(0, 1), min_size=size**2, max_size=size**2))
        return p.matmul(np.array(weights).reshape(size, size) * 1.5, x)
    if (
        other == "other"
        and len(y.shape) == len(x.shape)
        and y.shape[:-1]
        == (
            *x.shape[:-2],
            x.shape[-1],
        )
    ):
        return p.matmul(x, y)
    order = [*range(len(x.shape) - 2), len(x.shape) - 1, len(x.shape) - 2]
    return p.matmul(x, p.transpose(x, *order))


def attention(draw: Draw, p: Program, x: Value, y: Value) -> Value:
    x = x if len(x.shape) > 1 else p.reshape(x, 1, -1)
    order = [*range(len(x.shape) - 2), len(x.shape) - 1, len(x.shape) - 2]
    scores = mask(draw, p, p.matmul(x, p.transpose(x, *order)), y)
    if draw(st.booleans()):
        scores = mask(draw, p, scores, y)
    if draw(st.booleans()):
        return p.matmul(p.softmax(scores, -1), x)
    weights = p.exp(p.sub(scores, p.max(scores, [-1])))
    return p.matmul(p.div(weights, p.sum(weights, [-1])), x)


def body(kind: str, *shape: int) -> Graph:
    p = Program()
    x = p.input(*shape)
    out = {"twice": p.mul(x, 2.0), "turned": p.flip(x, 0), "mean": p.sub(x, p.mean(x, [0]))}
    return p.outputs(out[kind])


KINDS = ["twice", "turned", "mean"]


def branch(draw: Draw, p: Program, x: Value, y: Value) -> Value:
    bodies = [body(draw(st.sampled_from(KINDS)), *x.shape) for _ in range(2)]
    number = p.slice(p.reshape(y, -1), draw(st.integers(0, y.size - 1)))
    return p.branch(p.cast(p.greater(number, 0.0), "int64"), bodies, x)[0]


def loop(draw: Draw, p: Program, x: Value, y: Value) -> Value:
    q = Program()
    shape = x.shape[1:] or (1,)
    x = x if x.shape[1:] else p.reshape(x, -1, 1)
    state, part = q.input(*shape), q.input(*shape)
    now = {
        "sum": q.add(state, part),
        "last": q.mul(part, 2.0),
        "turned": q.add(q.flip(state, 0), part),
        "mean": q.add(state, q.mean(part, [0])),
    }[draw(st.sampled_from(["sum", "last", "turned", "mean"]))]
    inner = q.outputs(now, q.tanh(state))
    reverse = draw(st.booleans())
    end, rows = p.repeat(inner, [], [np.zeros(shape)], [x], reverse=reverse)
    return rows if draw(st.booleans()) else p.add(x, end)


def swap(draw: Draw, p: Program, x: Value, y: Value) -> Value:
    """A loop that carries two values, and as long as a number is small."""
    q = Program()
    count, one, other = q.input(), q.input(*x.shape), q.input(*x.shape)
    inner = q.outputs(q.add(count, 1.0), other, q.add(one, 1.0))
    r = Program()
    number, _, _ = r.input(), r.input(*x.shape), r.input(*x.shape)
    again = r.outputs(r.greater(draw(st.sampled_from([1.0, 2.0])), number))
    y = y if y.shape == x.shape else p.mul(x, 3.0)
    start = p.sigmoid(p.slice(p.reshape(y, -1), 0)) if draw(st.booleans()) else 0.0
    return p.repeat(inner, [], [start, x, y], condition=again)[1]


STEPS: list[Callable[[Draw, Program, Value, Value], Value]] = [
    *(unary, exponential, binary, reduction, statistic_back, along, pool, permute, reshape, turn),
    *(shift, join, take, put, choose, mask, product, attention, branch, loop, swap),
]


@st.composite
def programs(draw: Draw) -> Program:
    p = Program()
    pool_: list[Value] = [p.input(N, T, D)]
    for _ in range(draw(st.integers(1, 5))):
        x, y = draw(st.sampled_from(pool_[-2:])), draw(st.sampled_from(pool_))
        made = draw(st.sampled_from(STEPS))(draw, p, x, y)
        if made.size <= 500 and made.shape:
            pool_.append(made)
    p.outputs(pool_[-1])
    return p


def changed(graph: Graph, axis: int, index: int, seed: int) -> NDArray[np.bool_]:
    """Which elements of the output change when one index of the input does."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N, T, D))
    other = x.copy()
    np.moveaxis(other, axis, 0)[index] = rng.normal(size=np.moveaxis(x, axis, 0)[0].shape) * 2
    with np.errstate(all="ignore"):
        one, two = run(graph, x)[0], run(graph, other)[0]
        if one.shape != two.shape:
            return np.ones(one.shape, bool)
        finite = np.isfinite(one) & np.isfinite(two)
        return np.asarray((abs(one - two) > 1e-9 * (1 + abs(one))) & finite)


@settings(max_examples=300)
@given(programs())
def test_what_is_proved_apart_is_apart(program: Program) -> None:
    graph = program.graph
    (out,) = graph.outputs
    if samples_apart(graph, [0]).verdict is Verdict.APART:
        own = [axis for axis, size in enumerate(out.shape) if size == N]
        assert any(not _others_change(graph, axis, 0, lambda i, j: i != j) for axis in own)
    if causal(graph, [1]).verdict is Verdict.APART:
        own = [axis for axis, size in enumerate(out.shape) if size == T]
        assert any(not _others_change(graph, axis, 1, lambda i, j: i < j) for axis in own)


def _others_change(
    graph: Graph, axis: int, along_: int, forbidden: Callable[[int, int], bool]
) -> bool:
    size = (N, T, D)[along_]
    for seed in range(2):
        for j in range(size):
            mask_ = np.moveaxis(changed(graph, along_, j, seed), axis, 0)
            if any(mask_[i].any() for i in range(size) if forbidden(i, j)):
                return True
    return False


@pytest.mark.parametrize("proof", [samples_apart, causal])
def test_random_programs_are_of_all_kinds(proof: Callable[..., object]) -> None:
    """The test above would say nothing if nothing, or everything, were proved."""
    seen: dict[str, int] = {}
    asked = [0] if proof is samples_apart else [1]

    @settings(max_examples=150, database=None, derandomize=True)
    @given(programs())
    def count(program: Program) -> None:
        verdict = str(proof(program.graph, asked).verdict)  # type: ignore[attr-defined]
        seen[verdict] = seen.get(verdict, 0) + 1

    count()
    assert set(seen) == {"apart", "meet", "unknown"}, seen
    assert min(seen.values()) > 5, seen
