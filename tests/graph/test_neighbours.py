"""What stands around a site: who makes its channels, on which axis, with a bias or not."""

from __future__ import annotations

import numpy as np
import pytest

from normscope.graph.neighbours import MOST_MAKERS, Neighbours, neighbours
from normscope.graph.operators import Value
from normscope.graph.rules import Window
from normscope.graph.sites import find_sites
from programs import Program

RNG = np.random.default_rng(0)


def _around(p: Program, *outputs: Value) -> list[Neighbours]:
    graph = p.outputs(*outputs)
    return neighbours(graph, [site for site in find_sites(graph) if not site.dismissed])


def _conv(p: Program, x: Value, channels: int = 8, name: str = "kernel") -> Value:
    """A convolution of (n, c, t) to as many positions."""
    kernel = p.constant(RNG.standard_normal((channels, x.shape[1], 1)), name)
    return p.conv1d(x, kernel, Window(1))


def test_a_convolution_just_before() -> None:
    p = Program()
    y = p.layer_norm(_conv(p, p.input(4, 3, 5)), [0, 2])
    (around,) = _around(p, y)
    (maker,) = around.makers
    assert (maker.channel_axis, maker.adds_bias, maker.direct, maker.sole) == (1, False, True, True)
    assert around.is_output
    assert not around.users


@pytest.mark.parametrize("broadcast", [False, True])
def test_a_bias_that_is_added_apart_is_its_own(broadcast: bool) -> None:
    p = Program()
    bias = p.constant(RNG.standard_normal(8), "bias")
    bias = p.reshape(bias, 8, 1)
    bias = p.expand(bias, 4, 8, 5) if broadcast else bias
    (around,) = _around(p, p.layer_norm(p.add(_conv(p, p.input(4, 3, 5)), bias), [0, 2]))
    assert around.makers[0].adds_bias
    assert around.makers[0].direct
    assert not around.between


def test_what_is_added_along_another_axis_is_no_bias() -> None:
    p = Program()
    shift = p.constant(RNG.standard_normal(5), "positions")
    (around,) = _around(p, p.layer_norm(p.add(_conv(p, p.input(4, 3, 5)), shift), [0, 2]))
    assert not around.makers[0].adds_bias
    assert not around.makers[0].direct


def test_an_activation_stands_between() -> None:
    p = Program()
    (around,) = _around(p, p.layer_norm(p.relu(_conv(p, p.input(4, 3, 5))), [0, 2]))
    assert not around.makers[0].direct
    assert [node.operator for node in around.between] == ["relu"]


def test_the_channels_are_followed_through_moves() -> None:
    p = Program()
    moved = p.transpose(p.reshape(_conv(p, p.input(4, 3, 6)), 4, 8, 2, 3), 0, 2, 3, 1)
    (around,) = _around(p, p.layer_norm(moved, [-1]))
    assert around.makers[0].channel_axis == 3
    assert around.makers[0].direct


def test_channels_that_are_merged_with_positions_are_nowhere() -> None:
    p = Program()
    (around,) = _around(p, p.layer_norm(p.reshape(_conv(p, p.input(4, 3, 6)), 4, 48), [-1]))
    assert around.makers[0].channel_axis is None


def test_through_a_concatenation_each_maker_is_told() -> None:
    p = Program()
    x = p.input(4, 3, 5)
    parts = [_conv(p, x, 8, "one"), _conv(p, x, 4, "other")]
    (around,) = _around(p, p.layer_norm(p.concat(parts, 1), [0, 2]))
    assert [maker.channel_axis for maker in around.makers] == [1, 1]
    assert not any(maker.direct for maker in around.makers)


def test_what_others_read_too_is_not_alone() -> None:
    p = Program()
    made = _conv(p, p.input(4, 3, 5))
    (around,) = _around(p, p.layer_norm(made, [0, 2]), p.relu(made))
    assert not around.makers[0].sole


def test_what_others_read_before_the_bias_is_not_alone_either() -> None:
    p = Program()
    made = _conv(p, p.input(4, 3, 5))
    biased = p.add(made, p.constant(RNG.standard_normal((8, 1)), "bias"))
    (around,) = _around(p, p.layer_norm(biased, [0, 2]), p.relu(made))
    assert around.makers[0].direct
    assert not around.makers[0].sole


def test_numbers_that_are_used_twice_must_be_alone_twice() -> None:
    p = Program()
    x = p.input(4, 3, 5)
    kernel = p.constant(RNG.standard_normal((8, 3, 1)), "kernel")
    first, second = (p.conv1d(v, kernel, Window(1)) for v in (x, p.flip(x, 0)))
    (around,) = _around(p, p.layer_norm(first, [0, 2]), p.relu(second))
    assert not around.makers[0].sole
    p = Program()
    x = p.input(4, 3, 5)
    first, second = (p.conv1d(v, kernel, Window(1)) for v in (x, p.flip(x, 0)))
    both = _around(p, p.layer_norm(first, [0, 2]), p.layer_norm(second, [0, 2]))
    assert all(around.makers[0].sole for around in both)


def test_through_other_sites_and_residual_branches() -> None:
    p = Program()
    x = _conv(p, p.input(4, 3, 5), 8, "stem")
    for number in range(6):
        x = p.add(x, _conv(p, p.layer_norm(x, [0, 2]), 8, f"kernel{number}"))
    around = _around(p, p.layer_norm(x, [0, 2]))
    assert len(around[-1].makers) == MOST_MAKERS
    assert around[-1].more
    assert {maker.channel_axis for one in around for maker in one.makers} == {1}


def test_users_are_found_behind_moves() -> None:
    p = Program()
    y = p.layer_norm(p.input(4, 3, 5), [-1])
    (around,) = _around(p, p.relu(p.transpose(y, 0, 2, 1)))
    assert [node.operator for node in around.users] == ["relu"]
    assert not around.is_output
