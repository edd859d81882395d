"""The poolings of Keras 1.2.2, with either `dim_ordering`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import keras
from keras import ops

from normscope.keras1.live.layers import border
from normscope.keras1.live.layers.base import Keras1Layer, Tensor, one_of, registered
from normscope.keras1.live.layers.ordering import (
    channels_last,
    from_channels_last,
    resolve_ordering,
    space_axes,
)


class _Pooling(Keras1Layer):
    """Base: one value for each window."""

    def __init__(
        self,
        pool_size: Sequence[int],
        strides: Sequence[int] | None,
        border_mode: str,
        dim_ordering: str,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.pool_size = tuple(pool_size)
        self.strides = tuple(pool_size if strides is None else strides)
        self.border_mode = one_of("border_mode", border_mode, border.POOLING_MODES)
        self.dim_ordering = resolve_ordering(dim_ordering)
        self.input_spec = keras.layers.InputSpec(ndim=len(self.pool_size) + 2)

    def call(self, x: Tensor) -> Tensor:
        """The output."""
        y = self._pooled(channels_last(x, self.dim_ordering))
        return from_channels_last(y, self.dim_ordering)

    def _pooled(self, x: Tensor) -> Tensor:
        sizes = x.shape[1:-1]
        if self.border_mode == "valid":
            return self.pool(x, "valid")
        if self.origin != "tensorflow":
            y = self.pool_padded(x, border.theano_pooling_pads(self.pool_size))
            return border.cut_to_same(y, x, self.strides)
        if not all(isinstance(size, int) for size in sizes):
            return self.pool(x, "same")
        # Not "same": with torch Keras 3.15 counts an uneven padding into a mean.
        pads = border.tensorflow_pads(sizes, self.pool_size, self.strides)
        return self.pool_padded(x, pads)

    def pool(self, x: Tensor, padding: str) -> Tensor:
        """Pooled with the channels last; padding is left out of a mean."""
        raise NotImplementedError  # maximum and mean say it

    def pool_padded(self, x: Tensor, pads: border.Pads) -> Tensor:
        """Pooled with `pads` more before and after each axis, which count for nothing."""
        raise NotImplementedError  # maximum and mean say it


class _Max(_Pooling):
    """Base: the largest value of each window."""

    def pool(self, x: Tensor, padding: str) -> Tensor:
        """The largest value of each window."""
        return ops.max_pool(x, self.pool_size, self.strides, padding, data_format="channels_last")

    def pool_padded(self, x: Tensor, pads: border.Pads) -> Tensor:
        """The largest value of each window, padding left out."""
        return self.pool(border.pad_space(x, pads, value=float("-inf")), "valid")


class _Average(_Pooling):
    """Base: the mean of each window."""

    def pool(self, x: Tensor, padding: str) -> Tensor:
        """The mean of each window."""
        return ops.average_pool(
            x, self.pool_size, self.strides, padding, data_format="channels_last"
        )

    def pool_padded(self, x: Tensor, pads: border.Pads) -> Tensor:
        """The mean of each window, padding left out."""
        share = self.pool(border.pad_space(ops.ones_like(x[:1, ..., :1]), pads), "valid")
        return self.pool(border.pad_space(x, pads), "valid") / share


class _OverTime(_Pooling):
    """Base: over (batch, time, channels)."""

    settings: ClassVar[tuple[str, ...]] = ("pool_length", "stride", "border_mode")

    def __init__(
        self,
        pool_length: int = 2,
        stride: int | None = None,
        border_mode: str = "valid",
        **common: Any,
    ) -> None:
        strides = None if stride is None else (stride,)
        super().__init__((pool_length,), strides, border_mode, "tf", **common)
        self.pool_length = pool_length
        self.stride = self.strides[0]


class _OverImages(_Pooling):
    """Base: over images."""

    settings: ClassVar[tuple[str, ...]] = ("pool_size", "strides", "border_mode", "dim_ordering")

    def __init__(
        self,
        pool_size: Sequence[int] = (2, 2),
        strides: Sequence[int] | None = None,
        border_mode: str = "valid",
        dim_ordering: str = "default",
        **common: Any,
    ) -> None:
        super().__init__(pool_size, strides, border_mode, dim_ordering, **common)


class _OverVolumes(_Pooling):
    """Base: over volumes."""

    settings: ClassVar[tuple[str, ...]] = ("pool_size", "strides", "border_mode", "dim_ordering")

    def __init__(
        self,
        pool_size: Sequence[int] = (2, 2, 2),
        strides: Sequence[int] | None = None,
        border_mode: str = "valid",
        dim_ordering: str = "default",
        **common: Any,
    ) -> None:
        super().__init__(pool_size, strides, border_mode, dim_ordering, **common)


@registered
class MaxPooling1D(_OverTime, _Max):
    """The largest value of each window in time.

    Example:
        >>> MaxPooling1D(3).get_config()["stride"]
        3
    """


@registered
class AveragePooling1D(_OverTime, _Average):
    """The mean of each window in time."""


@registered
class MaxPooling2D(_OverImages, _Max):
    """The largest value of each window of an image."""


@registered
class AveragePooling2D(_OverImages, _Average):
    """The mean of each window of an image."""


@registered
class MaxPooling3D(_OverVolumes, _Max):
    """The largest value of each window of a volume."""


@registered
class AveragePooling3D(_OverVolumes, _Average):
    """The mean of each window of a volume."""


class _Global(Keras1Layer):
    """Base: one value for each sample and channel."""

    rank: ClassVar[int]
    settings: ClassVar[tuple[str, ...]] = ("dim_ordering",)

    def __init__(self, dim_ordering: str = "default", **common: Any) -> None:
        super().__init__(**common)
        self.dim_ordering = resolve_ordering(dim_ordering)
        self.input_spec = keras.layers.InputSpec(ndim=self.rank + 2)

    @property
    def space(self) -> tuple[int, ...]:
        """The axes that are pooled."""
        return space_axes(self.dim_ordering, self.rank)


class _GlobalOverTime(_Global):
    """Base: over (batch, time, channels)."""

    rank: ClassVar[int] = 1
    settings: ClassVar[tuple[str, ...]] = ()

    def __init__(self, **common: Any) -> None:
        super().__init__("tf", **common)


class _GlobalMax(_Global):
    """Base: the largest value."""

    def call(self, x: Tensor) -> Tensor:
        """The output."""
        return ops.max(x, axis=self.space)


class _GlobalAverage(_Global):
    """Base: the mean."""

    def call(self, x: Tensor) -> Tensor:
        """The output."""
        return ops.mean(x, axis=self.space)


@registered
class GlobalMaxPooling1D(_GlobalOverTime, _GlobalMax):
    """The largest value over time."""


@registered
class GlobalAveragePooling1D(_GlobalOverTime, _GlobalAverage):
    """The mean over time."""


@registered
class GlobalMaxPooling2D(_GlobalMax):
    """The largest value of each channel of an image."""

    rank: ClassVar[int] = 2


@registered
class GlobalAveragePooling2D(_GlobalAverage):
    """The mean of each channel of an image."""

    rank: ClassVar[int] = 2


@registered
class GlobalMaxPooling3D(_GlobalMax):
    """The largest value of each channel of a volume."""

    rank: ClassVar[int] = 3


@registered
class GlobalAveragePooling3D(_GlobalAverage):
    """The mean of each channel of a volume."""

    rank: ClassVar[int] = 3
