"""Which primitives of a corpus of programs have no rule: the list grows by nothing unseen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jax.sharding import Mesh, PartitionSpec

from normscope.frameworks.jax.trace import traced
from normscope.graph.operators import Graph
from normscope.graph.proof import Verdict, samples_apart

X = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
KEY = jax.random.key(0)
EYE = jnp.eye(6)

jax_untyped: Any = jax
nn: Any = jax.nn


def _over_devices(x: Any) -> Any:
    mesh, spec = Mesh(np.array(jax.devices()[:1]), ("d",)), PartitionSpec("d")
    return jax_untyped.shard_map(lambda y: y * 2, mesh=mesh, in_specs=spec, out_specs=spec)(x)


def _each(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return jax.vmap(lambda row: function(jnp.outer(row, row) + EYE))


def _ctc(x: Any) -> Any:
    logits, paddings = jnp.tile(x[:, :, None], (1, 1, 3)), jnp.zeros((4, 6))
    return optax.ctc_loss(logits, paddings, jnp.ones((4, 2), int), jnp.zeros((4, 2)))


APART: list[Callable[[Any], Any]] = [
    # activations, losses, attention
    lambda x: nn.gelu(nn.silu(nn.softplus(nn.elu(nn.hard_swish(nn.mish(x)))))),
    lambda x: nn.log_softmax(nn.glu(x, 1)) + nn.standardize(x, 1)[:, :3],
    lambda x: nn.dot_product_attention(*[x[:, :, None, None]] * 3, is_causal=True),
    lambda x: optax.softmax_cross_entropy_with_integer_labels(x, jnp.arange(4)),
    _ctc,
    lambda x: optax.huber_loss(x) + optax.cosine_similarity(x, 2 * x)[:, None],
    # linear algebra
    _each(lambda m: jnp.linalg.solve(m, m[0])),
    _each(lambda m: (jnp.linalg.inv(m), jnp.linalg.det(m), jnp.linalg.slogdet(m)[1])),
    _each(lambda m: (jnp.linalg.eigh(m)[0], jnp.linalg.svd(m)[1], jnp.linalg.pinv(m))),
    _each(lambda m: jax.scipy.linalg.expm(m / 50)),
    _each(lambda m: jax.scipy.linalg.cho_solve((jnp.linalg.cholesky(m), True), m[0])),
    # images, signals, tables
    lambda x: jax.image.resize(x, (4, 12), "bilinear"),
    lambda x: jax.vmap(lambda r: jnp.convolve(r, jnp.ones(3), "same"))(x),
    lambda x: jnp.fft.irfft(jnp.fft.rfft(x) * 2, 6) + jnp.fft.fftshift(x, axes=1),
    lambda x: jnp.interp(x, jnp.array([-1.0, 0.0, 1.0]), jnp.array([0.0, 1.0, 3.0])),
    lambda x: (jnp.median(x, 1), jnp.quantile(x, 0.3, axis=1), jnp.searchsorted(x[0] * 0, x)),
    lambda x: jax.ops.segment_sum(x, jnp.array([0, 1, 2, 3]), 4),
    lambda x: lax.associative_scan(jnp.add, x, axis=1) + lax.map(lambda r: 2 * r, x),
    lambda x: nn.one_hot(x.argmax(1), 6) + jnp.vectorize(jnp.sum, signature="(n)->()")(x)[:, None],
    # derivatives
    jax.vmap(jax.hessian(lambda row: (row**3).sum())),
    lambda x: jax.jvp(jnp.tanh, (x,), (x,))[1] + jax.vjp(jnp.sin, x)[1](x)[0],
    # random numbers
    lambda x: x + jax.random.truncated_normal(KEY, -2, 2, (4, 6)) + jax.random.gumbel(KEY, (4, 6)),
    lambda x: (jax.random.categorical(KEY, x), jax.random.gamma(KEY, jnp.abs(x))),
    lambda x: (jax.random.permutation(KEY, x, axis=1), jax.random.beta(KEY, x**2, 1.0)),
    # special functions, other dtypes
    lambda x: jax.scipy.special.gammaln(x) + jax.scipy.special.betainc(1.0, 2.0, nn.sigmoid(x)),
    lambda x: x.astype(jnp.bfloat16) - x.astype(jnp.bfloat16).mean(1, keepdims=True),
    lambda x: (x * 9).astype(jnp.int8) @ jnp.ones((6, 3), jnp.int8),
    lambda x: lax.platform_dependent(x, cpu=lambda y: y * 2, default=lambda y: y),
]

LEFT_OPEN: dict[str, Callable[[Any], Any]] = {
    "shard_map": _over_devices,
    "pure_callback": lambda x: jax.pure_callback(np.sin, jax.eval_shape(lambda: X), x),
}
"""Programs that are apart, but use a primitive of which nothing is known."""


def graph_of(function: Callable[[Any], Any]) -> Graph:
    return traced(lambda _, arrays: function(*arrays), {}, {"x": X})


def unknown(graph: Graph) -> Counter[str]:
    found = Counter(graph.unknown_operators)
    for body in graph.bodies():
        found += Counter(body.unknown_operators)
    return found


def test_nothing_in_the_corpus_is_unknown() -> None:
    graphs = [graph_of(function) for function in APART]
    assert sum(map(unknown, graphs), Counter()) == Counter()
    primitives = {node.operator for g in graphs for part in (g, *g.bodies()) for node in part.nodes}
    assert len(primitives) > 70
    for graph in graphs:
        proof = samples_apart(graph, [0])
        assert proof.verdict is Verdict.APART, proof


def test_what_is_unknown_is_named_and_makes_the_answer_weaker() -> None:
    for name, function in LEFT_OPEN.items():
        graph = graph_of(function)
        assert set(unknown(graph)) == {name}
        proof = samples_apart(graph, [0])
        assert proof.verdict is Verdict.UNKNOWN
        assert name in proof.why
