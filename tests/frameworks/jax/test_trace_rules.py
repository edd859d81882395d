"""What the rules of primitives say of their elements, against what changes when these do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import jax.scipy.linalg
import numpy as np
import pytest
from jax import lax

from normscope.frameworks.jax import moves, operators
from normscope.frameworks.jax.trace import traced
from normscope.graph.operators import Graph, Node, Value
from normscope.graph.replay import replay
from normscope.graph.rules import NOTHING, Labels, Move, Opaque, Scan, Scatter, Window

DRAWN = np.random.default_rng(0)
X = DRAWN.normal(size=(3, 4)).astype(np.float32)
IMAGE = DRAWN.normal(size=(2, 3, 5, 4)).astype(np.float32)
MATRICES = (DRAWN.normal(size=(2, 3, 3)) + 4 * np.eye(3)).astype(np.float32)
SAME = ((0, 0), (0, 0), (1, 1), (1, 0))

lax_untyped: Any = lax
linalg_untyped: Any = jax.scipy.linalg

EXPRESSIONS: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "arithmetic": (X, lambda x: (x + x[:1]) * x[:, :1] - x / (2 + x) + 3 * x + x**3),
    "functions": (X, lambda x: jnp.exp(jnp.tanh(x)) + lax.rsqrt(x**2) + jnp.abs(x) ** 0.5),
    "comparisons": (X, lambda x: jnp.where((x > 0) & ~(x < 1), x, jnp.clip(x, -1, 0.5)).round()),
    "limited": (X, lambda x: lax.clamp(-x[0, 0], x, 0.5)),
    "whole": (X, lambda x: (x * 5).astype(int) // 2 % 3 << 1),
    "reductions": (X, lambda x: (x.sum(0), x.max(1), x.prod((0, 1)), x.argmax(0), x.any(1))),
    "reduced": (X, lambda x: lax.reduce((x, 2 * x), (0.0, 0.0), _pair, (1,))),
    "running": (X, lambda x: (jnp.cumsum(x, 1), lax.cummax(x, 0, reverse=True))),
    "sorted": (X, lambda x: (jnp.sort(x, 0), lax.top_k(x, 2), jnp.argsort(x, 1))),
    "product": (X, lambda x: (x @ x.T, jnp.einsum("ab,ac->cb", x, x), x[0] @ x[1])),
    "batched": (MATRICES, lambda x: jnp.einsum("abc,adc->abd", x, 2 * x)),
    "broadcast": (X, lambda x: jnp.broadcast_to(x[:, None, :, None], (2, 3, 5, 4, 1))),
    "moved": (X, lambda x: (x.T.reshape(2, 6)[:, ::-2], jnp.tile(x, (2, 1)), x[None, 1])),
    "joined": (X, lambda x: (jnp.concatenate([x, x[::-1]], 1), jnp.stack([x, -x], 1))),
    "split": (X, lambda x: (jnp.split(x, [1, 3], 1), *jnp.unstack(x, axis=1))),
    "padded": (X, lambda x: lax.pad(x, x[0, 0], ((1, -1, 2), (-2, 1, 0)))),
    "padded short": (X, lambda x: lax.pad(x, 0.0, ((-2, 4, 1), (3, -5, 2)))),
    "gathered": (X, lambda x: (x[:, jnp.array([[3, 0], [-1, 9]])], x[jnp.array([2, 0]), 1:3])),
    "gathered, filled": (X, lambda x: x.at[jnp.array([2, 5, -9])].get(mode="fill")),
    "gathered by pairs": (X, lambda x: x[jnp.array([0, 2, 1]), jnp.array([3, 3, 0])]),
    "gathered in batches": (X, lambda x: jnp.take_along_axis(x, jnp.array([[1, 1]] * 3), 1)),
    "gathered windows": (X, lambda x: _windows(x, jnp.array([0, 1, 7]))),
    "gathered where data says": (X, lambda x: x[:, jnp.argmax(x, 1)]),
    "each where its data says": (X, lambda x: x[jnp.arange(3), jnp.argmax(x, 1)]),
    "taken along where data says": (X, lambda x: jnp.take_along_axis(x, jnp.argsort(x, 1), 1)),
    "looked up": (X, lambda x: jnp.arange(10.0).reshape(5, 2)[(x * 2).astype(int) % 5]),
    "set": (X, lambda x: x.at[jnp.array([2, 0]), 1:].set(3 * x[:2, 1:])),
    "set in batches": (X, lambda x: jax.vmap(lambda r, v: r.at[2].set(v))(x, 5 * x[:, 0])),
    "set where data says": (X, lambda x: x.at[jnp.arange(3), jnp.argmax(x, 1)].set(x[:, 0])),
    "set anywhere": (X, lambda x: x.at[jnp.argmax(x, 0)].set(x[0, 0])),
    "set and dropped": (X, lambda x: x.at[jnp.array([5, 1])].set(x[:2] * 2)),
    "added": (X, lambda x: jnp.zeros((2, 4)).at[jnp.array([1, 0, 1])].add(x)),
    "scattered extremes": (X, lambda x: x.at[jnp.array([1])].max(x[:1]).at[0].multiply(2)),
    "slices": (X, lambda x: lax.dynamic_slice(x, (2, 1), (2, 2))),
    "slices where data says": (X, lambda x: lax.dynamic_slice(x, (0, x.argmax() % 2), (3, 2))),
    "slices set": (X, lambda x: lax.dynamic_update_slice(x, -x[:2, :3], (2, 0))),
    "slices set by data": (X, lambda x: lax.dynamic_update_slice(x, -x[:, :2], (0, x.argmax()))),
    "windows": (IMAGE, lambda x: _pooled(x, 0.0, lax.add, (1, 1, 3, 2), (1, 1, 2, 1), SAME)),
    "spread": (IMAGE, lambda x: _pooled(x, -9.0, lax.max, (1, 2, 2, 1), (1, 1, 1, 2), SAME, 2, 2)),
    "any windows": (X, lambda x: _pooled(x, 0.0, lambda a, b: a + 2 * b, (2, 1), (1, 1), "SAME")),
    "pooling backward": (X, jax.grad(lambda x: (_max_pooled(x) ** 2).sum())),
    "convolution": (IMAGE, lambda x: _convolved(x, (2, 1), [(2, 0), (0, -1)], (1, 2), (2, 1))),
    "grouped": (IMAGE[:, :2], lambda x: _convolved(x, (1, 1), "VALID", groups=2)),
    "samples in groups": (IMAGE, lambda x: _convolved(x, (1, 1), "VALID", batches=2)),
    "of features last": (IMAGE, lambda x: _features_last(x)),
    "linear algebra": (MATRICES, lambda x: (*jnp.linalg.qr(x), jnp.linalg.svd(x)[1])),
    "solved": (MATRICES, lambda x: linalg_untyped.solve_triangular(x, x, lower=True)),
    "factors": (MATRICES, lambda x: (lax_untyped.linalg.lu(x)[0], jnp.linalg.cholesky(x @ x.mT))),
    "transformed": (X, lambda x: (jnp.fft.fft(x, axis=0).imag, jnp.fft.rfft(x).real)),
    "random": (X, lambda x: jax.random.normal(_key(x[0, 0]), (2,)) + _bits(x)),
    "rounds": (X, lambda x: lax.scan(_round, (0, x), (x, 2 * x), reverse=True)),
    "gamma": (X, lambda x: jax.random.gamma(jax.random.key(0), 1 + x**2)),
    "gammas": (X, lambda x: jax.vmap(lambda k, r: jax.random.gamma(k, 1 + r**2))(_keys(), x)),
    "grouped rows": (X, lambda x: lax.ragged_dot(x, _kernels(), jnp.array([1, 2]))),
    "identities": (X, lambda x: (lax.optimization_barrier((x, 2 * x)), lax.stop_gradient(x))),
    "mapped sum": (X, jax.vmap(lambda r: r / lax_untyped.psum(r, "i"), axis_name="i")),
}


def _pair(a: Any, b: Any) -> Any:
    return a[0] + b[0], a[1] * b[0] + b[1]


def _windows(x: Any, starts: Any) -> Any:
    return jax.vmap(lambda start: lax.dynamic_slice(x, (0, start), (3, 2)))(starts)


def _pooled(x: Any, start: float, function: Any, *settings: Any) -> Any:
    size, stride, padding, *spread = settings
    dilations = [(1,) * (x.ndim - 1) + (n,) for n in spread]
    return lax.reduce_window(x, start, function, size, stride, padding, *dilations)


def _max_pooled(x: Any) -> Any:
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2), (1, 2), "VALID")


def _convolved(
    x: Any, stride: Any, padding: Any, spread: Any = None, dilation: Any = None, **groups: int
) -> Any:
    features = x.shape[1] // groups.get("groups", 1)
    kernel = jnp.asarray(np.random.default_rng(1).normal(size=(4, features, 2, 2)), jnp.float32)
    return lax.conv_general_dilated(
        x,
        kernel,
        stride,
        padding,
        spread,
        dilation,
        feature_group_count=groups.get("groups", 1),
        batch_group_count=groups.get("batches", 1),
    )


def _features_last(x: Any) -> Any:
    kernel = jnp.ones((2, 1, 4, 3))
    return lax.conv_general_dilated(
        x, kernel, (1, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "HWNC")
    )


def _round(carry: Any, row: Any) -> Any:
    number, made = carry
    return (number + 1, made.at[number].add(row[0])), row[1] + made[number]


def _key(number: Any) -> Any:
    return jax.random.fold_in(jax.random.key(0), jnp.abs(number * 1000).astype(int))


def _keys() -> Any:
    return jax.random.split(jax.random.key(0), 3)


def _kernels() -> Any:
    return jnp.asarray(np.random.default_rng(1).normal(size=(2, 4, 3)), jnp.float32)


def _bits(x: Any) -> Any:
    return lax.bitcast_convert_type(lax.bitcast_convert_type(x, jnp.uint8), jnp.float32)[0, :2]


def graph_of(name: str) -> Graph:
    x, function = EXPRESSIONS[name]
    return traced(lambda _, arrays: function(*arrays), {}, {"x": x})


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_a_rule_leaves_nothing_out(name: str) -> None:
    graph = graph_of(name)
    x = jnp.asarray(EXPRESSIONS[name][0])
    made = [value for node in graph.nodes for value in (*node.operands, *node.results)]
    can_run = [v for v in dict.fromkeys(made) if v.node is None or v.node.run is not None]
    arrays = dict(zip(can_run, replay(graph, can_run, {graph.inputs[0]: x}), strict=True))
    assert not graph.unknown_operators
    own = replay(graph, graph.outputs, {graph.inputs[0]: x})
    for output, expected in zip(own, jax.tree.leaves(EXPRESSIONS[name][1](x)), strict=True):
        np.testing.assert_allclose(output, expected, 1e-5, 1e-6)
    checked = 0
    for node in graph.nodes:
        if node.live and node.run is not None:
            checked += 1
            _check(graph, node, [arrays[value] for value in node.operands], arrays)
    assert checked


@pytest.mark.parametrize("name", ["arithmetic", "comparisons", "limited", "whole", "moved"])
def test_numpy_computes_the_same_bits(name: str) -> None:
    graph = graph_of(name)
    made = list(dict.fromkeys(v for node in graph.nodes for v in (*node.operands, *node.results)))
    numbers = replay(graph, made, {graph.inputs[0]: jnp.asarray(X)})
    arrays = dict(zip(made, numbers, strict=True))
    by_numpy = 0
    for node in graph.nodes:
        assert node.run is not None
        operands = [arrays[value] for value in node.operands]
        compiled = jax.jit(lambda given, node=node: list(node.run(given)))(operands)
        for one, other in zip(node.run(operands), compiled, strict=True):
            by_numpy += isinstance(one, np.ndarray)
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
    assert by_numpy


def _check(graph: Graph, node: Node, operands: list[Any], arrays: dict[Value, Any]) -> None:
    numbers = [graph.arrays.to_numpy(array) for array in operands]
    results = [graph.arrays.to_numpy(arrays[value]) for value in node.results]
    match node.rule:
        case Move(data, replayed, otherwise):
            if all(n in data or not v.live for n, v in enumerate(node.operands)):
                _check_moved(data, replayed, numbers, results)
            if otherwise is not None:
                _check_labels(graph, node, otherwise, operands)
        case Scatter(target, source, places, adds, otherwise):
            assert target == 0
            if all(n in (target, source) or not v.live for n, v in enumerate(node.operands)):
                given = [None if v.live else a for v, a in zip(node.operands, numbers, strict=True)]
                found = places(given)
                assert found.shape == numbers[source].shape
                if not adds:
                    expected = numbers[target].reshape(-1).copy()
                    inside = found != NOTHING
                    expected[found[inside]] = numbers[source][inside]
                    np.testing.assert_array_equal(expected.reshape(results[0].shape), results[0])
            if otherwise is not None:
                _check_labels(graph, node, otherwise, operands)
        case Labels() as rule:
            _check_labels(graph, node, rule, operands)


def _check_moved(
    data: tuple[int, ...], replayed: Any, numbers: list[Any], results: list[Any]
) -> None:
    """Each result is found at the place in the operands that its name says."""
    everything: list[Any] = []
    given = list(numbers)
    for n in data:
        size = sum(part.size for part in everything)
        given[n] = np.arange(size, size + numbers[n].size).reshape(numbers[n].shape)
        everything.append(numbers[n].reshape(-1))
    flat = np.concatenate(everything)
    for names, result in zip(replayed(given), results, strict=True):
        assert names.shape == result.shape
        inside = names != NOTHING
        np.testing.assert_array_equal(flat[names[inside]], result[inside])


def _check_labels(graph: Graph, node: Node, rule: Labels, operands: list[Any]) -> None:
    """Where an element of an operand is changed, only those results change that may see it."""
    assert node.run is not None
    base = [graph.arrays.to_numpy(array) for array in node.run(operands)]
    for number, operand in enumerate(operands):
        if "key" in str(operand.dtype):
            continue
        numbers = np.asarray(operand)
        for index in np.ndindex(numbers.shape):
            if number in rule.chooses and index[-1:] == (0,) != numbers.shape[-1:] != (1,):
                continue  # of pairs of indices the first are known here
            changed = numbers.copy()
            changed[index] = ~numbers[index] if numbers.dtype == bool else numbers[index] + 1
            given = [*operands[:number], jnp.asarray(changed), *operands[number + 1 :]]
            made = [graph.arrays.to_numpy(array) for array in node.run(given)]
            for dims, old, new in zip(rule.results, base, made, strict=True):
                # a factorization that works on a batch rounds otherwise
                moved = ~np.isclose(old, new, 1e-5, 1e-6, equal_nan=True)
                if moved.any():
                    seeing = _seeing(rule, number, numbers.shape, index, dims, old.shape)
                    assert not (moved & ~seeing).any(), (node.operator, number, index)


def _seeing(
    rule: Labels, number: int, shape: Any, index: Any, dims: Any, result: tuple[int, ...]
) -> Any:
    """Which elements of a result may see an element of an operand."""
    if number not in rule.operands:
        return np.zeros(result, bool)
    found = np.ones(result, bool)
    for axis, label in enumerate(rule.operands[number]):
        if label is None or label not in dims:
            continue
        place = dims.index(label)
        own = np.arange(result[place])
        if shape[axis] != 1 or result[place] == 1 or label in rule.relations:
            sees = _sees(rule.relations.get(label), own, index[axis])
            found &= sees.reshape([-1 if n == place else 1 for n in range(len(result))])
    return found


def _sees(relation: Window | Scan | None, own: Any, index: int) -> Any:
    match relation:
        case None:
            return own == index
        case Scan(reverse):
            return own <= index if reverse else own >= index
        case Window(size, stride, dilation, before, spread):
            return np.array(
                [
                    any(o * stride - before + j * dilation == index * spread for j in range(size))
                    for o in own
                ]
            )


# --- what has a rule ------------------------------------------------------------------------------

ALIKE = """
approx_top_k argmin broadcast_to complex conj copy_p cumlogsumexp cummin cumprod eig eigh
expand_dims geqrf hessenberg householder_product layout_constraint lu_pivots_to_permutation name
pmax pmin psum_invariant pvary random_split random_unwrap random_wrap reduce_and reduce_min
reduce_or reduce_window_min reduce_xor reshard scatter-min scatter-sub schur select_and_gather_add
sharding_constraint symmetric_product tie tridiagonal tridiagonal_solve with_memory_space_constraint
"""
"""Primitives with a rule that is tried with another one."""


def _with_rules() -> Iterator[str]:
    yield from operators.RULES
    yield from (*moves.SAME, *moves.MOVES)


def test_many_primitives_are_tried() -> None:
    tried = {node.operator for name in EXPRESSIONS for node in graph_of(name).nodes if node.live}
    known = set(_with_rules())
    assert len(tried & known) > 70
    untried = known - tried - operators.ELEMENTWISE.keys()
    assert untried <= set(ALIKE.split()), untried - set(ALIKE.split())


def test_the_primitive_that_nobody_knows_is_opaque() -> None:
    graph = traced(lambda _, a: lax_untyped.igamma_grad_a(a[0], a[0]), {}, {"x": X})
    assert not graph.unknown_operators
    shape = jax.eval_shape(lambda: X)
    graph = traced(lambda _, a: jax.pure_callback(np.sin, shape, a[0]), {}, {"x": X})
    assert graph.unknown_operators == {"pure_callback": 1}
    assert isinstance(graph.nodes[0].rule, Opaque)
    assert "pure_callback" in graph.blind
