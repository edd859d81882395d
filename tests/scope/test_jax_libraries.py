"""Haiku with its parameters; Equinox, with a state or without."""

from __future__ import annotations

import equinox as eqx
import haiku as hk
import jax
import numpy as np
import pytest

from normscope import SpecError
from normscope.scope import scope

X = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)


def batch_norm(x, is_training):  # type: ignore[no-untyped-def]
    x = hk.Linear(4)(x)
    if is_training:
        x = hk.dropout(hk.next_rng_key(), 0.5, x)
    return hk.BatchNorm(True, True, 0.9)(x, is_training)


def test_haiku() -> None:
    transformed = hk.transform_with_state(batch_norm)
    made = transformed.init(jax.random.PRNGKey(0), X, is_training=True)
    before = jax.tree.map(np.array, made)
    found = scope((transformed, *made), X)
    assert found.samples_independent == {"training": False, "inference": True}
    assert found.stochastic == {"training": True, "inference": False}
    assert found.first["training"] is None
    through = found.samples["training"].through  # told by its operators, not by watching
    assert through is not None
    assert (through.type, through.operator) == ("BatchNorm", "reduce_sum")
    with pytest.raises(SpecError, match=r"has no parameters; give \(transformed, params, state\)"):
        scope(transformed, X)
    assert jax.tree.all(jax.tree.map(np.array_equal, made, before))


def test_equinox_with_a_state_is_mapped() -> None:
    made = eqx.nn.make_with_state(eqx.nn.BatchNorm)(4, "batch", mode="batch")
    found = scope(made, X)
    assert found.samples_independent == {"training": False, "inference": True}
    assert any("mapped over the first 1 axis" in line for line in found.evidence)
    with pytest.raises(SpecError, match="mapped over one input"):
        scope(made, (X, X))


def test_equinox_is_called_with_its_input_as_it_is() -> None:
    """A module that takes a batch may mix its samples; mapped over them, it would not."""

    class Centred(eqx.Module):
        def __call__(self, x):  # type: ignore[no-untyped-def]
            return x - x.mean()

    assert scope(Centred(), X).samples_independent["inference"] is False
    assert scope(jax.vmap(Centred()), X).samples_independent["inference"] is True
    dropout = scope(eqx.nn.Dropout(0.5), X)
    assert dropout.stochastic == {"training": True, "inference": False}
    assert dropout.samples_independent == {"training": True, "inference": True}
