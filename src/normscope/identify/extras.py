"""What surrounds a normalization: an activation after it, the input added to it.

An activation is undone on the branch where it has an inverse; elsewhere the value is not known
(NaN), and the fits pass over it. What the other branch does is measured afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from normscope.identify.known import largest, median, median_of_calls
from normscope.identify.subject import Floats

Function = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Activation:
    """An activation: `undo` gives NaN where it cannot tell. `bends`: nowhere a straight line.

    `again` makes an `undo` from new outputs, for an activation whose levels parameters may move.
    """

    name: str
    forward: Function
    undo: Function
    bends: bool = False
    again: Callable[[Floats], Function] | None = None


@dataclass(frozen=True)
class Extras:
    """What is to be taken off an output: y = activation(normalized) + residual * x."""

    activation: Activation | None = None
    residual: float = 0.0

    def undo(self, y: Floats, x: Floats) -> Floats:
        """The normalized values below an output."""
        bare = y - self.residual * x if self.residual else y
        return bare if self.activation is None else self.activation.undo(bare)

    def undo_all(self, y: Floats, x: Floats) -> Floats:
        """The same for several calls together, made after parameters have moved."""
        if self.activation is None or self.activation.again is None:
            return self.undo(y, x)
        bare = y - self.residual * x
        return self.activation.again(bare)(bare)

    def apply(self, z: Floats, x: Floats) -> Floats:
        """The output above normalized values."""
        activated = z if self.activation is None else self.activation.forward(z)
        return activated + self.residual * x if self.residual else activated

    @property
    def words(self) -> tuple[str, ...]:
        """One line for each."""
        found = []
        if self.activation is not None:
            found.append(f"{self.activation.name} after the normalization")
        if self.residual:
            times = "" if self.residual == 1 else f"{self.residual:g} times "
            found.append(f"{times}the input is added to the result (residual)")
        return tuple(found)


def _sigmoid(z: Floats) -> Floats:
    result: Floats = 1 / (1 + np.exp(-z))
    return result


_erf = np.vectorize(math.erf, otypes=[np.float64])


def _gelu(z: Floats) -> Floats:
    result: Floats = z * 0.5 * (1 + _erf(z / math.sqrt(2)))
    return result


def _gelu_tanh(z: Floats) -> Floats:
    inner = math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)
    result: Floats = 0.5 * z * (1 + np.tanh(inner))
    return result


def _softplus(z: Floats) -> Floats:
    return np.logaddexp(0.0, z)


def _hardswish(z: Floats) -> Floats:
    result: Floats = z * np.clip(z + 3, 0, 6) / 6
    return result


CURVES: dict[str, tuple[Function, tuple[float, float]]] = {
    "gelu": (_gelu, (0.1, 12)),
    "gelu (tanh approximation)": (_gelu_tanh, (0.1, 12)),
    "quick gelu": (lambda z: z * _sigmoid(1.702 * z), (0.1, 12)),
    "silu": (lambda z: z * _sigmoid(z), (0.1, 16)),
    "mish": (lambda z: z * np.tanh(_softplus(z)), (0.1, 16)),
    "hardswish": (_hardswish, (0.1, 16)),
    "sigmoid": (_sigmoid, (-4, 4)),
    "hardsigmoid": (lambda z: np.clip(z / 6 + 0.5, 0, 1), (-2.9, 2.9)),
    "tanh": (np.tanh, (-3, 3)),
    "softplus": (_softplus, (-3, 16)),
    "softsign": (lambda z: z / (1 + np.abs(z)), (-8, 8)),
    "exp": (np.exp, (-8, 8)),
}
"""Activations by name, with the range where each rises and can be undone."""


def curves() -> list[Activation]:
    """The activations that bend."""
    return [Activation(name, CURVES[name][0], _inverse_of(name), bends=True) for name in CURVES]


def _inverse_of(name: str) -> Function:
    def undo(y: Floats) -> Floats:
        z, values = _table(name)
        return np.interp(y, values, z, left=np.nan, right=np.nan)

    return undo


@cache
def _table(name: str) -> tuple[Floats, Floats]:
    forward, (low, high) = CURVES[name]
    z = np.linspace(low, high, 60_000)
    return z, forward(z)


_PLATEAU = 4


def straight(y: Floats) -> Activation:
    """An activation that is the identity where it is not cut off: only that part is used.

    Args:
        y: outputs of several calls, (calls, ...). A value that occurs again and again is a level
            at which the activation cuts off. Without such a level below, only outputs above 0 are
            taken for the identity.
    """
    values, counts = np.unique(y[np.isfinite(y)], return_counts=True)
    levels = values[counts >= _PLATEAU]
    cut_below = levels.size > 0 and values[0] in levels
    lowest = -np.inf if cut_below else 0.0

    def undo(values: Floats) -> Floats:
        return np.where((values > lowest) & ~np.isin(values, levels), values, np.nan)

    return Activation("relu", lambda z: np.maximum(z, 0.0), undo, again=lambda y: straight(y).undo)


def spread_over(values: Floats) -> Floats:
    """Fill unknown entries of an array in set form from the same set, or the same place in others.

    >>> spread_over(np.array([[1.0, np.nan], [2.0, 2.0]]))
    array([[1., 1.],
           [2., 2.]])
    """
    for axis in (1, 0):
        middle = np.expand_dims(median_of_calls(np.moveaxis(values, axis, 0)), axis)
        error = np.abs(values - middle)[np.isfinite(values)]
        if np.max(error, initial=0.0) < 1e-3 * (1 + largest(middle)):
            filled = np.where(np.isfinite(values), values, middle)
            return np.where(np.isfinite(filled), filled, median(values))
    return np.where(np.isfinite(values), values, median(values))


def name_straight(undo: Function, z: Floats, y: Floats, tolerance: float) -> Activation | None:
    """Which activation is the identity above: told by pairs of normalized value and output.

    Args:
        undo: the inverse on the branch that is known.
        z: what the fit says for (calls, ...) elements.
        y: what the layer gave there.
        tolerance: of the outputs, absolute.
    """
    known = np.isfinite(z)

    def fits(forward: Function) -> bool:
        return bool(np.all(np.abs(forward(z) - y)[known] <= tolerance * (1 + np.abs(y[known]))))

    below = known & (z < -0.1)
    if not below.any():
        return None
    with np.errstate(all="ignore"):
        slope = median_of_calls(np.where(below, y / z, np.nan))
        level = median(np.where(below, y / np.expm1(z), np.nan))
    slope = spread_over(slope)
    cut = known & (z < y - tolerance * (1 + np.abs(y)))
    level_below = spread_over(
        np.where(cut.any(axis=0), np.where(cut, y, np.inf).min(axis=0), np.nan)
    )
    least, most = y.min(axis=0), y.max(axis=0)
    one_slope = float(np.median(slope))
    candidates: list[tuple[str, Function]] = [
        ("relu", lambda z: np.maximum(z, 0.0)),
        ("relu6", lambda z: np.clip(z, 0.0, 6.0)),
        ("hardtanh", lambda z: np.clip(z, -1.0, 1.0)),
        (f"leaky relu ({one_slope:.4g})", lambda z: np.where(z > 0, z, one_slope * z)),
        (f"elu ({level:.4g})", lambda z: np.where(z > 0, z, level * np.expm1(np.minimum(z, 0)))),
        ("prelu", lambda z: np.where(z > 0, z, slope * z)),
        (f"cut off below {least.min():.4g}", lambda z: np.maximum(z, least.min())),
        (f"clip to [{least.min():.4g}, {most.max():.4g}]",
         lambda z: np.clip(z, least.min(), most.max())),
        ("cut off below learned levels", lambda z: np.maximum(z, level_below)),
    ]  # fmt: skip
    for name, forward in candidates:
        if fits(forward):
            return Activation(name, forward, undo, again=lambda y: straight(y).undo)
    return None


_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def name_selu(undo: Function, z: Floats, y: Floats, tolerance: float) -> Activation | None:
    """Selu, which rises with a slope of its own above 0; arguments as of `name_straight`."""

    def forward(z: Floats) -> Floats:
        return _SELU_SCALE * np.where(z > 0, z, _SELU_ALPHA * np.expm1(np.minimum(z, 0)))

    known = np.isfinite(z)
    error = np.abs(forward(z / _SELU_SCALE) - y)[known]
    if np.any(error > tolerance * (1 + np.abs(y[known]))):
        return None
    return Activation(
        "selu",
        forward,
        lambda y: undo(y) / _SELU_SCALE,
        again=lambda y: lambda values: straight(y).undo(values) / _SELU_SCALE,
    )


RELU_LIKE = (Activation("relu6", lambda z: np.clip(z, 0.0, 6.0), lambda y: y),)
"""What a relu may turn out to be when larger values are seen."""
