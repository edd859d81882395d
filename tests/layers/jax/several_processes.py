"""One of several real processes that normalize one batch together; `test_devices.py` starts them.

usage: several_processes.py PORT PROCESSES NUMBER
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.experimental.multihost_utils import process_allgather
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P

from normscope import NormSpec, Running
from normscope.layers.jax import Norm, normalize

STATED = NormSpec("[b s] c", scale="c", bias="c", running=Running(0.9))
RNG = np.random.default_rng(11)  # the same numbers in every process
X = RNG.normal(20000, 2, (12, 5, 6)).astype(np.float32)
SCALE = RNG.normal(size=6).astype(np.float32)


def main(port: str, processes: str, number: str) -> None:
    jax.distributed.initialize(f"localhost:{port}", int(processes), int(number))
    assert jax.process_count() == int(processes)
    assert jax.local_device_count() == 1
    mesh = Mesh(np.array(jax.devices()), ("d",))
    mine = np.split(X, int(processes))[int(number)]
    x = jax.make_array_from_process_local_data(NamedSharding(mesh, P("d")), mine)

    # values and gradients
    over = jax.shard_map(
        lambda x, scale: normalize(x, STATED, scale=scale, axis_name="d"),
        mesh=mesh,
        in_specs=(P("d"), P()),
        out_specs=P("d"),
    )
    step = jax.jit(jax.value_and_grad(partial(loss, over), argnums=(0, 1)))
    whole = jax.value_and_grad(
        partial(loss, lambda x, scale: normalize(x, STATED, scale=scale)), argnums=(0, 1)
    )
    found = process_allgather(step(x, SCALE), tiled=True)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(whole(X, SCALE)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)

    # running statistics
    graph, state = nnx.split(Norm(STATED, c=6, axis_name="d", rngs=nnx.Rngs(0)))

    def train(state: Any, x: jax.Array) -> Any:
        norm = nnx.merge(graph, state)
        norm(x)
        return nnx.state(norm)

    after = jax.jit(jax.shard_map(train, mesh=mesh, in_specs=(P(), P("d")), out_specs=P()))(
        state, x
    )
    single = Norm(STATED, c=6, rngs=nnx.Rngs(0))
    single(jnp.asarray(X))
    for one, other in zip(jax.tree.leaves(after), jax.tree.leaves(nnx.state(single)), strict=True):
        np.testing.assert_allclose(one.addressable_data(0), other, rtol=1e-6)
    print(f"process {number} of {processes}: equal to one process on the joined batch")


def loss(function: Any, x: jax.Array, scale: jax.Array) -> jax.Array:
    return jnp.sum(jnp.sin(function(x, scale)))


if __name__ == "__main__":
    main(*sys.argv[1:])
