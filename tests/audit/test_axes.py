"""Along which axes the samples lie, and what axes are called, followed through a graph."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from normscope.audit.axes import Axes, Places
from normscope.graph.operators import Value
from normscope.graph.rules import Window
from programs import Program

SHAPE = (4, 3, 6, 5)
NAMES = ("b", "c", "h", "w")


def found(make: Callable[[Program, Value], Value], samples: int | None = 0) -> Axes:
    program = Program()
    x = program.input(*SHAPE)
    y = make(program, x)
    return Places(program.outputs(y), [NAMES], [samples]).of(y)


CASES: dict[str, tuple[Callable[[Program, Value], Value], tuple[str | None, ...], set[int]]] = {
    "elementwise": (lambda p, x: p.relu(p.add(x, 1.0)), NAMES, {0}),
    "broadcast": (lambda p, x: p.mul(x, np.ones((6, 1))), NAMES, {0}),
    "transpose": (lambda p, x: p.transpose(x, 0, 2, 3, 1), ("b", "h", "w", "c"), {0}),
    "samples moved": (lambda p, x: p.transpose(x, 1, 2, 0, 3), ("c", "h", "b", "w"), {2}),
    "positions merged": (lambda p, x: p.reshape(x, 4, 3, 30), ("b", "c", None), {0}),
    "samples merged": (lambda p, x: p.reshape(x, 12, 6, 5), (None, "h", "w"), {0}),
    "samples split": (lambda p, x: p.reshape(x, 2, 2, 3, 30), (None, None, "c", None), {0, 1}),
    "slice": (lambda p, x: p.slice(x, slice(None), slice(0, 2)), NAMES, {0}),
    "merged and apart again": (lambda p, x: p.reshape(p.reshape(x, 12, 30), *SHAPE), NAMES, {0}),
    "batch statistics": (lambda p, x: p.sub(x, p.mean(x, [0, 2, 3])), NAMES, {0}),
    "one index": (lambda p, x: p.slice(x, slice(None), 0), ("b", "h", "w"), {0}),
    "padded": (lambda p, x: p.pad(x, [(0, 0), (0, 0), (2, 2), (0, 0)]), NAMES, {0}),
    "flipped": (lambda p, x: p.flip(x, 2), NAMES, {0}),
    "concatenated": (lambda p, x: p.concat([x, p.relu(x)], 1), NAMES, {0}),
    "a mean": (lambda p, x: p.mean(x, [2, 3], keeps=False), ("b", "c"), {0}),
    "a pool": (lambda p, x: p.pool(x, 3, Window(2, 2)), NAMES, {0}),
    "a product": (lambda p, x: p.matmul(x, np.ones((5, 7))), ("b", "c", "h", None), {0}),
    "a normalization": (lambda p, x: p.layer_norm(x, [3]), NAMES, {0}),
}


@pytest.mark.parametrize("name", CASES)
def test_axes_are_followed(name: str) -> None:
    make, names, samples = CASES[name]
    assert found(make) == Axes(names, frozenset(samples))


def test_of_a_mean_over_the_samples_none_is_left() -> None:
    assert found(lambda p, x: p.mean(x, [0], keeps=False)) == Axes(("c", "h", "w"), None)


def test_behind_an_unknown_operator_nothing_is_known() -> None:
    axes = found(lambda p, x: p.relu(p.opaque(np.sort, x)))
    assert axes == Axes((None,) * 4, None)


def test_an_input_without_samples_has_none() -> None:
    assert found(lambda p, x: p.relu(x), samples=None).samples == frozenset()
