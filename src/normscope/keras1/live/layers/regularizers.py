"""The regularizers of Keras 1.2.2: penalties on weights, and on the outputs of layers.

Source: Keras 1.2.2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from keras import ops

from normscope.errors import ShapeError
from normscope.keras1.live.layers import lookup

Tensor: TypeAlias = Any


class Regularizer:
    """A penalty that is added to the loss: a function of an array to one number."""

    def __call__(self, x: Tensor) -> Tensor:
        """The penalty."""
        raise NotImplementedError  # each regularizer says it; users may write their own

    def get_config(self) -> dict[str, Any]:
        """The name and the settings, as in a file of Keras 1."""
        return {"name": type(self).__name__}


Given: TypeAlias = str | Mapping[str, Any] | Callable[[Tensor], Tensor] | None


class L1L2Regularizer(Regularizer):
    """l1 * sum(abs(x)) + l2 * sum(x**2).

    >>> L1L2Regularizer(l2=0.5).get_config()
    {'name': 'L1L2Regularizer', 'l1': 0.0, 'l2': 0.5}
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1 = float(l1)
        self.l2 = float(l2)

    def __call__(self, x: Tensor) -> Tensor:
        """The penalty."""
        return self.l1 * ops.sum(ops.abs(x)) + self.l2 * ops.sum(ops.square(x))

    def get_config(self) -> dict[str, Any]:
        """The name and the settings."""
        return {**super().get_config(), "l1": self.l1, "l2": self.l2}


class EigenvalueRegularizer(Regularizer):
    """k times the root of the largest eigenvalue of x^T x, by nine steps of the power method."""

    def __init__(self, k: float) -> None:
        self.k = float(k)

    def __call__(self, x: Tensor) -> Tensor:
        """The penalty on a matrix."""
        if len(x.shape) != 2:
            raise ShapeError(f"this regularizer takes 2 axes, x has {len(x.shape)}", None, x.shape)
        covariance = ops.matmul(ops.transpose(x), x)
        vector = ops.ones((x.shape[1], 1), dtype=x.dtype)
        for _ in range(9):
            vector = ops.matmul(covariance, vector)
        product = ops.matmul(covariance, vector)
        return self.k * ops.sqrt(ops.sum(product * vector) / ops.sum(vector * vector))

    def get_config(self) -> dict[str, Any]:
        """The name and the setting, which Keras 1 itself forgot to write."""
        return {**super().get_config(), "k": self.k}


class OnActivity:
    """A penalty on the output of a layer, summed over the batch.

    Keras 3 divides the penalty on an output by the size of the batch; Keras 1 does not. So it is
    multiplied by that size first.
    """

    def __init__(self, penalty: Callable[[Tensor], Tensor]) -> None:
        self.penalty = penalty

    def __call__(self, output: Tensor) -> Tensor:
        """The penalty, times the size of the batch."""
        return self.penalty(output) * ops.cast(ops.shape(output)[0], output.dtype)


WeightRegularizer = L1L2Regularizer
ActivityRegularizer = L1L2Regularizer


def l1(l: float = 0.01) -> L1L2Regularizer:  # noqa: E741  # the name that Keras 1 gave it
    """The sum of l * abs(x)."""
    return L1L2Regularizer(l1=l)


def l2(l: float = 0.01) -> L1L2Regularizer:  # noqa: E741
    """The sum of l * x**2."""
    return L1L2Regularizer(l2=l)


def l1l2(l1: float = 0.01, l2: float = 0.01) -> L1L2Regularizer:
    """l1 * sum(abs(x)) + l2 * sum(x**2)."""
    return L1L2Regularizer(l1=l1, l2=l2)


activity_l1 = l1
activity_l2 = l2
activity_l1l2 = l1l2

REGULARIZERS: dict[str, Callable[..., Regularizer]] = {
    "l1": l1,
    "l2": l2,
    "l1l2": l1l2,
    "activity_l1": l1,
    "activity_l2": l2,
    "activity_l1l2": l1l2,
    "L1L2Regularizer": L1L2Regularizer,
    "WeightRegularizer": L1L2Regularizer,
    "ActivityRegularizer": L1L2Regularizer,
    "EigenvalueRegularizer": EigenvalueRegularizer,
}


def get(given: Given) -> Callable[[Tensor], Tensor] | None:
    """A regularizer by name, by its config, or as it is; None is none.

    Raises:
        SpecError: there is no regularizer of that name, or its settings do not fit.

    >>> get("l2").get_config() == get({"name": "L1L2Regularizer", "l2": 0.01}).get_config()
    True
    """
    found: Callable[[Tensor], Tensor] | None = lookup.made("regularizer", given, REGULARIZERS)
    return found
