"""Output shape and axis names of the layers with a space, of one to three axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from normscope.keras1.network.settings import Axes, Settings, Tensor

Resize: TypeAlias = Callable[[int, int], int]  # (which axis of the space, its size) -> new size

SPACE: Mapping[int, Axes] = {1: ("t",), 2: ("h", "w"), 3: ("d", "h", "w")}
KERNEL_KEYS: Mapping[int, tuple[str, ...]] = {
    1: ("filter_length",),
    2: ("nb_row", "nb_col"),
    3: ("kernel_dim1", "kernel_dim2", "kernel_dim3"),
}
PAD_KEYS: Mapping[int, tuple[str, ...]] = {
    1: ("left_pad", "right_pad"),
    2: ("top_pad", "bottom_pad", "left_pad", "right_pad"),
    3: (),
}


def output_length(size: int, kernel: int, border_mode: str, stride: int) -> int:
    """The length that a window of `kernel` elements leaves, as Keras 1.2.2 computes it.

    >>> [output_length(7, 3, mode, 2) for mode in ("valid", "same", "full")]
    [3, 4, 5]
    """
    length = size + {"valid": 1 - kernel, "same": 0, "full": kernel - 1}[border_mode]
    return -(-length // stride)


def channel_axis(layer: Settings, x: Tensor, space: int) -> int | None:
    """Where the channels are, or None: padding, cropping and upsampling do not save their ordering.

    Those are asked for in the names of their input, then in the rest of the file.
    """
    last = space + 1
    if space == 1:
        return last
    if layer.value("dim_ordering") is not None:
        return 1 if layer.choice("dim_ordering", ("th", "tf")) == "th" else last
    if x.axes is not None and "c" in x.axes and x.axes.index("c") in (1, last):
        return x.axes.index("c")
    return {"th": 1, "tf": last}.get(layer.ordering or "")


def space_axes(layer: Settings, x: Tensor, space: int) -> Axes | None:
    """The names that the dim_ordering of a layer gives to its input and output."""
    channel = channel_axis(layer, x, space)
    if channel is None:
        return None
    return ("b", "c", *SPACE[space]) if channel == 1 else ("b", *SPACE[space], "c")


def _in_space(
    layer: Settings, x: Tensor, space: int, resize: Resize, channels: int | None = None
) -> Tensor:
    """`x` with each known size of its space resized, and with new `channels` if given."""
    sizes = list(layer.sizes_of(x, space + 2))
    channel = channel_axis(layer, x, space)
    if channel is None:
        return Tensor((sizes[0], *[None] * (space + 1)), x.axes)
    for index, axis in enumerate(axis for axis in range(1, space + 2) if axis != channel):
        size = sizes[axis]
        sizes[axis] = None if size is None else resize(index, size)
    if channels is None:
        return Tensor(tuple(sizes), x.axes or space_axes(layer, x, space))
    sizes[channel] = channels
    return Tensor(tuple(sizes), space_axes(layer, x, space))


def _window(
    layer: Settings, kernel: Sequence[int], stride: Sequence[int], rate: Sequence[int]
) -> Resize:
    mode = layer.choice("border_mode", ("valid", "same", "full"), "valid")

    def resize(index: int, size: int) -> int:
        dilated = kernel[index] + (kernel[index] - 1) * (rate[index] - 1)
        return output_length(size, dilated, mode, stride[index])

    return resize


def convolution(layer: Settings, x: Tensor, space: int) -> Tensor:
    """A convolution of `space` axes, dilated or not."""
    ones = (1,) * space
    kernel = [layer.integer(key) for key in KERNEL_KEYS[space]]
    stride = layer.per_axis("subsample_length" if space == 1 else "subsample", space, ones)
    rate = layer.per_axis("atrous_rate", space, ones)
    resize = _window(layer, kernel, stride, rate)
    return _in_space(layer, x, space, resize, layer.integer("nb_filter"))


def deconvolution(layer: Settings, x: Tensor) -> Tensor:
    """A transposed convolution, whose output shape is a setting."""
    batch = layer.sizes_of(x, 4)[0]
    _, *sizes = layer.sizes_of(Tensor(layer.shape("output_shape")), 4)
    declared = Tensor((batch, *sizes), x.axes)
    return _in_space(layer, declared, 2, lambda _, size: size, layer.integer("nb_filter"))


def pooling(layer: Settings, x: Tensor, space: int) -> Tensor:
    """A pooling over windows of `space` axes."""
    pool = layer.per_axis("pool_length" if space == 1 else "pool_size", space, (2,) * space)
    stride = layer.per_axis("stride" if space == 1 else "strides", space, pool)
    return _in_space(layer, x, space, _window(layer, pool, stride, (1,) * space))


def global_pooling(layer: Settings, x: Tensor, space: int) -> Tensor:
    """A pooling over the whole space, which leaves batch and channels."""
    sizes = layer.sizes_of(x, space + 2)
    channel = channel_axis(layer, x, space)
    return Tensor((sizes[0], None if channel is None else sizes[channel]), ("b", "c"))


def upsampling(layer: Settings, x: Tensor, space: int) -> Tensor:
    """An upsampling of each axis of the space by its factor."""
    factor = layer.per_axis("length" if space == 1 else "size", space, (2,) * space)
    return _in_space(layer, x, space, lambda index, size: size * factor[index])


def padding(layer: Settings, x: Tensor, space: int) -> Tensor:
    """Zeros before and after each axis of the space."""
    padding = layer.value("padding", [1] * space)
    if isinstance(padding, dict) and padding.keys() <= set(PAD_KEYS[space]):
        padding = [padding.get(key, 0) for key in PAD_KEYS[space]]
    elif space == 1 and not isinstance(padding, list):
        padding = [padding]
    if isinstance(padding, list) and len(padding) == len(PAD_KEYS[space]):
        ends = layer.as_integers("padding", padding, 2 * space, low=0)
        added = [before + after for before, after in zip(ends[::2], ends[1::2], strict=True)]
    else:
        added = [2 * end for end in layer.as_integers("padding", padding, space, low=0)]
    return _in_space(layer, x, space, lambda index, size: size + added[index])


def cropping(layer: Settings, x: Tensor, space: int) -> Tensor:
    """Elements cut off before and after each axis of the space."""
    pairs = layer.value("cropping")
    pairs = [pairs] if space == 1 else pairs
    if not isinstance(pairs, list) or len(pairs) != space:
        raise layer.wrong("cropping", pairs, f"a list of {space} pairs of integers")
    cut = [sum(layer.as_integers("cropping", pair, 2, low=0)) for pair in pairs]
    return _in_space(layer, x, space, lambda index, size: size - cut[index])
