"""What is found in graphs by hand: spec, words or the reason why it is none."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from normscope.audit.found.found import found_sites
from normscope.audit.found.site import FoundSite, Kind
from normscope.graph.operators import Value
from programs import Program

RNG = np.random.default_rng(0)
Make = Callable[[Program, Value], Value]


def _found(make: Make, shape: tuple[int, ...]) -> FoundSite:
    p = Program()
    x = p.input(*shape)
    (site,) = found_sites({False: p.outputs(make(p, x))})
    return site


def _divided(p: Program, d: Value, axes: list[int], eps: float = 1e-5) -> Value:
    return p.div(d, p.sqrt(p.add(p.mean(p.square(d), axes), eps)))


def _root(p: Program, x: Value) -> Value:
    return p.mul(_divided(p, x, [-1]), p.add(1.0, p.constant(RNG.standard_normal(16), "w")))


def _groups(p: Program, x: Value) -> Value:
    y = p.reshape(x, 4, 4, 120)
    y = _divided(p, p.sub(y, p.mean(y, [-1])), [-1])
    return p.reshape(y, 4, 16, 6, 5)


def _instances(p: Program, x: Value) -> Value:
    return p.reshape(p.layer_norm(p.reshape(x, 1, 64, 6, 5), [0, 2, 3]), 4, 16, 6, 5)


def _summed(p: Program, x: Value) -> Value:
    """As JAX does: a sum, divided by the number that is there in this model."""
    d = p.sub(x, p.div(p.sum(x, [0, 2, 3]), 120.0))
    return p.div(d, p.sqrt(p.add(p.div(p.sum(p.square(d), [0, 2, 3]), 120.0), 1e-5)))


def _counted(p: Program, x: Value) -> Value:
    """A number that is meant for this shape, and does not say so."""
    total = p.mul(p.sum(p.square(x), [-1]), p.mul(1 / 32, 2.0))
    return p.mul(x, p.rsqrt(p.add(total, 1e-6)))


def _conditioned(p: Program, x: Value) -> Value:
    """The factor and the summand come from elsewhere in the model."""
    gain, shift = p.input(4, 16, 1, 1, name="gain"), p.input(4, 16, 1, 1, name="shift")
    d = p.sub(x, p.mean(x, [2, 3]))
    factor = p.mul(p.rsqrt(p.add(p.mean(p.square(d), [2, 3]), 1e-5)), gain)
    return p.add(p.mul(d, factor), shift)


@pytest.mark.parametrize(
    ("make", "shape", "said"),
    [
        (_root, (4, 6, 16), '"b d1 [d2]", not centred, measure mean_square, eps=1e-05, 1 + scale'),
        (_groups, (4, 16, 6, 5), '"b (g [d1]) [d2 d3]" with g=4, eps=1e-05'),
        (_instances, (4, 16, 6, 5), '"b d1 [d2 d3]", eps=1e-05'),
        (_summed, (4, 16, 6, 5), '"[b] d1 [d2 d3]", eps=1e-05'),
        (_counted, (4, 6, 16), '"b d1 [d2]", not centred, measure mean_square, eps=1e-06'),
        (_conditioned, (4, 16, 6, 5), '"b d1 [d2 d3]", eps=1e-05'),
    ],
)
def test_the_spec_is_that_of_the_caller(make: Make, shape: tuple[int, ...], said: str) -> None:
    site = _found(make, shape)
    assert str(site.infer).startswith(said)
    assert (site.kind, site.verified, site.input_shape) == (Kind.NORMALIZATION, True, shape)


def test_a_learned_factor_is_told_apart_from_one_that_is_given() -> None:
    assert dict(_found(_root, (4, 6, 16)).parameters) == {"scale": "w"}
    site = _found(_conditioned, (4, 16, 6, 5))
    assert site.infer is not None
    assert site.infer.scale is None
    assert not site.parameters


def test_what_cannot_be_run_again_is_unknown_and_says_why() -> None:
    p = Program()
    x = p.input(4, 6)
    y = _divided(p, x, [-1])
    graph = p.outputs(y)
    for node in graph.nodes:
        node.run = None
    (site,) = found_sites({False: graph})
    assert site.kind is Kind.UNKNOWN
    assert site.words
    assert not site.verified


def test_a_dismissed_site_says_nothing_but_why() -> None:
    site = _found(lambda p, x: p.mul(x, p.sigmoid(p.mean(x, [-1]))), (4, 6))
    assert "gate" in site.dismissed
    assert (site.train, site.infer, site.verified) == (None, None, False)
