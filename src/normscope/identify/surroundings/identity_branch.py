"""Activations that are the identity on one branch: read there, and named by the other branch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from normscope.identify.subject.nan_statistics import largest, median, median_of_calls
from normscope.identify.subject.subject import Floats
from normscope.identify.surroundings.activation import Activation, Function, explains

_PLATEAU = 4
"""A value that occurs as often is a level at which an activation cuts off."""


def identity_branches(y: Floats) -> list[Activation]:
    """What an activation that is the identity somewhere may be, seen from its outputs."""
    return [identity_branch(y), identity_branch(y, above_zero=True)]


def identity_branch(y: Floats, above_zero: bool = False) -> Activation:
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
        "relu",
        lambda z: np.maximum(z, 0.0),
        undo,
        undo_from=lambda y: identity_branch(y, above_zero).undo,
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


def named_branch(bare: Activation, z: Floats, y: Floats, tolerance: float) -> Activation | None:
    """Which activation it is: told by pairs of normalized value and output.

    Args:
        bare: the identity on the branch that is known.
        z: what the fit says for (calls, ...) elements.
        y: what the layer gave there.
        tolerance: of the outputs, absolute.
    """
    return _identity_above(bare, z, y, tolerance) or _selu(bare, z, y, tolerance)


def _identity_above(bare: Activation, z: Floats, y: Floats, tolerance: float) -> Activation | None:
    """An activation that is the identity above, by what its other branch does."""
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


def _selu(bare: Activation, z: Floats, y: Floats, tolerance: float) -> Activation | None:
    """Selu, which rises with a slope of its own above 0."""

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

    undo_from = bare.undo_from
    assert undo_from is not None
    return Activation(
        name, forward, stretched(bare.undo), undo_from=lambda y: stretched(undo_from(y))
    )


def read_as_hard_sigmoid(activation: Activation) -> Activation:
    """Clip to [0, 1], read as a hard sigmoid: z / 6 + 1 / 2, clipped."""
    return _stretched(
        activation, "hard sigmoid", lambda z: np.clip(z / 6 + 0.5, 0, 1), slope=6.0, start=-3.0
    )


RELU_LIKE = (Activation("relu6", lambda z: np.clip(z, 0.0, 6.0), lambda y: y),)
"""What a relu may turn out to be when larger values are seen."""
