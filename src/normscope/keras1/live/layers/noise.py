"""The layers of Keras 1.2.2 that act by chance, and in training only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import keras
from keras import ops

from normscope.errors import SpecError
from normscope.keras1.live.layers.base import Keras1Layer, Tensor, registered
from normscope.keras1.live.layers.ordering import channel_axis, resolve_ordering


class _Noise(Keras1Layer):
    """Base: the input outside training, `noisy` in training."""

    masks_pass: ClassVar[bool] = True

    def __init__(self, *, seed: int | None = None, **common: Any) -> None:
        super().__init__(**common)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """The output."""
        return self.noisy(x) if training else x

    def noisy(self, x: Tensor) -> Tensor:
        """The output in training."""
        raise NotImplementedError  # each kind of noise says it


class _Dropout(_Noise):
    """Base: sets a share of the values to 0, and divides the rest by the share that stays."""

    settings: ClassVar[tuple[str, ...]] = ("p",)

    def __init__(self, p: float, **options: Any) -> None:
        super().__init__(**options)
        self.p = probability(p)

    def noise_shape(self, x: Tensor) -> Sequence[int | None] | None:
        """The shape in which chance decides; None is that of the input."""
        raise NotImplementedError  # each dropout says it

    def noisy(self, x: Tensor) -> Tensor:
        """The output in training."""
        if not 0 < self.p < 1:
            return x
        return keras.random.dropout(
            x, self.p, noise_shape=self.noise_shape(x), seed=self.seed_generator
        )


@registered
class Dropout(_Dropout):
    """Sets a share `p` of the values to 0 in training, and divides the rest by 1 - p.

    Args:
        p: the share that is dropped; 0 or 1 change nothing, as in Keras 1.
        noise_shape: the shape in which chance decides, 1 where it decides once for an axis.
        seed: makes it repeatable.
        **common: see `Keras1Layer`.

    Example:
        >>> float(Dropout(0.5)(ops.ones((1, 1)))[0, 0])
        1.0
    """

    def __init__(
        self,
        p: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **common: Any,
    ) -> None:
        super().__init__(p, seed=seed, **common)
        self.given_noise_shape = noise_shape

    def noise_shape(self, x: Tensor) -> Sequence[int | None] | None:
        """As it was given."""
        return self.given_noise_shape

    def get_config(self) -> dict[str, Any]:
        """The config, with the noise shape that Keras 1 itself forgot to write."""
        if self.given_noise_shape is None:
            return super().get_config()
        return {**super().get_config(), "noise_shape": tuple(self.given_noise_shape)}


@registered
class SpatialDropout1D(_Dropout):
    """Drops whole channels of (batch, time, channels)."""

    def __init__(self, p: float, **common: Any) -> None:
        super().__init__(p, **common)
        self.input_spec = keras.layers.InputSpec(ndim=3)

    def noise_shape(self, x: Tensor) -> Sequence[int | None]:
        """Chance decides once for each sample and channel."""
        return _once_per_channel(x, -1)


class _SpatialDropout(_Dropout):
    """Base: drops whole channels of images or volumes."""

    settings: ClassVar[tuple[str, ...]] = ("p", "dim_ordering")
    rank: ClassVar[int]

    def __init__(self, p: float, dim_ordering: str = "default", **common: Any) -> None:
        super().__init__(p, **common)
        self.dim_ordering = resolve_ordering(dim_ordering)
        self.input_spec = keras.layers.InputSpec(ndim=self.rank + 2)

    def noise_shape(self, x: Tensor) -> Sequence[int | None]:
        """Chance decides once for each sample and channel."""
        return _once_per_channel(x, channel_axis(self.dim_ordering))


@registered
class SpatialDropout2D(_SpatialDropout):
    """Drops whole channels of images."""

    rank: ClassVar[int] = 2


@registered
class SpatialDropout3D(_SpatialDropout):
    """Drops whole channels of volumes."""

    rank: ClassVar[int] = 3


@registered
class GaussianNoise(_Noise):
    """Adds normal noise of standard deviation `sigma` in training."""

    settings: ClassVar[tuple[str, ...]] = ("sigma",)

    def __init__(self, sigma: float, **common: Any) -> None:
        super().__init__(**common)
        self.sigma = sigma

    def noisy(self, x: Tensor) -> Tensor:
        """The output in training."""
        return x + self.sigma * _normal(x, self.seed_generator)


@registered
class GaussianDropout(_Noise):
    """Multiplies by normal noise of mean 1 and deviation sqrt(p / (1 - p)) in training."""

    settings: ClassVar[tuple[str, ...]] = ("p",)

    def __init__(self, p: float, **common: Any) -> None:
        super().__init__(**common)
        self.p = probability(p)

    def noisy(self, x: Tensor) -> Tensor:
        """The output in training."""
        if not 0 < self.p < 1:
            return x
        deviation = math.sqrt(self.p / (1 - self.p))
        return x * (1 + deviation * _normal(x, self.seed_generator))


def probability(p: float) -> float:
    """A share between 0 and 1.

    Raises:
        SpecError: it is outside.
    """
    if not 0 <= p <= 1:
        raise SpecError(f"p is a share from 0 to 1, not {p!r}")
    return p


def _normal(x: Tensor, seed: keras.random.SeedGenerator) -> Tensor:
    return keras.random.normal(ops.shape(x), dtype=x.dtype, seed=seed)


def _once_per_channel(x: Tensor, axis: int) -> list[int | None]:
    sizes = ops.shape(x)
    shape: list[int | None] = [1] * len(sizes)
    shape[0], shape[axis] = sizes[0], sizes[axis]
    return shape
