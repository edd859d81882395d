"""When two specs mean the same on one shape, whatever they call the axes."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from normscope import NormSpec
from normscope.reference import set_rows

PLAIN = [
    field.name
    for field in fields(NormSpec)
    if field.name not in ("pattern", "sizes", "scale", "bias", "running")
]


def sets(spec: NormSpec, shape: tuple[int, ...]) -> np.ndarray:
    """The number of the statistics set of each element, in order of first appearance."""
    places = set_rows(np.arange(np.prod(shape)).reshape(shape), spec.layout(shape))
    numbers = np.empty(np.prod(shape), int)
    numbers[places] = np.arange(len(places))[:, None]
    _, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].reshape(shape)


def parameter(spec: NormSpec, shape: tuple[int, ...], names: str | None) -> np.ndarray | None:
    """Which value of a parameter, counted flat, each element meets; None without the parameter."""
    if names is None:
        return None
    layout = spec.layout(shape)
    place = layout.place(layout.named(names))
    values = np.arange(np.prod(place.shape, dtype=int)).reshape(place.shape)
    values = values.transpose(place.order).reshape(place.broadcast)
    return np.broadcast_to(values, layout.known_sizes).reshape(shape)


def assert_same(found: NormSpec, wanted: NormSpec, shape: tuple[int, ...]) -> None:
    for name in PLAIN:
        assert getattr(found, name) == getattr(wanted, name), name
    if wanted.running is None:
        assert found.running is None
    else:
        assert found.running is not None
        assert found.running.ddof == wanted.running.ddof
        assert found.running.decay == pytest.approx(wanted.running.decay, abs=1e-15)
        assert found.running.plus_eps == wanted.running.plus_eps
    np.testing.assert_array_equal(sets(found, shape), sets(wanted, shape))
    for name in ("scale", "bias"):
        ours = parameter(found, shape, getattr(found, name))
        theirs = parameter(wanted, shape, getattr(wanted, name))
        assert (ours is None) == (theirs is None), name
        if ours is not None:
            np.testing.assert_array_equal(ours, theirs, err_msg=name)
