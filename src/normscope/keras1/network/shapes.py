"""Output shape and axis names of every layer class of Keras 1.2.2, one small function per kind.

A size that cannot be known is None, and so is a shape or the names of the axes. The letters: b
batch, t time, c channels or features, d h w space. A contradiction is a `ModelFileError`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from normscope.keras1.network.merge_shapes import merge
from normscope.keras1.network.settings import MAX_RANK, UNKNOWN, Axes, Settings, Size, Tensor
from normscope.keras1.network.spatial_shapes import (
    convolution,
    cropping,
    deconvolution,
    global_pooling,
    padding,
    pooling,
    space_axes,
    upsampling,
)

MAX_SIZE = 2**63 - 1
BATCH_TIME_CHANNEL: Axes = ("b", "t", "c")


# --------------------------------------------------------------------------- sequences in time


def without_time(layer: Settings, x: Tensor) -> Tensor:
    """One step of a sequence `b t ...`, as the layer inside sees it: `b ...`."""
    if x.shape is None:
        return UNKNOWN
    if len(x.shape) < 3:
        raise layer.error(f"expected an input of at least 3 axes, got the shape {x.shape}")
    return Tensor(x.shape[:1] + x.shape[2:], x.axes and x.axes[:1] + x.axes[2:])


def with_time(step: Tensor, time: Size) -> Tensor:
    """The sequence of which `step` is one step; the inverse of `without_time`."""
    if step.shape is None:
        return UNKNOWN
    return Tensor((step.shape[0], time, *step.shape[1:]), time_axes(step.axes))


def time_axes(axes: Axes | None) -> Axes | None:
    """The names with time after the batch, unless time is there already."""
    return None if axes is None or "t" in axes else (axes[0], "t", *axes[1:])


def _recurrent(layer: Settings, x: Tensor) -> Tensor:
    batch, time, _ = layer.sizes_of(x, 3)
    step = Tensor((batch, layer.integer("output_dim")), ("b", "c"))
    return with_time(step, time) if layer.flag("return_sequences") else step


def _conv_lstm(layer: Settings, x: Tensor) -> Tensor:
    sequence = Tensor(layer.sizes_of(x, 5), x.axes)
    step = convolution(layer, without_time(layer, sequence), 2)
    time = (sequence.shape or ())[1]
    return with_time(step, time) if layer.flag("return_sequences") else step


def _bidirectional(layer: Settings, x: Tensor) -> Tensor:
    inner = layer.wrapped()
    one_way = output_of(inner, (x,))
    merge_mode = layer.config.get("merge_mode", "concat")
    if merge_mode is not None:
        layer.choice("merge_mode", ("sum", "mul", "ave", "concat"), "concat")
    if merge_mode != "concat" or one_way.shape is None:
        return one_way
    last = one_way.shape[-1]
    return Tensor((*one_way.shape[:-1], None if last is None else 2 * last), one_way.axes)


def _embedding(layer: Settings, x: Tensor) -> Tensor:
    width = layer.integer("output_dim")
    if x.shape is not None and len(x.shape) != 2:
        return Tensor((*x.shape, width))
    batch, time = layer.sizes_of(x, 2)
    length = layer.value("input_length")
    if time is None and length is not None:
        time = layer.integer("input_length")
    return Tensor((batch, time, width), BATCH_TIME_CHANNEL)


def _time_distributed_dense(layer: Settings, x: Tensor) -> Tensor:
    batch, time, _ = layer.sizes_of(x, 3)
    return Tensor((batch, time, layer.integer("output_dim")), BATCH_TIME_CHANNEL)


def _repeat(layer: Settings, x: Tensor) -> Tensor:
    batch, width = layer.sizes_of(x, 2)
    return Tensor((batch, layer.integer("n"), width), BATCH_TIME_CHANNEL)


# ------------------------------------------------------------------------ vectors and shapes


def _dense(layer: Settings, x: Tensor) -> Tensor:
    width = layer.integer("output_dim")
    if x.shape is None:
        return UNKNOWN
    if len(x.shape) < 2:
        raise layer.error(f"expected an input of at least 2 axes, got the shape {x.shape}")
    return Tensor((*x.shape[:-1], width), ("b", "c") if len(x.shape) == 2 else x.axes)


def _maxout_dense(layer: Settings, x: Tensor) -> Tensor:
    return Tensor((layer.sizes_of(x, 2)[0], layer.integer("output_dim")), ("b", "c"))


def _elementwise(layer: Settings, x: Tensor, rank: int | None = None) -> Tensor:
    return x if rank is None else Tensor(layer.sizes_of(x, rank), x.axes)


def _flatten(layer: Settings, x: Tensor) -> Tensor:
    if x.shape is None:
        return Tensor((None, None), ("b", "c"))
    return Tensor((x.shape[0], _product(x.shape[1:])), ("b", "c"))


def _product(sizes: Sequence[Size]) -> Size:
    known = [size for size in sizes if size is not None]
    return math.prod(known) if len(known) == len(sizes) else None


def _reshape(layer: Settings, x: Tensor) -> Tensor:
    target = layer.value("target_shape")
    if not isinstance(target, list) or not 1 <= len(target) < MAX_RANK:
        raise layer.wrong("target_shape", target, f"a list of 1 to {MAX_RANK - 1} integers")
    sizes = [None if size == -1 else layer.as_integer("target_shape", size) for size in target]
    if sizes.count(None) > 1:
        raise layer.wrong("target_shape", target, "a list with at most one -1")
    if x.shape is None:
        return Tensor((None, *sizes))
    before, known = _product(x.shape[1:]), math.prod(size for size in sizes if size is not None)
    if before is not None:
        if before % known or (None not in sizes and before != known):
            raise layer.error(f"cannot give the shape {x.shape} the target_shape {target}")
        sizes = [before // known if size is None else size for size in sizes]
    return Tensor((x.shape[0], *sizes))


def _permute(layer: Settings, x: Tensor) -> Tensor:
    order = _permutation(layer)
    sizes = layer.sizes_of(x, len(order))
    return Tensor(tuple(sizes[i] for i in order), x.axes and tuple(x.axes[i] for i in order))


def _permutation(layer: Settings) -> list[int]:
    dims = layer.value("dims")
    if not isinstance(dims, list) or not 1 <= len(dims) < MAX_RANK:
        raise layer.wrong("dims", dims, f"a list of 1 to {MAX_RANK - 1} integers")
    order = [0, *(layer.as_integer("dims", dim) for dim in dims)]
    if sorted(order) != list(range(len(order))):
        raise layer.wrong("dims", dims, f"a permutation of 1 to {len(dims)}")
    return order


# ------------------------------------------------------- which names a layer gives to its input


def _same_names(layer: Settings, x: Tensor, out: Axes | None) -> Axes | None:
    return out


def _fixed_names(layer: Settings, x: Tensor, out: Axes | None, axes: Axes) -> Axes | None:
    return axes


def _space_names(layer: Settings, x: Tensor, out: Axes | None, space: int) -> Axes | None:
    return space_axes(layer, x, space) or out


def _conv_lstm_names(layer: Settings, x: Tensor, out: Axes | None) -> Axes | None:
    return time_axes(space_axes(layer, UNKNOWN, 2))


def _dense_names(layer: Settings, x: Tensor, out: Axes | None) -> Axes | None:
    return ("b", "c") if x.shape is not None and len(x.shape) == 2 else out


def _permute_names(layer: Settings, x: Tensor, out: Axes | None) -> Axes | None:
    order = _permutation(layer)
    return out and tuple(out[order.index(axis)] for axis in range(len(order)))


def _bidirectional_names(layer: Settings, x: Tensor, out: Axes | None) -> Axes | None:
    return input_axes(layer.wrapped(), x, out)


# -------------------------------------------------------------------------------------- table

OutputRule: TypeAlias = Callable[[Settings, Tensor], Tensor]
InputRule: TypeAlias = Callable[[Settings, Tensor, Axes | None], Axes | None]


@dataclass(frozen=True)
class Rule:
    """How a layer class makes its output from its input, and names its input from its output."""

    output: OutputRule
    names: InputRule = _same_names


def _spatial(space: int, output: Callable[..., Tensor]) -> Rule:
    return Rule(partial(output, space=space), partial(_space_names, space=space))


def _named(axes: str, output: OutputRule) -> Rule:
    return Rule(output, partial(_fixed_names, axes=tuple(axes.split())))


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(
        (
            *("Activation", "ActivityRegularization", "BatchNormalization", "Dropout", "ELU"),
            *("GaussianDropout", "GaussianNoise", "InputLayer", "LeakyReLU", "Masking", "PReLU"),
            *("ParametricSoftplus", "SReLU", "ThresholdedReLU"),
        ),
        Rule(_elementwise),
    ),
    **{f"SpatialDropout{n}D": Rule(partial(_elementwise, rank=n + 2)) for n in (1, 2, 3)},
    **{f"Convolution{n}D": _spatial(n, convolution) for n in (1, 2, 3)},
    **{f"AtrousConvolution{n}D": _spatial(n, convolution) for n in (1, 2)},
    **{f"LocallyConnected{n}D": _spatial(n, convolution) for n in (1, 2)},
    **{f"MaxPooling{n}D": _spatial(n, pooling) for n in (1, 2, 3)},
    **{f"AveragePooling{n}D": _spatial(n, pooling) for n in (1, 2, 3)},
    **{f"GlobalMaxPooling{n}D": _spatial(n, global_pooling) for n in (1, 2, 3)},
    **{f"GlobalAveragePooling{n}D": _spatial(n, global_pooling) for n in (1, 2, 3)},
    **{f"UpSampling{n}D": _spatial(n, upsampling) for n in (1, 2, 3)},
    **{f"ZeroPadding{n}D": _spatial(n, padding) for n in (1, 2, 3)},
    **{f"Cropping{n}D": _spatial(n, cropping) for n in (1, 2, 3)},
    "SeparableConvolution2D": _spatial(2, convolution),
    "Deconvolution2D": Rule(deconvolution, partial(_space_names, space=2)),
    "ConvLSTM2D": Rule(_conv_lstm, _conv_lstm_names),
    **dict.fromkeys(("SimpleRNN", "GRU", "LSTM"), _named("b t c", _recurrent)),
    "Bidirectional": Rule(_bidirectional, _bidirectional_names),
    "Embedding": _named("b t", _embedding),
    "TimeDistributedDense": _named("b t c", _time_distributed_dense),
    "RepeatVector": _named("b c", _repeat),
    "Dense": Rule(_dense, _dense_names),
    "MaxoutDense": _named("b c", _maxout_dense),
    "Highway": _named("b c", partial(_elementwise, rank=2)),
    "Flatten": Rule(_flatten, lambda layer, x, out: None),
    "Reshape": Rule(_reshape, lambda layer, x, out: None),
    "Permute": Rule(_permute, _permute_names),
}


def output_of(layer: Settings, inputs: Sequence[Tensor]) -> Tensor:
    """Shape and names of the output; of an unknown class (Lambda, custom) nothing is known.

    >>> dense = Settings("m.json", "dense_1", "Dense", {"output_dim": 10})
    >>> output_of(dense, [Tensor((None, 784), ("b", "c"))])
    Tensor(shape=(None, 10), axes=('b', 'c'))
    """
    if layer.layer_class == "Merge":
        output = merge(layer, inputs)
    elif (rule := RULES.get(layer.layer_class)) is None:
        return UNKNOWN
    elif len(inputs) != 1:
        raise layer.error(f"expected one input, got {len(inputs)}")
    else:
        output = rule.output(layer, inputs[0])
    sizes = output.shape or ()
    if len(sizes) > MAX_RANK or not all(size is None or 0 < size <= MAX_SIZE for size in sizes):
        before = ", ".join(str(x.shape) for x in inputs[:4])
        raise layer.error(f"an input of the shape {before} would give the output shape {sizes}")
    return output


def input_axes(layer: Settings, x: Tensor, out: Axes | None) -> Axes | None:
    """The names that the layer gives to its input `x`, if its output has the names `out`."""
    if layer.layer_class == "Merge":
        return out if layer.value("mode") not in ("dot", "cos") else None
    rule = RULES.get(layer.layer_class)
    return None if rule is None else rule.names(layer, x, out)
