"""Activations are undone where they can be, and named by what their other branch does."""

from __future__ import annotations

import math

import numpy as np
import pytest

from normscope.identify.surroundings.activation import CURVES, curves, explains
from normscope.identify.surroundings.extras import Extras
from normscope.identify.surroundings.identity_branch import (
    identity_branch,
    identity_branches,
    named_branch,
    read_as_hard_sigmoid,
)

Z = np.random.default_rng(0).normal(0, 4, size=(12, 6, 20))


@pytest.mark.parametrize("activation", curves(), ids=lambda activation: activation.name)
def test_a_curve_is_undone_where_it_rises(activation) -> None:
    low, high = CURVES[activation.name][1]
    z = np.linspace(low, high, 1001)[1:-1]
    undone = activation.undo(activation.forward(z))
    np.testing.assert_allclose(undone, z, atol=1e-3)
    assert np.isnan(activation.undo(np.array([1e9, -1e9]))).any()


@pytest.mark.parametrize(
    ("name", "z", "y"),
    [
        ("gelu", 1.0, 0.5 * (1 + math.erf(1 / math.sqrt(2)))),
        ("silu", 2.0, 2 / (1 + math.exp(-2))),
        ("softplus", 0.0, math.log(2)),
        ("hardswish", 1.0, 4 / 6),
        ("mish", 0.0, 0.0),
        ("log sigmoid", 0.0, -math.log(2)),
    ],
)
def test_curves_are_what_they_are_called(name: str, z: float, y: float) -> None:
    assert CURVES[name][0](np.array([z]))[0] == pytest.approx(y)


def elu(z: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    return np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0)))


BRANCHES = {
    "relu": lambda z: np.maximum(z, 0),
    "relu6": lambda z: np.clip(z, 0, 6),
    "hardtanh": lambda z: np.clip(z, -1, 1),
    "leaky relu (0.01)": lambda z: np.where(z > 0, z, 0.01 * z),
    "elu (1)": elu,
    "elu (0.5)": lambda z: elu(z, 0.5),
    "celu (2)": lambda z: np.where(z > 0, z, 2 * np.expm1(np.minimum(z, 0) / 2)),
    "prelu": lambda z: np.where(z > 0, z, np.linspace(0.1, 0.9, 20) * z),
    "cut off below -2": lambda z: np.maximum(z, -2),
    "clip to [-2, 3]": lambda z: np.clip(z, -2, 3),
}


@pytest.mark.parametrize("name", BRANCHES)
def test_the_identity_on_one_branch_is_named_by_the_other(name: str) -> None:
    y = BRANCHES[name](Z)
    named = [found for bare in identity_branches(y) if (found := named_branch(bare, Z, y, 1e-6))]
    assert name in {activation.name for activation in named}
    assert all(explains(activation.forward, Z, y, 1e-6) for activation in named)


def test_selu_has_a_slope_of_its_own() -> None:
    scale, alpha = 1.0507009873554805, 1.6732632423543772
    y = scale * elu(Z, alpha)
    named = named_branch(identity_branch(y, above_zero=True), scale * Z, y, 1e-6)
    assert named is not None
    assert named.name == "selu"
    np.testing.assert_allclose(named.undo(y)[Z > 0], Z[Z > 0])


def test_what_the_other_branch_does_may_be_unknown() -> None:
    y = np.where(Z > 0, Z, np.sin(Z))
    assert all(named_branch(bare, Z, y, 1e-6) is None for bare in identity_branches(y))


def test_only_the_part_that_is_not_cut_off_is_known() -> None:
    y = np.clip(Z, 0, 6)
    undone = identity_branch(y).undo(y)
    assert (np.isnan(undone) == ((Z <= 0) | (Z >= 6))).all()
    assert (undone == Z)[~np.isnan(undone)].all()


def test_levels_that_parameters_move_are_read_anew() -> None:
    extras = Extras(identity_branch(np.maximum(Z, -1)))
    moved = np.maximum(Z, -2)
    assert np.isfinite(extras.undo(moved, Z)[Z <= -2]).any()  # the old level tells nothing
    assert np.isnan(extras.undo_all(moved, Z)[Z <= -2]).all()


def test_a_hard_sigmoid_is_a_clip_to_0_and_1() -> None:
    y = np.clip(Z / 6 + 0.5, 0, 1)
    activation = read_as_hard_sigmoid(identity_branch(y))
    inside = np.abs(Z) < 3
    np.testing.assert_allclose(activation.undo(y)[inside], Z[inside], atol=1e-12)
    np.testing.assert_allclose(activation.forward(Z), y)


def test_extras_are_taken_off_and_put_on_again() -> None:
    x = np.random.default_rng(1).normal(size=Z.shape)
    extras = Extras(identity_branch(np.maximum(Z, 0)), residual=0.5)
    y = extras.apply(Z, x)
    np.testing.assert_array_equal(y, np.maximum(Z, 0) + 0.5 * x)
    np.testing.assert_allclose(extras.undo(y, x)[Z > 0], Z[Z > 0], atol=1e-12)
    assert extras.words == (
        "relu after the normalization",
        "0.5 times the input is added to the result (residual)",
    )
    assert Extras().words == ()
