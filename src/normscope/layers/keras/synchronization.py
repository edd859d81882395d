"""Sums over all replicas of a training: TensorFlow strategies, JAX mesh axes, torch.distributed."""

from __future__ import annotations

from typing import Any

import keras

from normscope.errors import SpecError
from normscope.layers.keras.formula import AllSum


def all_sum_over_replicas() -> AllSum | None:
    """A sum over the replicas that run this very code; None where there is only one.

    - TensorFlow: the replicas of the `tf.distribute` strategy in whose replica context this is.
    - JAX: the devices along the mesh axes that `shard_map` or `pmap` has taken over. Under `jit`
      with sharded arrays there is nothing to do: there a sum is one over the whole array.
    - torch: the processes of the default group of `torch.distributed`.

    Gradients are added up in the same way.

    Raises:
        SpecError: the Keras backend is none of these.
    """
    backend = keras.backend.backend()
    if backend not in _ALL_SUM:
        raise SpecError(f"synchronized=True works on {', '.join(_ALL_SUM)}; this is {backend}")
    return _ALL_SUM[backend]()


def _tensorflow() -> AllSum | None:
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return None
    return lambda tensor: context.all_reduce(tf.distribute.ReduceOp.SUM, tensor)


def _jax() -> AllSum | None:
    import jax

    axes = jax.sharding.get_abstract_mesh().manual_axes
    if not axes:
        return None
    return lambda tensor: jax.lax.psum(tensor, axes)  # type: ignore[no-untyped-call]


def _torch() -> AllSum | None:
    import torch
    from torch import distributed

    if not (distributed.is_available() and distributed.is_initialized()):
        return None
    if distributed.get_world_size() == 1:
        return None

    class AllSumWithGradient(torch.autograd.Function):
        @staticmethod
        def forward(_: Any, tensor: torch.Tensor) -> torch.Tensor:
            total = tensor.clone(memory_format=torch.contiguous_format)
            distributed.all_reduce(total)
            return total

        @staticmethod
        def backward(_: Any, gradient: torch.Tensor) -> torch.Tensor:
            return AllSumWithGradient.forward(None, gradient)

    return AllSumWithGradient.apply


_ALL_SUM = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
