"""Activations: what comes after a normalization, and how it is undone.

An activation is undone on the branch where it has an inverse; elsewhere the value is not known
(NaN), and the fits pass over it. What the other branch does is measured afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from normscope.identify.subject.subject import Floats

Function = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Activation:
    """A function of each element.

    Attributes:
        name: what it is called.
        forward: the function.
        undo: its inverse; NaN where that cannot be told.
        curved: it is nowhere a straight line.
        undo_from: makes the inverse from new outputs, for an activation whose levels parameters
            may move.
    """

    name: str
    forward: Function
    undo: Function
    curved: bool = False
    undo_from: Callable[[Floats], Function] | None = None


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
    """The activations that are nowhere a straight line."""
    return [Activation(name, CURVES[name][0], _inverse_of(name), curved=True) for name in CURVES]


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
