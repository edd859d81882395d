"""What surrounds a normalization: an activation after it, the input added to it.

An activation is undone on the branch where it has an inverse; elsewhere the value is not known
(NaN), and the fits pass over it. What the other branch does is measured afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from normscope.identify.subject.nan_statistics import largest, median, median_of_calls
from normscope.identify.subject.subject import Floats

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
    "tanh": (np.tanh, (-3, 3)),
    "softplus": (_softplus, (-3, 16)),
    "softsign": (lambda z: z / (1 + np.abs(z)), (-8, 8)),
    "exp": (np.exp, (-8, 8)),
    "log sigmoid": (lambda z: -_softplus(-z), (-16, 3)),
    "squared relu": (lambda z: np.maximum(z, 0.0) ** 2, (1e-3, 12)),
    "arctan": (np.arctan, (-8, 8)),
    "erf": (_erf, (-1.5, 1.5)),
}
"""Activations by name, with the range where each rises and can be undone."""


def explains(forward: Function, z: Floats, y: Floats, tolerance: float) -> bool:
    """Whether an activation of z gives y, wherever z is known."""
    known = np.isfinite(z) & np.isfinite(y)
    with np.errstate(all="ignore"):
        error = np.abs(forward(z) - y)[known]
    return bool(np.all(error <= tolerance * (1 + np.abs(y[known]))))


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


def straights(y: Floats) -> list[Activation]:
    """What an activation that is the identity somewhere may be, seen from its outputs."""
    return [straight(y), straight(y, above_zero=True)]


def straight(y: Floats, above_zero: bool = False) -> Activation:
    """An activation that is the identity where it is not cut off: only that part is used.

    Args:
        y: outputs of several calls, (calls, ...). A value that occurs again and again is a level
            at which the activation cuts off. Without such a level below, only outputs above 0 are
            taken for the identity.
        above_zero: only those, though a level below occurs: elu comes to one without cutting off.
    """
    values, counts = np.unique(y[np.isfinite(y)], return_counts=True)
    often = counts >= _PLATEAU
    if values.size and values[-1] > 1 and float(values[-1]).is_integer():
        often[-1] = True  # an upper level that is seldom reached, such as 6
    levels = values[often]
    cut_below = not above_zero and levels.size > 0 and values[0] in levels
    lowest = -np.inf if cut_below else 0.0

    def undo(values: Floats) -> Floats:
        return np.where((values > lowest) & ~np.isin(values, levels), values, np.nan)

    return Activation(
        "relu", lambda z: np.maximum(z, 0.0), undo, again=lambda y: straight(y, above_zero).undo
    )


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


def name_straight(bare: Activation, z: Floats, y: Floats, tolerance: float) -> Activation | None:
    """Which activation is the identity above: told by pairs of normalized value and output.

    Args:
        bare: the identity on the branch that is known.
        z: what the fit says for (calls, ...) elements.
        y: what the layer gave there.
        tolerance: of the outputs, absolute.
    """
    known = np.isfinite(z)

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
    alpha = _celu_alpha(z[below][:500], y[below][:500])
    candidates: list[tuple[str, Function]] = [
        ("relu", lambda z: np.maximum(z, 0.0)),
        ("relu6", lambda z: np.clip(z, 0.0, 6.0)),
        ("hardtanh", lambda z: np.clip(z, -1.0, 1.0)),
        (f"leaky relu ({one_slope:.4g})", lambda z: np.where(z > 0, z, one_slope * z)),
        (f"elu ({level:.4g})", lambda z: np.where(z > 0, z, level * np.expm1(np.minimum(z, 0)))),
        ("hard mish", lambda z: z * np.clip(z + 2, 0, 2) / 2),
        (f"celu ({alpha:.4g})",
         lambda z: np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0) / alpha))),
        ("prelu", lambda z: np.where(z > 0, z, slope * z)),
        (f"cut off below {least.min():.4g}", lambda z: np.maximum(z, least.min())),
        (f"clip to [{least.min():.4g}, {most.max():.4g}]",
         lambda z: np.clip(z, least.min(), most.max())),
        ("cut off below learned levels", lambda z: np.maximum(z, level_below)),
    ]  # fmt: skip
    for name, forward in candidates:
        if explains(forward, z, y, tolerance):
            return replace(bare, name=name, forward=forward)
    return None


def _celu_alpha(z: Floats, y: Floats) -> float:
    """The alpha of y = alpha * (exp(z / alpha) - 1), for z below 0: y falls with it, so bisect."""
    low, high = np.full(z.shape, 1e-3), np.full(z.shape, 1e3)
    for _ in range(50):
        alpha = np.sqrt(low * high)
        with np.errstate(under="ignore"):
            above = alpha * np.expm1(z / alpha) > y
        low, high = np.where(above, alpha, low), np.where(above, high, alpha)
    return median(low)


_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def name_selu(bare: Activation, z: Floats, y: Floats, tolerance: float) -> Activation | None:
    """Selu, which rises with a slope of its own above 0; arguments as of `name_straight`."""

    def forward(z: Floats) -> Floats:
        return _SELU_SCALE * np.where(z > 0, z, _SELU_ALPHA * np.expm1(np.minimum(z, 0)))

    if not explains(lambda z: forward(z / _SELU_SCALE), z, y, tolerance):
        return None
    return _stretched(bare, "selu", forward, 1 / _SELU_SCALE, 0.0)


def _stretched(
    bare: Activation, name: str, forward: Function, slope: float, start: float
) -> Activation:
    """An activation that is undone as `slope * y + start` where another one is the identity."""

    def stretched(undo: Function) -> Function:
        return lambda y: slope * undo(y) + start

    again = bare.again
    assert again is not None
    return Activation(name, forward, stretched(bare.undo), again=lambda y: stretched(again(y)))


def name_hard_sigmoid(activation: Activation) -> Activation:
    """Clip to [0, 1], read as a hard sigmoid: z / 6 + 1 / 2, clipped."""
    return _stretched(
        activation, "hard sigmoid", lambda z: np.clip(z / 6 + 0.5, 0, 1), slope=6.0, start=-3.0
    )


RELU_LIKE = (Activation("relu6", lambda z: np.clip(z, 0.0, 6.0), lambda y: y),)
"""What a relu may turn out to be when larger values are seen."""
