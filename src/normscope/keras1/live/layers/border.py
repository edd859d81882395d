"""What `border_mode` adds around the input: Theano and TensorFlow differ for "same".

    TensorFlow  max((ceil(n/s) - 1) * s + k - n, 0) in all, the smaller half first
    Theano      convolution: k // 2 on both sides; pooling: k - 1, or k - 2 for odd k > 2, on both
                sides; both cut to ceil(n/s)

n is the size of the input, k that of the (dilated) kernel, s the stride. Source: outputs of
Keras 1.2.2 on both backends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from keras import ops

Tensor: TypeAlias = Any
Pads: TypeAlias = list[tuple[int, int]]

CONVOLUTION_MODES = ("valid", "same", "full")
POOLING_MODES = ("valid", "same")


def framework_pads(border_mode: str, origin: str) -> bool:
    """Whether the "same" or "valid" of `keras.ops` is what is meant.

    >>> framework_pads("same", "tensorflow"), framework_pads("same", "theano")
    (True, False)
    """
    return border_mode == "valid" or (border_mode == "same" and origin == "tensorflow")


def theano_pads(kernel: Sequence[int], border_mode: str) -> Pads:
    """What Theano adds for a convolution; the kernel has its dilation counted in.

    >>> theano_pads((3, 2), "same"), theano_pads((3, 2), "full")
    ([(1, 1), (1, 1)], [(2, 2), (1, 1)])
    """
    return [
        (size // 2, size // 2) if border_mode == "same" else (size - 1, size - 1) for size in kernel
    ]


def theano_pooling_pads(pool: Sequence[int]) -> Pads:
    """What Theano adds before it pools with border_mode="same".

    >>> theano_pooling_pads((2, 3, 4))
    [(1, 1), (1, 1), (3, 3)]
    """
    pads = [size - 2 if size > 2 and size % 2 else size - 1 for size in pool]
    return [(pad, pad) for pad in pads]


def tensorflow_pads(sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int]) -> Pads:
    """What TensorFlow adds before and after each axis with border_mode="same".

    >>> tensorflow_pads((7, 8), (3, 3), (2, 2))
    [(1, 1), (0, 1)]
    """
    pads = []
    for size, window, stride in zip(sizes, kernel, strides, strict=True):
        total = max((-(-size // stride) - 1) * stride + window - size, 0)
        pads.append((total // 2, total - total // 2))
    return pads


def pad_space(x: Tensor, pads: Pads, value: float = 0.0) -> Tensor:
    """`x` (batch, space..., channels) with `pads` before and after each axis of the space."""
    widths = ((0, 0), *pads, (0, 0))
    return ops.pad(x, widths, mode="constant", constant_values=value)


def cut_to_same(y: Tensor, x: Tensor, strides: Sequence[int]) -> Tensor:
    """`y` with at most ceil(n/s) along each axis of the space; x is the input before padding."""
    sizes = ops.shape(x)
    for axis, stride in enumerate(strides, start=1):
        wanted = (sizes[axis] + stride - 1) // stride
        y = y[(slice(None),) * axis + (slice(0, wanted),)]
    return y


def dilated(kernel: Sequence[int], rates: Sequence[int]) -> list[int]:
    """The sizes of a kernel, with the holes that a dilation makes.

    >>> dilated((3, 2), (2, 3))
    [5, 4]
    """
    return [(size - 1) * rate + 1 for size, rate in zip(kernel, rates, strict=True)]
