"""Pieces of an array cover it once, each with the sets that are its own."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from normscope.engine.pieces import at_boundaries, cut, lengths
from normscope.notation.spec import NormSpec, spec
from normscope.reference import set_rows
from strategies import cases


def set_numbers(stated: NormSpec, shape: tuple[int, ...]) -> np.ndarray:
    """The number of the set that each element belongs to."""
    places = set_rows(np.arange(math.prod(shape)).reshape(shape), stated.layout(shape))
    found = np.empty(math.prod(shape), int)
    found[places] = np.arange(len(places))[:, None]
    return found.reshape(shape)


@given(cases(), st.data())
def test_pieces_cover_all_sets_once(case: object, data: st.DataObject) -> None:
    stated, shape = spec(case.pattern, **case.sizes), case.shape  # type: ignore[attr-defined]
    layout = stated.layout(shape)
    most = [data.draw(st.integers(1, max(1, size))) for size in shape]
    numbers = set_numbers(stated, shape)
    of_sets = np.arange(layout.num_sets).reshape([layout.known_sizes[i] for i in layout.kept])
    seen = np.zeros(shape, int)
    for piece in cut(layout, most):
        part = numbers[piece.index]
        seen[piece.index] += 1
        assert piece.layout.shape == part.shape
        assert all(n <= limit for n, limit in zip(part.shape, most, strict=True))
        own = of_sets[piece.place].reshape(-1, 1)
        assert (set_rows(part, piece.layout) == own).all()
    assert (seen == 1).all()


@pytest.mark.parametrize("itemsize", [1, 4, 8])
@pytest.mark.parametrize("chunk", [None, (7, 4, 5), (1, 1, 1), (100, 100, 100)])
@pytest.mark.parametrize("order", [None, (2, 0, 1)])
def test_lengths_are_whole_chunks_of_little_memory(
    itemsize: int, chunk: tuple[int, ...] | None, order: tuple[int, ...] | None
) -> None:
    shape = (50, 30, 20)
    for most in (10, 500, 5000, 10**6):
        found = lengths(shape, itemsize, most, chunk, order)
        nbytes = math.prod(found) * itemsize
        one = math.prod(min(n, size) for n, size in zip(chunk or (1, 1, 1), shape, strict=True))
        assert nbytes <= max(2 * most, one * itemsize)
        for length, size, n in zip(found, shape, chunk or (1, 1, 1), strict=True):
            assert length == size or length % n == 0
    assert lengths(shape, itemsize, 10**6, chunk, order) == shape


def test_given_boundaries_are_kept() -> None:
    (axis,) = spec("[b]").layout((6,)).parts(0)
    found = list(at_boundaries((axis,), (1, 5)))
    assert found == [(slice(0, 1), (slice(0, 1),)), (slice(1, 6), (slice(1, 6),))]
