"""Training steps of a synchronized `Norm` in several replicas; run as a script by the tests.

    python synchronized_training.py torch RANK REPLICAS FOLDER
    python synchronized_training.py jax|tensorflow REPLICAS FOLDER

For each kind of step its replicas write what they found, from the same beginning: y, the gradients
of sum(y * dy), and the moving statistics.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

SPEC = {
    "pattern": "[b...] c",
    "eps": 1e-3,
    "scale": "c",
    "bias": "c",
    "running": {"decay": 0.9, "ddof": 1},
}
SHAPE = (16, 3, 6)
KINDS = ("plain", "masked")


def batch() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    x = 5000 + rng.normal(size=SHAPE) * np.linspace(0.5, 2, 16)[:, None, None]
    mask = rng.random(SHAPE[:2]) < 0.6
    return {
        "x": x.astype("float32"),
        "dy": rng.normal(size=SHAPE).astype("float32"),
        "gamma": rng.normal(size=6).astype("float32"),
        "mask": mask,
    }


def part(array: np.ndarray, rank: int, replicas: int) -> np.ndarray:
    """Replicas of unequal work: the mask leaves each another number of values."""
    size = len(array) // replicas
    return array[rank * size : (rank + 1) * size]


def layer(synchronized: bool):  # type: ignore[no-untyped-def]
    from normscope import NormSpec
    from normscope.layers.keras import Norm

    made = Norm(NormSpec.from_dict(SPEC), synchronized=synchronized)
    made.build(SHAPE)
    made.gamma.assign(batch()["gamma"])
    return made


def run_torch(rank: int, replicas: int, folder: Path) -> None:
    import torch

    if replicas > 1:
        store = torch.distributed.FileStore(str(folder / "store"), replicas)
        torch.distributed.init_process_group("gloo", rank=rank, world_size=replicas, store=store)
    arrays = {
        name: part(a, rank, replicas) if name != "gamma" else a for name, a in batch().items()
    }
    for kind in KINDS:
        made = layer(synchronized=True)
        x = torch.from_numpy(arrays["x"]).requires_grad_()
        mask = torch.from_numpy(arrays["mask"]) if kind == "masked" else None
        y = made(x, training=True, mask=mask)
        (y * torch.from_numpy(arrays["dy"])).sum().backward()
        learned = [made.gamma.value.grad, made.beta.value.grad]
        if replicas > 1:
            for gradient in learned:
                torch.distributed.all_reduce(gradient)
        save(folder / f"{kind}{rank}.npz", y.detach(), x.grad, *learned, made)
    if replicas > 1:
        torch.distributed.destroy_process_group()


def run_jax(replicas: int, folder: Path) -> None:
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={replicas}"
    for kind in KINDS:
        jax_step(kind, replicas, folder)


def jax_step(kind: str, replicas: int, folder: Path) -> None:
    import jax
    from jax.sharding import PartitionSpec

    made = layer(synchronized=True)
    arrays = batch()
    mask = arrays["mask"] if kind == "masked" else np.ones_like(arrays["mask"])
    gamma, beta = (v.value for v in made.trainable_variables)
    fixed = [v.value for v in made.non_trainable_variables]

    def local(x, gamma, beta, mask):  # type: ignore[no-untyped-def]
        return made.stateless_call([gamma, beta], fixed, x, training=True, mask=mask)

    if replicas > 1:
        mesh = jax.make_mesh((replicas,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
        data, same = PartitionSpec("data"), PartitionSpec()
        local = jax.shard_map(
            local, mesh=mesh, in_specs=(data, same, same, data), out_specs=(data, same)
        )

    @jax.jit
    def loss(x, gamma, beta):  # type: ignore[no-untyped-def]
        y, moved = local(x, gamma, beta, mask)
        return (y * arrays["dy"]).sum(), (y, moved)

    gradients, (y, moved) = jax.grad(loss, (0, 1, 2), has_aux=True)(arrays["x"], gamma, beta)
    for variable, value in zip(made.non_trainable_variables, moved, strict=True):
        variable.assign(value)
    save(folder / f"{kind}0.npz", y, *gradients, made)


def run_tensorflow(replicas: int, folder: Path) -> None:
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    logical = [tf.config.LogicalDeviceConfiguration()] * replicas
    tf.config.set_logical_device_configuration(cpu, logical)
    strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(replicas)])
    for kind in KINDS:
        tensorflow_step(kind, strategy, replicas, folder)


def tensorflow_step(kind: str, strategy, replicas: int, folder: Path) -> None:  # type: ignore[no-untyped-def]
    import tensorflow as tf

    arrays = batch()

    def values(name: str):  # type: ignore[no-untyped-def]
        return strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(
                part(arrays[name], context.replica_id_in_sync_group, replicas)
            )
        )

    with strategy.scope():
        made = layer(synchronized=True)

    def step(x, dy, mask):  # type: ignore[no-untyped-def]
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = made(x, training=True, mask=mask if kind == "masked" else None)
            loss = tf.reduce_sum(y * dy)
        learned = [v.value for v in made.trainable_variables]
        dx, *learned = tape.gradient(loss, [x, *learned])
        context = tf.distribute.get_replica_context()
        return y, dx, [context.all_reduce("SUM", gradient) for gradient in learned]

    y, dx, learned = tf.function(lambda *a: strategy.run(step, a))(
        values("x"), values("dy"), values("mask")
    )
    joined = [np.concatenate(strategy.experimental_local_results(value)) for value in (y, dx)]
    learned = [strategy.experimental_local_results(value)[0] for value in learned]
    save(folder / f"{kind}0.npz", *joined, *learned, made)


def save(path: Path, y, dx, dgamma, dbeta, made) -> None:  # type: ignore[no-untyped-def]
    moving = [v.numpy() for v in (made.moving_mean, made.moving_variance)]
    names = ("y", "dx", "dgamma", "dbeta", "moving_mean", "moving_variance")
    np.savez(path, **dict(zip(names, (y, dx, dgamma, dbeta, *moving), strict=True)))


if __name__ == "__main__":
    backend, *numbers, last = sys.argv[1:]
    os.environ["KERAS_BACKEND"] = backend
    {"torch": run_torch, "jax": run_jax, "tensorflow": run_tensorflow}[backend](
        *map(int, numbers), Path(last)
    )
