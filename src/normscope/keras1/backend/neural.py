"""What networks are made of: activations, losses, convolutions, recurrence, chance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from normscope.errors import SpecError
from normscope.keras1.live.layers import phase
from normscope.keras1.live.layers.activations import (
    elu,
    hard_sigmoid,
    relu,
    sigmoid,
    softplus,
    softsign,
    tanh,
)
from normscope.keras1.live.layers.base import Tensor
from normscope.keras1.live.layers.convolution_base import cross_correlation
from normscope.keras1.live.layers.ordering import (
    channels_last,
    from_channels_last,
    kernel_channels_last,
    resolve_ordering,
)
from normscope.keras1.live.layers.recurrence import recur

__all__ = [
    "batch_normalization",
    "binary_crossentropy",
    "categorical_crossentropy",
    "conv1d",
    "conv2d",
    "conv3d",
    "dropout",
    "elu",
    "hard_sigmoid",
    "in_test_phase",
    "in_top_k",
    "in_train_phase",
    "l2_normalize",
    "map_fn",
    "normalize_batch_in_training",
    "pool2d",
    "pool3d",
    "random_binomial",
    "random_normal",
    "random_uniform",
    "relu",
    "rnn",
    "sigmoid",
    "softmax",
    "softplus",
    "softsign",
    "sparse_categorical_crossentropy",
    "stop_gradient",
    "switch",
    "tanh",
]

stop_gradient = ops.stop_gradient


def softmax(x: Tensor) -> Tensor:
    """exp(x) / sum(exp(x)) along the last axis."""
    return ops.softmax(x, axis=-1)


def l2_normalize(x: Tensor, axis: int) -> Tensor:
    """X divided by the root of the sum of its squares along an axis, of at least 1e-12."""
    squares = ops.sum(ops.square(x), axis=axis, keepdims=True)
    return x * ops.rsqrt(ops.maximum(squares, 1e-12))


def in_top_k(predictions: Tensor, targets: Tensor, k: int) -> Tensor:
    """Whether each target is among the k largest predictions."""
    return ops.in_top_k(ops.cast(targets, "int32"), predictions, k)


# --- losses: the output first, and one value for each sample, or for each element -----------------


def categorical_crossentropy(output: Tensor, target: Tensor, from_logits: bool = False) -> Tensor:
    """-sum(target * log(output)) along the last axis."""
    return ops.categorical_crossentropy(target, output, from_logits=from_logits)


def sparse_categorical_crossentropy(
    output: Tensor, target: Tensor, from_logits: bool = False
) -> Tensor:
    """-log(output[target])."""
    if len(target.shape) == len(output.shape):
        target = ops.squeeze(target, -1)
    return ops.sparse_categorical_crossentropy(
        ops.cast(target, "int32"), output, from_logits=from_logits
    )


def binary_crossentropy(output: Tensor, target: Tensor, from_logits: bool = False) -> Tensor:
    """-(target * log(output) + (1 - target) * log(1 - output)), element by element.

    >>> round(float(binary_crossentropy(ops.ones(1) * 0.5, ops.ones(1))[0]), 4)
    0.6931
    """
    return ops.binary_crossentropy(target, output, from_logits=from_logits)


# --- training or not ------------------------------------------------------------------------------


def in_train_phase(x: Any, alt: Any) -> Any:
    """X in training, alt outside it; both may be functions without arguments.

    Raises:
        SpecError: it is not known which, as nothing runs.
    """
    training = phase.in_training()
    if training is None:
        raise SpecError(
            "it is not known whether this trains; call in_train_phase in the function of a Lambda, "
            "in the call of a Layer or in a loss, or call set_learning_phase before"
        )
    chosen = x if training else alt
    return chosen() if callable(chosen) else chosen


def in_test_phase(x: Any, alt: Any) -> Any:
    """X outside training, alt in it; see `in_train_phase`."""
    return in_train_phase(alt, x)


def switch(condition: Any, then_expression: Any, else_expression: Any) -> Tensor:
    """One of two tensors of the same shape, or of the functions that make them."""
    then, other = (one() if callable(one) else one for one in (then_expression, else_expression))
    condition = ops.cast(condition, "bool")
    missing = len(then.shape) - len(condition.shape) if hasattr(then, "shape") else 0
    if len(condition.shape):
        for _ in range(missing):
            condition = ops.expand_dims(condition, -1)
    return ops.where(condition, then, other)


def dropout(
    x: Tensor, level: float, noise_shape: Sequence[Any] | None = None, seed: int | None = None
) -> Tensor:
    """x, a share `level` of it set to 0, the rest divided by 1 - level."""
    return keras.random.dropout(x, level, noise_shape=noise_shape, seed=phase.seed_of(seed))


def batch_normalization(
    x: Tensor, mean: Tensor, var: Tensor, beta: Tensor, gamma: Tensor, epsilon: float = 1e-3
) -> Tensor:
    """(x - mean) / sqrt(var + epsilon) * gamma + beta."""
    return (x - mean) * (ops.rsqrt(var + epsilon) * gamma) + beta


def normalize_batch_in_training(
    x: Tensor, gamma: Tensor, beta: Tensor, reduction_axes: Sequence[int], epsilon: float = 1e-3
) -> tuple[Tensor, Tensor, Tensor]:
    """X normalized along `reduction_axes`, and the mean and variance; gamma, beta of the others."""
    axes = tuple(axis % len(x.shape) for axis in reduction_axes)
    mean, var = ops.mean(x, axis=axes, keepdims=True), ops.var(x, axis=axes, keepdims=True)
    shape = [1 if axis in axes else size for axis, size in enumerate(x.shape)]
    scale, shift = ops.reshape(gamma, shape), ops.reshape(beta, shape)
    y = batch_normalization(x, mean, var, shift, scale, epsilon)
    return y, ops.squeeze(mean, axes), ops.squeeze(var, axes)


# --- chance ---------------------------------------------------------------------------------------


def random_normal(
    shape: Sequence[Any],
    mean: float = 0.0,
    std: float = 1.0,
    dtype: str | None = None,
    seed: int | None = None,
) -> Tensor:
    """Normal numbers."""
    return keras.random.normal(tuple(shape), mean, std, dtype=dtype, seed=phase.seed_of(seed))


def random_uniform(
    shape: Sequence[Any],
    low: float = 0.0,
    high: float = 1.0,
    dtype: str | None = None,
    seed: int | None = None,
) -> Tensor:
    """Numbers uniform between low and high."""
    return keras.random.uniform(tuple(shape), low, high, dtype=dtype, seed=phase.seed_of(seed))


def random_binomial(
    shape: Sequence[Any], p: float = 0.0, dtype: str | None = None, seed: int | None = None
) -> Tensor:
    """1 with the probability p, else 0."""
    drawn = keras.random.uniform(tuple(shape), seed=phase.seed_of(seed))
    return ops.cast(drawn <= p, dtype or keras.config.floatx())


# --- convolutions ---------------------------------------------------------------------------------


def conv1d(
    x: Tensor,
    kernel: Tensor,
    stride: int = 1,
    border_mode: str = "valid",
    image_shape: Any = None,
    filter_shape: Any = None,
) -> Tensor:
    """The cross-correlation of (batch, time, in) with a kernel (length, in, out)."""
    return cross_correlation(x, kernel, (stride,), (1,), border_mode, "tensorflow")


def conv2d(
    x: Tensor,
    kernel: Tensor,
    strides: Sequence[int] = (1, 1),
    border_mode: str = "valid",
    dim_ordering: str = "default",
    image_shape: Any = None,
    filter_shape: Any = None,
    filter_dilation: Sequence[int] = (1, 1),
) -> Tensor:
    """The cross-correlation of images; the kernel is (out, in, rows, cols) for "th".

    >>> conv2d(ops.ones((1, 3, 8, 8)), ops.ones((5, 3, 3, 3)), dim_ordering="th").shape[1]
    5
    """
    return _convolution(x, kernel, strides, filter_dilation, border_mode, dim_ordering)


def conv3d(
    x: Tensor,
    kernel: Tensor,
    strides: Sequence[int] = (1, 1, 1),
    border_mode: str = "valid",
    dim_ordering: str = "default",
    volume_shape: Any = None,
    filter_shape: Any = None,
) -> Tensor:
    """The cross-correlation of volumes."""
    return _convolution(x, kernel, strides, (1, 1, 1), border_mode, dim_ordering)


def _convolution(
    x: Tensor,
    kernel: Tensor,
    strides: Sequence[int],
    rates: Sequence[int],
    border_mode: str,
    dim_ordering: str,
) -> Tensor:
    ordering = resolve_ordering(dim_ordering)
    y = cross_correlation(
        channels_last(x, ordering),
        kernel_channels_last(ops.convert_to_tensor(kernel), ordering),
        tuple(strides),
        tuple(rates),
        border_mode,
        "tensorflow",
    )
    return from_channels_last(y, ordering)


def pool2d(
    x: Tensor,
    pool_size: Sequence[int],
    strides: Sequence[int] = (1, 1),
    border_mode: str = "valid",
    dim_ordering: str = "default",
    pool_mode: str = "max",
) -> Tensor:
    """The largest value ("max") or the mean ("avg") of each window of an image."""
    pools = {"max": ops.max_pool, "avg": ops.average_pool}
    if pool_mode not in pools:
        raise SpecError(f"pool_mode is 'max' or 'avg', not {pool_mode!r}")
    ordering = resolve_ordering(dim_ordering)
    y = pools[pool_mode](
        channels_last(x, ordering),
        tuple(pool_size),
        tuple(strides),
        border_mode,
        data_format="channels_last",
    )
    return from_channels_last(y, ordering)


def pool3d(
    x: Tensor,
    pool_size: Sequence[int],
    strides: Sequence[int] = (1, 1, 1),
    border_mode: str = "valid",
    dim_ordering: str = "default",
    pool_mode: str = "max",
) -> Tensor:
    """The largest value ("max") or the mean ("avg") of each window of a volume."""
    return pool2d(x, pool_size, strides, border_mode, dim_ordering, pool_mode)


# --- along a sequence -----------------------------------------------------------------------------


def map_fn(fn: Callable[[Tensor], Tensor], elems: Tensor, name: str | None = None) -> Tensor:
    """A function of each item along the axis 0."""
    return ops.map(fn, elems)


def rnn(
    step_function: Callable[[Tensor, list[Tensor]], tuple[Tensor, list[Tensor]]],
    inputs: Tensor,
    initial_states: Sequence[Tensor],
    go_backwards: bool = False,
    mask: Tensor | None = None,
    constants: Sequence[Tensor] | None = None,
    unroll: bool = False,
    input_length: int | None = None,
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Carry states along a sequence.

    Args:
        step_function: of (input of one time, states and constants) to (output, new states).
        inputs: (batch, time, ...).
        initial_states: each (batch, ...).
        go_backwards: begin with the last time.
        mask: (batch, time); where it is false, output and states stay as they were.
        constants: given to each step after the states.
        unroll: one copy of the step for each time, in place of a loop.
        input_length: not needed.

    Returns:
        the last output, the outputs (batch, time, ...), and the last states.
    """
    fixed = list(constants or ())
    if go_backwards:
        inputs = ops.flip(inputs, axis=1)
        mask = None if mask is None else ops.flip(mask, axis=1)
    first, _ = step_function(inputs[:, 0], [*initial_states, *fixed])

    def step(x: Tensor, before: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        output, states = step_function(x, [*before[1:], *fixed])
        return (output, *states)

    begin = (ops.zeros_like(first), *initial_states)
    outputs, end = recur(step, inputs, begin, mask, unroll=unroll)
    return end[0], outputs, list(end[1:])
