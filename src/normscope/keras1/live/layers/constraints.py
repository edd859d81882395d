"""The constraints of Keras 1.2.2: what a weight is replaced by after each step of training.

The axis is one of the stored kernel, whose layout differs by dim_ordering. Source: Keras 1.2.2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import keras
from keras import ops

from normscope.keras1.live.layers import lookup

Tensor: TypeAlias = Any


class Constraint:
    """A function of a weight to the weight that meets the constraint."""

    def __call__(self, p: Tensor) -> Tensor:
        """The weight that meets the constraint."""
        raise NotImplementedError  # each constraint says it; users may write their own

    def get_config(self) -> dict[str, Any]:
        """The name and the settings, as in a file of Keras 1."""
        return {"name": type(self).__name__}


Given: TypeAlias = str | Mapping[str, Any] | Callable[[Tensor], Tensor] | None


class MaxNorm(Constraint):
    """Norms along `axis` of at most m.

    >>> MaxNorm(2).get_config()
    {'name': 'MaxNorm', 'm': 2, 'axis': 0}
    """

    def __init__(self, m: float = 2, axis: int | Sequence[int] = 0) -> None:
        self.m = m
        self.axis = axis

    def __call__(self, p: Tensor) -> Tensor:
        """The weight that meets the constraint."""
        norms = _norms(p, self.axis)
        return p * (ops.clip(norms, 0, self.m) / (keras.config.epsilon() + norms))

    def get_config(self) -> dict[str, Any]:
        """The name and the settings."""
        return {**super().get_config(), "m": self.m, "axis": self.axis}


class NonNeg(Constraint):
    """No weight below 0."""

    def __call__(self, p: Tensor) -> Tensor:
        """The weight that meets the constraint."""
        return ops.maximum(p, 0)


class UnitNorm(Constraint):
    """Norms along `axis` of 1."""

    def __init__(self, axis: int | Sequence[int] = 0) -> None:
        self.axis = axis

    def __call__(self, p: Tensor) -> Tensor:
        """The weight that meets the constraint."""
        return p / (keras.config.epsilon() + _norms(p, self.axis))

    def get_config(self) -> dict[str, Any]:
        """The name and the settings."""
        return {**super().get_config(), "axis": self.axis}


class MinMaxNorm(Constraint):
    """Norms along `axis` drawn towards the interval from `low` to `high`, by `rate` a step."""

    def __init__(
        self,
        low: float = 0.0,
        high: float = 1.0,
        rate: float = 1.0,
        axis: int | Sequence[int] = 0,
    ) -> None:
        self.low = low
        self.high = high
        self.rate = rate
        self.axis = axis

    def __call__(self, p: Tensor) -> Tensor:
        """The weight that meets the constraint, in part if `rate` is below 1."""
        norms = _norms(p, self.axis)
        wanted = self.rate * ops.clip(norms, self.low, self.high) + (1 - self.rate) * norms
        return p * (wanted / (keras.config.epsilon() + norms))

    def get_config(self) -> dict[str, Any]:
        """The name and the settings."""
        settings = {"low": self.low, "high": self.high, "rate": self.rate, "axis": self.axis}
        return {**super().get_config(), **settings}


def _norms(p: Tensor, axis: int | Sequence[int]) -> Tensor:
    axes = axis if isinstance(axis, int) else tuple(axis)
    return ops.sqrt(ops.sum(ops.square(p), axis=axes, keepdims=True))


maxnorm = MaxNorm
nonneg = NonNeg
unitnorm = UnitNorm

CONSTRAINTS: dict[str, Callable[..., Constraint]] = {
    "maxnorm": MaxNorm,
    "nonneg": NonNeg,
    "unitnorm": UnitNorm,
    "MaxNorm": MaxNorm,
    "NonNeg": NonNeg,
    "UnitNorm": UnitNorm,
    "MinMaxNorm": MinMaxNorm,
}


def get(given: Given) -> Callable[[Tensor], Tensor] | None:
    """A constraint by name, by its config, or as it is; None is none.

    Raises:
        SpecError: there is no constraint of that name, or its settings do not fit.

    >>> get("maxnorm").get_config()
    {'name': 'MaxNorm', 'm': 2, 'axis': 0}
    """
    found: Callable[[Tensor], Tensor] | None = lookup.made("constraint", given, CONSTRAINTS)
    return found
