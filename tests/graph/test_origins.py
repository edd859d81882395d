"""Where values come from: the inputs of the model, and earlier calls of the same layer."""

from __future__ import annotations

import numpy as np

from normscope.graph.operators import Value
from normscope.graph.origins import Origins
from normscope.graph.sites import find_sites
from programs import Program

RNG = np.random.default_rng(0)


def _norm(p: Program, x: Value) -> Value:
    with p.layer("norm", "Norm"):
        return p.layer_norm(x, [0])


def test_two_calls_on_two_inputs() -> None:
    p = Program()
    a, b = p.input(4, 3, name="a"), p.input(4, 3, name="b")
    graph = p.outputs(_norm(p, p.mul(a, 2.0)), _norm(p, p.add(a, b)))
    arrays = [RNG.standard_normal((4, 3)), RNG.standard_normal((4, 3))]
    sites = find_sites(graph)
    origins = Origins(graph, sites, arrays)
    assert [origins.inputs(site) for site in sites] == [(a,), (a, b)]
    assert not any(origins.follows(site) for site in sites)
    np.testing.assert_allclose(origins.received(sites[0]), 2 * arrays[0])
    np.testing.assert_allclose(origins.received(sites[1]), sum(arrays))


def test_a_call_on_what_another_call_gave() -> None:
    p = Program()
    graph = p.outputs(_norm(p, p.relu(_norm(p, p.input(4, 3)))))
    sites = find_sites(graph)
    origins = Origins(graph, sites)
    assert [origins.follows(site) for site in sites] == [False, True]
    assert origins.received(sites[0]) is None  # no inputs were given
