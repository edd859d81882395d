"""Where a graph normalizes: everything that counts is found, all else is dismissed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from budget import budget
from normscope.graph.operators import Role, Value
from normscope.graph.rules import Window
from normscope.graph.sites import Form, Site, find_sites
from programs import Program

RNG = np.random.default_rng(0)
W = RNG.standard_normal(16)
B = RNG.standard_normal(16)


def _w(p: Program, *shape: int) -> Value:
    return p.constant(W.reshape(shape or (16,)), "w")


def _b(p: Program, *shape: int) -> Value:
    return p.constant(B.reshape(shape or (16,)), "b")


def _std(p: Program, v: Value, eps: float = 1e-5) -> Value:
    return p.sqrt(p.add(v, eps))


def channels_first(p: Program, x: Value) -> Value:
    u = p.mean(x, [1])
    s = p.mean(p.square(p.sub(x, u)), [1])
    y = p.div(p.sub(x, u), _std(p, s))
    return p.add(p.mul(_w(p, 16, 1, 1), y), _b(p, 16, 1, 1))


def response(p: Program, x: Value) -> Value:
    gx = p.sqrt(p.sum(p.square(x), [1, 2]))
    nx = p.div(gx, p.add(p.mean(gx, [-1]), 1e-6))
    return p.add(p.add(p.mul(_w(p), p.mul(x, nx)), _b(p)), x)


def adaptive(p: Program, x: Value) -> Value:
    s = p.input(4, 8, name="s")
    mean, std = p.mean(x, [2, 3]), _std(p, p.var(x, [2, 3]))
    h = p.matmul(s, p.constant(RNG.standard_normal((8, 32)), "k"))
    a = p.reshape(p.slice(h, slice(None), slice(0, 16)), 4, 16, 1, 1)
    b = p.reshape(p.slice(h, slice(None), slice(16, 32)), 4, 16, 1, 1)
    return p.add(p.mul(p.div(p.sub(x, mean), std), p.add(1.0, a)), b)


def adaptive_factor(p: Program, x: Value) -> Value:
    """As JAX writes it: the live scale joins the statistic before it comes back."""
    s = p.input(4, 16, 1, 1, name="s")
    mean = p.mean(x, [2, 3])
    return p.mul(p.sub(x, mean), p.mul(p.rsqrt(p.add(p.var(x, [2, 3]), 1e-5)), s))


def moments(p: Program, x: Value) -> Value:
    """The variance as mean(x**2) - mean**2."""
    mean, square = p.mean(x, [0, 2, 3]), p.mean(p.square(x), [0, 2, 3])
    var = p.maximum(p.sub(square, p.square(mean)), 0.0)
    factor = p.mul(p.rsqrt(p.add(var, 1e-5)), _w(p, 1, 16, 1, 1))
    return p.add(p.mul(p.sub(x, mean), factor), _b(p, 16, 1, 1))


def groups(p: Program, x: Value) -> Value:
    y = p.reshape(x, 4, 4, 100)
    y = p.mul(p.sub(y, p.mean(y, [-1])), p.rsqrt(p.add(p.var(y, [-1]), 1e-5)))
    y = p.reshape(y, 4, 16, 5, 5)
    return p.add(p.mul(y, _w(p, 16, 1, 1)), _b(p, 16, 1, 1))


def batch_by_hand(p: Program, x: Value) -> Value:
    mean, var = p.mean(x, [0, 2, 3], keeps=False), p.var(x, [0, 2, 3], keeps=False)
    y = p.div(p.sub(x, p.reshape(mean, 1, 16, 1, 1)), _std(p, p.reshape(var, 1, 16, 1, 1)))
    return p.add(p.mul(y, _w(p, 16, 1, 1)), _b(p, 16, 1, 1))


def rms(p: Program, x: Value) -> Value:
    y = p.mul(x, p.rsqrt(p.add(p.mean(p.square(x), [-1]), 1e-6)))
    return p.mul(y, p.add(1.0, _w(p)))


def rms_cast(p: Program, x: Value) -> Value:
    up = p.cast(x, "float32")
    y = p.mul(up, p.rsqrt(p.add(p.mean(p.square(up), [-1]), 1e-6)))
    return p.mul(_w(p), p.cast(y, "float64"))


def rms_einsum(p: Program, x: Value) -> Value:
    total = p.reshape(p.einsum("btc,btc->bt", x, x), 4, 6, 1)
    return p.mul(p.mul(x, p.rsqrt(p.add(p.div(total, 16.0), 1e-6))), _w(p))


def unit(p: Program, x: Value) -> Value:
    return p.div(x, p.maximum(p.sqrt(p.sum(p.square(x), [-1])), 1e-12))


def unit_of_bounded(p: Program, x: Value) -> Value:
    """A norm in one operator is no sum, which would make weights that sum to one."""
    y = p.tanh(x)

    def norm(a: np.ndarray, axis: tuple[int, ...], keepdims: bool) -> np.ndarray:
        return np.sqrt((a**2).sum(axis, keepdims=keepdims))

    return p.div(y, p.reduce("norm", Role.STATISTIC, norm, y, [-1]))


def score(p: Program, x: Value) -> Value:
    return p.div(p.sub(x, p.mean(x, [0])), p.add(p.sqrt(p.var(x, [0])), 1e-5))


def pixel(p: Program, x: Value) -> Value:
    return p.div(x, p.sqrt(p.add(p.mean(p.square(x), [1]), 1e-8)))


def composite(p: Program, x: Value) -> Value:
    return p.layer_norm(x, [-1], _w(p), _b(p))


def composite_turned(p: Program, x: Value) -> Value:
    y = p.layer_norm(p.transpose(x, 0, 2, 3, 1), [-1])
    return p.transpose(p.add(p.mul(y, _w(p)), _b(p)), 0, 3, 1, 2)


def instance_as_batch(p: Program, x: Value) -> Value:
    y = p.layer_norm(p.reshape(x, 1, 64, 5, 5), [0, 2, 3])
    return p.reshape(y, 4, 16, 5, 5)


def cosine(p: Program, x: Value) -> Value:
    y = p.input(*x.shape, name="y")
    return p.sum(p.mul(unit(p, x), unit(p, y)), [-1])


def response_local(p: Program, x: Value) -> Value:
    square = p.pad(p.square(x), [(0, 0), (2, 1), (0, 0), (0, 0)])
    near = p.pool(square, 1, Window(4))
    return p.div(
        x, p.elementwise("pow", Role.POWER, lambda a: a**0.75, p.add(p.mul(near, 1e-4), 1.0))
    )


def cumulative(p: Program, x: Value) -> Value:
    mean = p.div(p.cumsum(p.mean(x, [-1]), 1), np.arange(1.0, 7.0).reshape(6, 1))
    square = p.div(p.cumsum(p.mean(p.square(x), [-1]), 1), np.arange(1.0, 7.0).reshape(6, 1))
    return p.div(p.sub(x, mean), _std(p, p.sub(square, p.square(mean))))


def pairs(p: Program, x: Value) -> Value:
    x = p.sub(x, p.mean(x, [0]))
    return p.div(x, _std(p, p.mean(p.sum(p.square(x), [-1]), [0, 1])))


def by_index(p: Program, x: Value) -> Value:
    """Mean and variance of the rows of each graph of a batch of graphs."""
    rows = p.reshape(x, 24, 16)
    index = np.repeat(np.arange(3), 8)
    d = p.sub(rows, p.take(p.div(p.put(None, rows, index, adds=True), 8.0), index))
    var = p.div(p.put(None, p.square(d), index, adds=True), 8.0)
    return p.div(d, _std(p, p.take(var, index)))


def stored(p: Program, x: Value) -> Value:
    mean, var = p.constant(W.reshape(16, 1, 1), "mean"), p.constant(np.abs(B), "var")
    factor = p.mul(p.rsqrt(p.add(p.reshape(var, 16, 1, 1), 1e-3)), _w(p, 16, 1, 1))
    return p.add(p.mul(p.sub(x, mean), factor), _b(p, 16, 1, 1))


def stored_deviation(p: Program, x: Value) -> Value:
    mean, std = (p.constant(np.abs(a).reshape(16, 1, 1), n) for a, n in ((W, "mean"), (B, "std")))
    return p.div(p.sub(x, mean), std)


def centred(p: Program, x: Value) -> Value:
    return p.sub(x, p.mean(x, [-1]))


def attention(p: Program, x: Value) -> Value:
    q, k, v = (
        p.matmul(x, p.constant(RNG.standard_normal((16, 16)), name)) for name in ("q", "k", "v")
    )
    a = p.div(p.matmul(q, p.transpose(k, 0, 2, 1)), 4.0)
    e = p.exp(p.sub(a, p.max(a, [-1])))
    return p.matmul(p.div(e, p.sum(e, [-1])), v)


def attention_softmax(p: Program, x: Value) -> Value:
    return p.matmul(p.softmax(p.matmul(x, p.transpose(x, 0, 2, 1)), -1), x)


def squeeze_excite(p: Program, x: Value) -> Value:
    pooled = p.mean(x, [2, 3], keeps=False)
    h = p.relu(p.matmul(pooled, p.constant(RNG.standard_normal((16, 16)), "q")))
    gate = p.sigmoid(p.matmul(h, p.constant(RNG.standard_normal((16, 16)), "k")))
    return p.mul(x, p.reshape(gate, 4, 16, 1, 1))


def gate(p: Program, x: Value) -> Value:
    return p.mul(x, p.sigmoid(p.mean(x, [2, 3])))


def factor(p: Program, x: Value) -> Value:
    return p.mul(x, p.mul(2.0, p.mean(x, [2, 3])))


def simam(p: Program, x: Value) -> Value:
    d = p.square(p.sub(x, p.mean(x, [2, 3])))
    return p.mul(x, p.sigmoid(p.add(p.div(d, p.mul(4.0, p.add(p.var(x, [2, 3]), 1e-4))), 0.5)))


def weight(p: Program, x: Value) -> Value:
    q = p.constant(RNG.standard_normal((16, 16)), "q")
    return p.matmul(x, p.div(q, p.sqrt(p.sum(p.square(q), [0]))))


def weight_styled(p: Program, x: Value) -> Value:
    """As StyleGAN2 does: kernels scaled by a style, then made of length one."""
    style = p.input(4, 1, 16, name="style")
    w = p.mul(p.constant(RNG.standard_normal((1, 16, 16)), "kernel"), style)
    return p.matmul(x, p.div(w, _std(p, p.sum(p.square(w), [-1]))))


def loss(p: Program, x: Value) -> Value:
    return p.mean(p.square(p.sub(x, p.input(*x.shape, name="y"))), [1, 2])


def masked_pool(p: Program, x: Value) -> Value:
    mask = p.cast(p.greater(p.slice(x, ..., slice(0, 1)), 0.0), "float64")  # type: ignore[arg-type]
    return p.div(p.sum(p.mul(x, mask), [1]), p.maximum(p.sum(mask, [1]), 1.0))


def router(p: Program, x: Value) -> Value:
    weights = p.slice(p.sigmoid(x), slice(None), slice(None), slice(0, 4))
    return p.div(weights, p.add(p.sum(weights, [-1]), 1e-9))


def router_of_the_largest(p: Program, x: Value) -> Value:
    values, _ = p.sort(p.softmax(x, -1), -1)
    largest = p.slice(values, slice(None), slice(None), slice(-4, None))
    return p.div(largest, p.sum(largest, [-1]))


def log_softmax(p: Program, x: Value) -> Value:
    return p.sub(x, p.elementwise("log", Role.POINTWISE, np.log, p.sum(p.exp(x), [-1])))


def pool_mixer(p: Program, x: Value) -> Value:
    return p.sub(p.pool(p.pad(x, [(0, 0), (1, 1), (0, 0)]), 1, Window(3)), x)


def deviation_channel(p: Program, x: Value) -> Value:
    d = p.reshape(x, 2, 2, 16, 5, 5)
    std = p.mean(p.sqrt(p.var(d, [0], keeps=False)), [1, 2, 3], keeps=False)
    plane = p.expand(p.reshape(p.concat([std, std], 0), 4, 1, 1, 1), 4, 1, 5, 5)
    return p.concat([x, plane], 1)


T, IMAGE, LAST = (4, 6, 16), (4, 16, 5, 5), (4, 5, 5, 16)
Make = Callable[[Program, Value], Value]
COMPOSED, STORED, CENTRED, ONE = Form.COMPOSED, Form.STORED, Form.CENTRED, Form.COMPOSITE

# a program, the shape of its input, and the forms of the sites in it
NORMALIZES: list[tuple[Make, tuple[int, ...], list[Form]]] = [
    (channels_first, IMAGE, [COMPOSED]),
    (response, LAST, [COMPOSED]),
    (adaptive, IMAGE, [COMPOSED]),
    (adaptive_factor, IMAGE, [COMPOSED]),
    (moments, IMAGE, [COMPOSED]),
    (groups, IMAGE, [COMPOSED]),
    (batch_by_hand, IMAGE, [COMPOSED]),
    (rms, T, [COMPOSED]),
    (rms_cast, T, [COMPOSED]),
    (rms_einsum, T, [COMPOSED]),
    (unit, T, [COMPOSED]),
    (unit_of_bounded, T, [COMPOSED]),
    (score, T, [COMPOSED]),
    (pixel, IMAGE, [COMPOSED]),
    (composite, T, [ONE]),
    (composite_turned, IMAGE, [ONE]),
    (instance_as_batch, IMAGE, [ONE]),
    (cosine, T, [COMPOSED, COMPOSED]),
    (response_local, IMAGE, [COMPOSED]),
    (cumulative, T, [COMPOSED]),
    (pairs, T, [COMPOSED]),
    (by_index, T, [COMPOSED]),
    (stored, IMAGE, [STORED]),
    (stored_deviation, IMAGE, [STORED]),
    (centred, T, [CENTRED]),
]

# a program, the shape of its input, and a word of the reason; "" where there is nothing to dismiss
DOES_NOT: list[tuple[Make, tuple[int, ...], str]] = [
    (attention, T, "softmax"),
    (attention_softmax, T, ""),
    (squeeze_excite, IMAGE, ""),
    (gate, IMAGE, "gate"),
    (factor, IMAGE, "gate"),
    (simam, IMAGE, "gate"),
    (weight, T, ""),
    (weight_styled, T, "parameter"),
    (loss, T, ""),
    (masked_pool, T, ""),
    (router, T, "sum to one"),
    (router_of_the_largest, T, "sum to one"),
    (log_softmax, T, "softmax"),
    (pool_mixer, T, "running mean"),
    (deviation_channel, IMAGE, ""),
]


def _sites(make: Make, shape: tuple[int, ...]) -> tuple[Value, Value, tuple[Site, ...]]:
    p = Program()
    x = p.input(*shape)
    y = make(p, x)
    return x, y, find_sites(p.outputs(y))


@pytest.mark.parametrize(
    ("make", "shape", "forms"), NORMALIZES, ids=lambda v: getattr(v, "__name__", "")
)
def test_what_normalizes_is_found(make: Make, shape: tuple[int, ...], forms: list[Form]) -> None:
    _, _, sites = _sites(make, shape)
    assert [site.form for site in sites if not site.dismissed] == forms, sites
    assert not [site for site in sites if site.dismissed]


@pytest.mark.parametrize(
    ("make", "shape", "word"), DOES_NOT, ids=lambda v: getattr(v, "__name__", "")
)
def test_what_does_not_is_dismissed(make: Make, shape: tuple[int, ...], word: str) -> None:
    _, _, sites = _sites(make, shape)
    assert all(site.dismissed for site in sites), sites
    assert any(word in site.dismissed for site in sites) if word else not sites


WHOLE = (channels_first, rms, rms_cast, rms_einsum, groups, batch_by_hand, moments, stored,
         composite, composite_turned, instance_as_batch, pairs)  # fmt: skip


@pytest.mark.parametrize("make", WHOLE)
def test_scale_bias_casts_and_undone_moves_belong_to_it(make: Make) -> None:
    shape = next(shape for other, shape, _ in NORMALIZES if other is make)
    x, y, (site,) = _sites(make, shape)
    assert (site.x, site.y) == (x, y)


def test_what_stands_around_a_normalization_stays_outside() -> None:
    p = Program()
    x = p.input(4, 5, 5, 16)
    out = response(p, x)
    (site,) = find_sites(p.outputs(out))
    assert site.x is x
    assert out.node is not None
    assert site.y is out.node.operands[0]  # the branch around it is added later


def test_moves_that_are_not_undone_stay_outside() -> None:
    p = Program()
    turned = p.transpose(p.input(4, 16, 16), 0, 2, 1)  # of the same shape, but elsewhere
    y = composite(p, turned)
    (site,) = find_sites(p.outputs(y))
    assert site.x is turned
    assert site.y is y


def test_the_bias_of_the_layer_before_is_no_stored_mean() -> None:
    p = Program()
    with p.layer("conv", "Conv"):
        x = p.add(p.input(4, 16, 5), p.constant(B.reshape(16, 1), "conv.bias"))
    with p.layer("norm", "Norm"):
        var = p.constant(np.abs(B).reshape(16, 1), "norm.var")
        y = p.mul(x, p.rsqrt(p.add(var, 1e-3)))
    (site,) = find_sites(p.outputs(y))
    assert site.form is Form.STORED
    assert site.x is x
    assert site.path == "norm"


def test_what_another_layer_does_to_the_result_is_not_its_scale() -> None:
    p = Program()
    x = p.input(4, 16)
    with p.layer("norm", "Norm"):
        y = p.layer_norm(x, [-1])
    with p.layer("scale", "LayerScale"):
        out = p.mul(y, _w(p))
    (site,) = find_sites(p.outputs(out))
    assert site.y is y


def test_sites_in_bodies_of_loops_are_found() -> None:
    body = Program()
    state = body.input(4, 16)
    graph = body.outputs(rms(body, state))
    p = Program()
    carried = p.input(4, 16)
    (y,) = p.repeat(graph, carried=[carried], slices=[np.zeros((3, 1))][:0])
    (site,) = find_sites(p.outputs(y))
    assert site.form is Form.COMPOSED


def test_two_thousand_sites_take_a_second_or_two() -> None:
    p = Program()
    x = p.input(2, 4)
    kernel = p.constant(np.eye(4), "kernel")
    for _ in range(2000):
        x = p.add(x, p.matmul(unit(p, x), kernel))
    graph = p.outputs(x)
    with budget():  # a square of their number would take minutes
        assert len(find_sites(graph)) == 2000


def test_normalizations_multiplied_out_stay_apart_one_after_the_other() -> None:
    """x * inverse - mean * inverse ends with a sum, and is no centring for the next one."""

    def norm(x: Value) -> Value:
        mean = p.mean(x, [1])
        inverse = p.div(1.0, _std(p, p.mean(p.square(p.sub(x, mean)), [1])))
        return p.sub(p.mul(x, inverse), p.mul(mean, inverse))

    p = Program()
    x = p.input(4, 16, name="x")
    once = norm(x)
    twice = norm(once)
    first, second = find_sites(p.outputs(twice))
    assert (first.x, first.y, second.x, second.y) == (x, once, once, twice)
