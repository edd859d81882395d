"""A site as a function of x, with everything else as it was and its arrays open."""

from __future__ import annotations

import numpy as np

from normscope.graph.extract import Extracted
from normscope.graph.operators import Value
from normscope.graph.sites import find_sites
from programs import Array, Program

RNG = np.random.default_rng(0)


def _norm(x: Array, axes: tuple[int, ...], eps: float = 1e-5) -> Array:
    mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return np.asarray((x - mean) / np.sqrt(var + eps))


def _extracted(p: Program, y: Value) -> Extracted:
    graph = p.outputs(y)
    (site,) = find_sites(graph)
    return Extracted(graph, site)


def _by_hand(p: Program, x: Value, mean: Value, var: Value, scale: Value) -> Value:
    return p.mul(p.mul(p.sub(x, mean), p.rsqrt(p.add(var, 1e-5))), scale)


def test_it_runs_on_other_numbers_and_shapes() -> None:
    p = Program()
    x = p.input(4, 6, 8)
    site = _extracted(
        p, _by_hand(p, x, p.mean(x, [-1]), p.var(x, [-1]), p.constant(np.ones(8), "w"))
    )
    for shape in ((4, 6, 8), (2, 3, 8)):
        numbers = RNG.standard_normal(shape)
        np.testing.assert_allclose(site(numbers), _norm(numbers, (-1,)))


def test_its_arrays_are_copies_and_can_be_written() -> None:
    p = Program()
    x = p.input(4, 8)
    held = np.zeros(8)
    factor = p.add(1.0, p.constant(held, "w"))
    site = _extracted(p, _by_hand(p, x, p.mean(x, [-1]), p.var(x, [-1]), factor))
    assert list(site.arrays()) == ["w"]
    numbers = RNG.standard_normal((4, 8))
    before = site(numbers)
    site.write("w", np.full(8, 2.0))
    np.testing.assert_allclose(site(numbers), 3 * before)  # what is made of it is made anew
    assert not held.any()


def test_a_sum_divided_by_its_count_stays_a_mean_at_other_shapes() -> None:
    p = Program()
    x = p.input(4, 6)
    mean = p.div(p.sum(x, [0]), 4.0)
    d = p.sub(x, mean)
    var = p.mul(p.sum(p.square(d), [0]), 0.25)
    site = _extracted(p, p.mul(d, p.rsqrt(p.add(var, 1e-5))))
    numbers = RNG.standard_normal((7, 3))
    np.testing.assert_allclose(site(numbers), _norm(numbers, (0,)))


def test_an_epsilon_that_has_a_name_is_no_parameter() -> None:
    p = Program()
    x = p.input(4, 6)
    eps, two = p.constant(1e-5, "eps"), p.constant(2.0, "two")
    d = p.sub(x, p.mean(x, [-1]))
    power = p.elementwise("pow", p.square(d).node.role, np.power, d, two)  # type: ignore[union-attr]
    site = _extracted(p, p.div(d, p.sqrt(p.add(p.mean(power, [-1]), eps))))
    assert site.names() == ()


def test_live_values_from_elsewhere_stand_still() -> None:
    p = Program()
    x, s = p.input(4, 6), p.input(4, 1, name="s")
    factor = p.mul(p.rsqrt(p.add(p.mean(p.square(x), [-1]), 1e-5)), s)
    graph = p.outputs(p.mul(x, factor))
    (site,) = find_sites(graph)
    made, numbers = Extracted(graph, site), RNG.standard_normal((4, 6))
    np.testing.assert_array_equal(made(numbers), made(numbers))
    assert made.made_up == [s]
    np.testing.assert_array_equal(
        made(numbers), Extracted(graph, site)(numbers)
    )  # a seed says them
    given = Extracted(graph, site, {s: np.full((4, 1), 5.0)})
    root = np.sqrt((numbers**2).mean(-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(given(numbers), 5 * numbers / root)
    assert given.made_up == []
