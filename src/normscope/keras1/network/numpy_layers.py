"""What layers of Keras 1 compute, in float64 NumPy, from the config and arrays of a file.

This is the check of a conversion: written for reading, and independent of the live layers, of
which it shares no line. Outside training, without masks. Layers that are neither in `LAYERS` nor
a `BatchNormalization` are not checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Config: TypeAlias = Mapping[str, Any]
Arrays: TypeAlias = Mapping[str, Array]
Layer: TypeAlias = Callable[[Config, Sequence[Array], Arrays, str], Array]
"""Of (config, inputs, arrays by the end of their names, backend) the output."""


def _softmax(x: Array) -> Array:
    powers = np.exp(x - x.max(-1, keepdims=True))
    shares: Array = powers / powers.sum(-1, keepdims=True)
    return shares


def _sigmoid(x: Array) -> Array:
    return 0.5 * (1 + np.tanh(x / 2))


def _elu(x: Array, alpha: float = 1.0) -> Array:
    return np.where(x > 0, x, alpha * (np.exp(np.minimum(x, 0)) - 1))


ACTIVATIONS: Mapping[str, Callable[[Array], Array]] = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "hard_sigmoid": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
    "softmax": _softmax,
    "softplus": lambda x: np.logaddexp(0, x),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "elu": _elu,
}


def _activated(config: Config, x: Array) -> Array:
    return ACTIVATIONS[config.get("activation") or "linear"](x)


# ----------------------------------------------------------------------- dense and convolutional


def _dense(config: Config, inputs: Sequence[Array], arrays: Arrays, backend: str) -> Array:
    return _activated(config, inputs[0] @ arrays["W"] + arrays.get("b", 0))


def _convolution(config: Config, inputs: Sequence[Array], arrays: Arrays, backend: str) -> Array:
    """Cross-correlation; Theano turns the kernel by 180 degrees and pads in its own way."""
    (x,), kernel = inputs, arrays["W"]
    space = x.ndim - 2
    if space == 1:
        kernel = kernel[:, 0]
    first = space > 1 and config["dim_ordering"] == "th"
    if first:
        x, kernel = np.moveaxis(x, 1, -1), np.transpose(kernel, (*range(2, space + 2), 1, 0))
    if backend == "theano":
        kernel = np.flip(kernel, axis=tuple(range(space)))
    strides = _per_axis(config, ("subsample", "subsample_length"), space)
    rates = _per_axis(config, ("atrous_rate",), space)
    if any(rate > 1 for rate in rates):
        kernel = _with_holes(kernel, rates)
    windows = _windows(x, kernel.shape[:space], strides, config["border_mode"], backend)
    y = np.tensordot(windows, kernel, axes=([*range(-space, 0), space + 1], [*range(space + 1)]))
    y = _activated(config, y + arrays.get("b", 0))
    return np.moveaxis(y, -1, 1) if first else y


def _per_axis(config: Config, keys: Iterable[str], space: int) -> list[int]:
    for key in keys:
        if (value := config.get(key)) is not None:
            return [value] if isinstance(value, int) else list(value)
    return [1] * space


def _with_holes(kernel: Array, rates: Sequence[int]) -> Array:
    sizes = [(size - 1) * rate + 1 for size, rate in zip(kernel.shape, rates, strict=False)]
    dilated = np.zeros((*sizes, *kernel.shape[len(rates) :]))
    dilated[tuple(slice(None, None, rate) for rate in rates)] = kernel
    return dilated


def _windows(
    x: Array, kernel: Sequence[int], strides: Sequence[int], mode: str, backend: str
) -> Array:
    """(b, space..., c, kernel...) of an input with its channels last."""
    space = tuple(range(1, x.ndim - 1))
    pads = [
        _pad(x.shape[axis], size, stride, mode, backend)
        for axis, size, stride in zip(space, kernel, strides, strict=True)
    ]
    lengths = [-(-x.shape[axis] // stride) for axis, stride in zip(space, strides, strict=True)]
    x = np.pad(x, [(0, 0), *pads, (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(x, tuple(kernel), axis=space)
    steps = [slice(None, None, stride) for stride in strides]
    windows = windows[(slice(None), *steps)]
    if mode == "same":
        windows = windows[(slice(None), *(slice(0, length) for length in lengths))]
    return windows


def _pad(size: int, kernel: int, stride: int, mode: str, backend: str) -> tuple[int, int]:
    if mode == "valid":
        return 0, 0
    if mode == "full":
        return kernel - 1, kernel - 1
    if backend == "theano":
        return kernel // 2, kernel // 2
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


# ---------------------------------------------------------------------------------- normalization


def _batch_normalization(
    config: Config, x: Array, arrays: Arrays, backend: str, release: str
) -> Array:
    """As the sources of each release have it: divisors by release, and in 1.0.6 and 1.0.7 backend.

    What `running_std` holds is what stands in it: a deviation up to 1.0.5 (1.0.6 on Theano).
    """
    version = tuple(int(part) for part in release.split("."))
    epsilon, gamma, beta = config["epsilon"], arrays["gamma"], arrays["beta"]
    if config["mode"] == 1:
        centred = x - x.mean(-1, keepdims=True)
        variance = np.square(centred).mean(-1, keepdims=True)
        root = np.sqrt(variance) if version < (1, 0, 5) else np.sqrt(variance + epsilon)
        y: Array = gamma * centred / (root + epsilon) + beta
        return y
    axis = config["axis"] % x.ndim
    shape = [size if index == axis else 1 for index, size in enumerate(x.shape)]
    others = tuple(index for index in range(x.ndim) if index != axis)
    on_theano = backend != "tensorflow"
    if config["mode"] == 0:
        mean, stored = (arrays[key].reshape(shape) for key in ("running_mean", "running_std"))
    else:
        mean, stored = x.mean(others, keepdims=True), x.var(others, keepdims=True)
    if version < (1, 0, 6) or (version == (1, 0, 6) and on_theano):
        deviation = stored if config["mode"] == 0 else np.sqrt(stored + epsilon)
        divisor = deviation + epsilon
    elif version == (1, 0, 7) and on_theano:
        divisor = np.sqrt(stored) + epsilon
    else:
        divisor = np.sqrt(stored + epsilon)
    y = gamma.reshape(shape) * (x - mean) / divisor + beta.reshape(shape)
    return y  # noqa: RET504  # the name has the type


# -------------------------------------------------------------------------------------- recurrent


def _gate(arrays: Arrays, gates: Sequence[str]) -> Callable[[str, str], Array]:
    """The weights of one gate, whether it has its own arrays or a block of joined ones."""

    def of(letter: str, gate: str) -> Array:
        if (own := arrays.get(f"{letter}_{gate}")) is not None:
            return own
        return np.split(arrays[letter], len(gates), axis=-1)[gates.index(gate)]

    return of


def _recurrent(config: Config, x: Array, step: Callable[..., Array], states: int) -> Array:
    state = [np.zeros((len(x), config["output_dim"])) for _ in range(states)]
    times = range(x.shape[1])
    outputs = []
    for time in reversed(times) if config["go_backwards"] else times:
        outputs.append(step(x[:, time], state))
    return np.stack(outputs, axis=1) if config["return_sequences"] else outputs[-1]


def _simple_rnn(config: Config, inputs: Sequence[Array], arrays: Arrays, backend: str) -> Array:
    def step(x: Array, state: list[Array]) -> Array:
        state[0] = _activated(config, x @ arrays["W"] + arrays["b"] + state[0] @ arrays["U"])
        return state[0]

    return _recurrent(config, inputs[0], step, 1)


def _gru(config: Config, inputs: Sequence[Array], arrays: Arrays, backend: str) -> Array:
    of, inner = _gate(arrays, ("z", "r", "h")), ACTIVATIONS[config["inner_activation"]]

    def step(x: Array, state: list[Array]) -> Array:
        (h,) = state
        z, r = (inner(x @ of("W", g) + of("b", g) + h @ of("U", g)) for g in ("z", "r"))
        new = _activated(config, x @ of("W", "h") + of("b", "h") + (r * h) @ of("U", "h"))
        state[0] = z * h + (1 - z) * new
        return state[0]

    return _recurrent(config, inputs[0], step, 1)


def _lstm(config: Config, inputs: Sequence[Array], arrays: Arrays, backend: str) -> Array:
    of, inner = _gate(arrays, ("i", "f", "c", "o")), ACTIVATIONS[config["inner_activation"]]

    def step(x: Array, state: list[Array]) -> Array:
        h, c = state
        parts = {g: x @ of("W", g) + of("b", g) + h @ of("U", g) for g in ("i", "f", "c", "o")}
        c = inner(parts["f"]) * c + inner(parts["i"]) * _activated(config, parts["c"])
        state[:] = [inner(parts["o"]) * _activated(config, c), c]
        return state[0]

    return _recurrent(config, inputs[0], step, 2)


# ------------------------------------------------------------------------- shapes, pooling, merge


def _space(config: Config, x: Array) -> tuple[int, ...]:
    return tuple(range(2, x.ndim) if config.get("dim_ordering") == "th" else range(1, x.ndim - 1))


def _global_pooling(reduce: Callable[..., Array]) -> Layer:
    return lambda config, inputs, arrays, backend: reduce(inputs[0], _space(config, inputs[0]))


def _pooling(reduce: Callable[..., Array]) -> Layer:
    """Windows without padding."""

    def pooled(config: Config, inputs: Sequence[Array], arrays: Arrays, backend: str) -> Array:
        (x,) = inputs
        space = x.ndim - 2
        first = space > 1 and config["dim_ordering"] == "th"
        x = np.moveaxis(x, 1, -1) if first else x
        pool = config["pool_length"] if space == 1 else config["pool_size"]
        strides = config["stride"] if space == 1 else config["strides"]
        sizes, steps = ([n] if isinstance(n, int) else list(n) for n in (pool, strides))
        y = reduce(_windows(x, sizes, steps, "valid", backend), tuple(range(-space, 0)))
        return np.moveaxis(y, -1, 1) if first else y

    return pooled


def _reshape(config: Config, inputs: Sequence[Array], arrays: Arrays, backend: str) -> Array:
    return inputs[0].reshape(len(inputs[0]), *config["target_shape"])


REDUCTIONS: Mapping[str, Callable[..., Any]] = {
    "sum": np.sum,
    "ave": np.mean,
    "mul": np.prod,
    "max": np.max,
}


def _merge(config: Config, inputs: Sequence[Array], arrays: Arrays, backend: str) -> Array:
    if config["mode"] == "concat":
        return np.concatenate(inputs, axis=config["concat_axis"])
    merged: Array = REDUCTIONS[config["mode"]](np.stack(inputs), axis=0)
    return merged


def _same(config: Config, inputs: Sequence[Array], arrays: Arrays, backend: str) -> Array:
    return inputs[0]


LAYERS: Mapping[str, Layer] = {
    **dict.fromkeys(("Dense", "TimeDistributedDense"), _dense),
    **{f"Convolution{n}D": _convolution for n in (1, 2, 3)},
    **{f"AtrousConvolution{n}D": _convolution for n in (1, 2)},
    **{f"MaxPooling{n}D": _pooling(np.max) for n in (1, 2, 3)},
    **{f"AveragePooling{n}D": _pooling(np.mean) for n in (1, 2, 3)},
    **{f"GlobalMaxPooling{n}D": _global_pooling(np.max) for n in (1, 2, 3)},
    **{f"GlobalAveragePooling{n}D": _global_pooling(np.mean) for n in (1, 2, 3)},
    **{f"SpatialDropout{n}D": _same for n in (1, 2, 3)},
    **dict.fromkeys(("Dropout", "GaussianDropout", "GaussianNoise"), _same),
    "ActivityRegularization": _same,
    "SimpleRNN": _simple_rnn,
    "GRU": _gru,
    "LSTM": _lstm,
    "Embedding": lambda config, inputs, arrays, backend: arrays["W"][inputs[0].astype(int)],
    "Activation": lambda config, inputs, arrays, backend: _activated(config, inputs[0]),
    "ELU": lambda config, inputs, arrays, backend: _elu(inputs[0], config["alpha"]),
    "LeakyReLU": lambda config, inputs, arrays, backend: np.where(
        inputs[0] > 0, inputs[0], config["alpha"] * inputs[0]
    ),
    "PReLU": lambda config, inputs, arrays, backend: np.where(
        inputs[0] > 0, inputs[0], arrays["alphas"] * inputs[0]
    ),
    "ThresholdedReLU": lambda config, inputs, arrays, backend: np.where(
        inputs[0] > config["theta"], inputs[0], 0
    ),
    "Flatten": lambda config, inputs, arrays, backend: inputs[0].reshape(len(inputs[0]), -1),
    "Reshape": _reshape,
    "Permute": lambda config, inputs, arrays, backend: inputs[0].transpose(0, *config["dims"]),
    "RepeatVector": lambda config, inputs, arrays, backend: np.repeat(
        inputs[0][:, None], config["n"], axis=1
    ),
    "Merge": _merge,
}


def computed(
    layer_class: str,
    config: Config,
    inputs: Sequence[Array],
    arrays: Arrays,
    backend: str,
    release: str = "1.2.2",
) -> Array | None:
    """The output of a layer, or None where it is not known here.

    Args:
        layer_class, config: as in the file.
        inputs: one float64 array for each input.
        arrays: the weights as stored, by their names without that of the layer.
        backend: "tensorflow" or "theano", which wrote the file.
        release: the release of Keras that wrote it; `BatchNormalization` depends on it.

    >>> x = np.array([[-2.0, 4.0]])
    >>> computed("LeakyReLU", {"alpha": 0.5}, [x], {}, "theano").tolist()
    [[-1.0, 4.0]]
    """
    function = LAYERS.get(layer_class)
    padded = "Pooling" in layer_class and config.get("border_mode", "valid") != "valid"
    try:
        if layer_class == "BatchNormalization":
            return _batch_normalization(config, inputs[0], arrays, backend, release)
        if function is None or padded:
            return None
        return function(config, inputs, arrays, backend)
    except KeyError:  # an activation or a mode that is not known here
        return None
