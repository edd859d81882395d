"""Dropouts that feed a site: how far they raise the variance that it stores."""

from __future__ import annotations

import numpy as np
import pytest

from normscope.graph.dropouts import Dropouts
from normscope.graph.operators import Role, Value
from normscope.graph.rules import Fixed
from normscope.graph.variance_shift import dropped_before, inflation
from programs import Program


def _dropped(p: Program, x: Value, rate: float) -> Value:
    rng = np.random.default_rng(0)
    drawn = p.one("rand", Role.OTHER, Fixed(), [x], lambda a: rng.uniform(size=a.shape))
    return p.mul(x, p.div(p.cast(p.greater(drawn, rate), "float64"), 1 - rate))


@pytest.mark.parametrize("activated", [True, False])
@pytest.mark.parametrize("dense", [True, False])
def test_the_ratio_of_variances(activated: bool, dense: bool) -> None:
    """1 + p / (1 - p) * E[u**2] / Var[u]; for normal numbers that is 1 / (1 - p)."""
    p = Program()
    x = p.input(16, 32)
    y = _dropped(p, p.relu(x) if activated else x, 0.25)
    y = p.matmul(y, np.random.default_rng(1).standard_normal((32, 8))) if dense else y
    graph = p.outputs(y)
    found = dropped_before(y, Dropouts(graph))
    assert found is not None
    assert found.rate == pytest.approx(0.25)
    assert found.direct is not dense
    expected = 1 + 0.5 / 3 / (0.5 - 1 / (2 * np.pi)) if activated else 1 / 0.75
    assert inflation(graph, found, y, {1}) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("between", ["activation", "sum"])
def test_what_is_not_linear_is_not_looked_through(between: str) -> None:
    p = Program()
    x = p.input(16, 32)
    y = _dropped(p, x, 0.25)
    y = p.relu(y) if between == "activation" else p.add(x, y)
    graph = p.outputs(y)
    assert dropped_before(y, Dropouts(graph)) is None
