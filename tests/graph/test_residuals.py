"""Residual additions: what the skip is, with which normalizations a branch begins and ends."""

from __future__ import annotations

import numpy as np
import pytest

from normscope.graph.dropouts import Dropouts
from normscope.graph.operators import Value
from normscope.graph.residuals import Residuals
from normscope.graph.rules import Window
from normscope.graph.sites import Site, find_sites
from programs import Program

RNG = np.random.default_rng(0)


def _residuals(p: Program, *outputs: Value) -> tuple[Residuals, tuple[Site, ...]]:
    graph = p.outputs(*outputs)
    sites = find_sites(graph)
    return Residuals(graph, sites, Dropouts(graph)), sites


def _f(p: Program, x: Value) -> Value:
    """A convolution of (n, c, t) to as many channels, with an activation."""
    kernel = p.constant(RNG.standard_normal((x.shape[1], x.shape[1], 1)), "kernel")
    return p.relu(p.conv1d(x, kernel, Window(1)))


def _norm(p: Program, x: Value) -> Value:
    return p.layer_norm(x, [1])


def test_a_block_that_normalizes_first() -> None:
    p = Program()
    x = p.input(4, 3, 5)
    found, (norm,) = _residuals(p, p.add(x, _f(p, _norm(p, x))))
    (one,) = found.additions
    assert one.skip is x
    assert one.begins == (norm,)
    assert (one.raw, one.learned, one.ends, one.skip_site) == (False, True, None, None)
    assert found.begins_branch(norm)
    assert not found.carries_on(norm)


def test_a_skip_that_carries_what_is_normalized() -> None:
    p = Program()
    y = _norm(p, p.input(4, 3, 5))
    found, (norm,) = _residuals(p, p.add(_f(p, y), y))
    (one,) = found.additions
    assert one.skip_site is norm
    assert found.carries_on(norm)
    assert not found.begins_branch(norm)


@pytest.mark.parametrize("scaled", [True, False])
def test_a_branch_that_ends_with_a_normalization(scaled: bool) -> None:
    p = Program()
    x = p.input(4, 3, 5)
    y = _norm(p, _f(p, x))
    y = p.mul(y, RNG.standard_normal((3, 1))) if scaled else y
    found, (norm,) = _residuals(p, p.add(x, y))
    assert found.additions[0].ends is norm
    assert found.ends_branch(norm)


def test_no_branch_ends_behind_an_activation() -> None:
    p = Program()
    x = p.input(4, 3, 5)
    found, (norm,) = _residuals(p, p.add(x, p.relu(_norm(p, _f(p, x)))))
    assert not found.ends_branch(norm)


def test_two_branches_of_one_value() -> None:
    p = Program()
    x = p.input(4, 3, 5)
    y = _norm(p, x)
    found, (norm,) = _residuals(p, p.add(p.add(x, _f(p, y)), _f(p, y)))
    assert [one.skip for one in found.additions] == [x, x]
    assert all(one.begins == (norm,) for one in found.additions)


def test_a_sum_of_strangers_is_none() -> None:
    p = Program()
    found, _ = _residuals(p, p.add(_f(p, p.input(4, 3, 5)), _f(p, p.input(4, 3, 5))))
    assert found.additions == ()


@pytest.mark.parametrize("normalized", [True, False])
def test_where_a_stream_ends(normalized: bool) -> None:
    p = Program()
    x = p.input(4, 3, 5)
    for _ in range(2):
        x = p.add(x, _f(p, _norm(p, x)))
    last = x.node
    x = _norm(p, x) if normalized else x
    found, _ = _residuals(p, _f(p, p.mean(x, [2])))
    ends = list(found.unnormalized_ends())
    assert [one.last.node for one in ends] == ([] if normalized else [last])
    assert all(one.head is not None and one.head.operator == "conv1d" for one in ends)


def test_a_normalization_of_what_was_normalized() -> None:
    p = Program()
    first = _norm(p, p.input(4, 3, 5))
    second = _norm(p, p.mul(first, 2.0))
    found, sites = _residuals(p, _norm(p, p.relu(second)))
    assert [found.previous(site) for site in sites] == [None, sites[0], None]


def test_the_layer_that_holds_norm_and_sum() -> None:
    p = Program()
    x = _f(p, p.input(4, 3, 5))
    with p.layer("block", "Block") as block:
        y = _norm(p, x)
        total = p.add(y, _f(p, y))
    block.inputs, block.outputs = (x,), (total,)
    found, _ = _residuals(p, total)
    (one,) = found.additions
    assert one.block is block
    assert (one.enters, one.leaves) == (True, True)
