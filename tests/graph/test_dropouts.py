"""Dropouts of a graph: which operators they are, and the share that they set to zero."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from normscope.graph.carried import carried_from
from normscope.graph.dropouts import Dropouts
from normscope.graph.operators import Role, Value
from normscope.graph.rules import Fixed
from programs import Program


def _drawn(p: Program, x: Value, *shape: int) -> Value:
    """Numbers between 0 and 1 that are others in each run."""
    rng = np.random.default_rng(0)
    return p.one("rand", Role.OTHER, Fixed(), [x], lambda a: rng.uniform(size=shape or a.shape))


def _mask(p: Program, x: Value, rate: float, *shape: int) -> Value:
    return p.cast(p.greater(_drawn(p, x, *shape), rate), "float64")


def _rate(p: Program, y: Value) -> float | None:
    assert y.node is not None
    return Dropouts(p.outputs(y)).rate(y.node)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.75])
def test_a_product_with_a_mask_that_is_scaled(rate: float) -> None:
    p = Program()
    x = p.input(4, 64)
    assert _rate(p, p.mul(x, p.div(_mask(p, x, rate), 1 - rate))) == pytest.approx(rate)


@pytest.mark.parametrize("before", [True, False])
def test_a_factor_just_before_or_after_tells_the_rate(before: bool) -> None:
    p = Program()
    x = p.input(4, 64)
    mask = _mask(p, x, 0.2)
    y = p.mul(p.div(x, 0.8) if before else x, mask)
    p.outputs(y if before else p.div(y, 0.8))
    assert y.node is not None
    assert Dropouts(p.graph).rate(y.node) == pytest.approx(0.2)


def test_a_choice_between_a_value_and_zero() -> None:
    p = Program()
    x = p.input(4, 64)
    y = p.where(p.greater(_drawn(p, x), 0.25), p.div(x, 0.75), np.zeros(()))
    assert _rate(p, y) == pytest.approx(0.25)


def test_whole_samples_are_dropped() -> None:
    p = Program()
    x = p.input(4, 64)
    assert _rate(p, p.mul(x, p.div(_mask(p, x, 0.5, 4, 1), 0.5))) == pytest.approx(0.5)


def test_without_a_factor_the_share_is_seen() -> None:
    p = Program()
    x = p.input(40, 64)
    rate = _rate(p, p.mul(x, _mask(p, x, 0.3)))
    assert rate == pytest.approx(0.3, abs=0.05)
    assert rate != 0.3  # it is seen, and not known


@pytest.mark.parametrize("of", ["noise", "known mask", "shift", "ones"])
def test_what_is_no_dropout(of: str) -> None:
    p = Program()
    x = p.input(4, 64)
    made: dict[str, Any] = {
        "noise": lambda: p.mul(x, p.add(_drawn(p, x), 1.0)),
        "known mask": lambda: p.mul(x, np.repeat([0.0, 2.0], 32)),
        "shift": lambda: p.add(x, _mask(p, x, 0.5)),
        "ones": lambda: p.mul(x, p.mul(_mask(p, x, -1.0), 2.0)),
    }
    assert _rate(p, made[of]()) is None


def test_a_value_is_carried_through_moves_casts_dropouts_and_factors() -> None:
    p = Program()
    x = p.input(4, 6)
    dropped = p.mul(p.div(x, 0.5), _mask(p, x, 0.5))
    y = p.cast(p.transpose(dropped, 1, 0), "float32")
    p.outputs(y, p.relu(y), p.mul(x, np.arange(6.0)))
    dropouts = Dropouts(p.graph)
    assert list(carried_from(y, dropouts))[-1] is x
    assert list(carried_from(p.graph.outputs[1], dropouts)) == [p.graph.outputs[1]]
    scaled = p.graph.outputs[2]
    assert list(carried_from(scaled, dropouts)) == [scaled]
    assert list(carried_from(scaled, dropouts, affine=True)) == [scaled, x]
