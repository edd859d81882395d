"""An audit of a live model as a copy, in another process or out of a file: without the model."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import numpy as np
import pytest

import normscope as ns
from normscope.audit.answering import no_answer


def of_torch() -> ns.Audit:
    import torch
    from torch import nn

    net = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.Dropout(0.3), nn.BatchNorm2d(8), nn.Flatten(), nn.LayerNorm(288)
    )
    return ns.audit(net, torch.randn(4, 3, 8, 8), independent="b")


def of_keras() -> ns.Audit:
    import keras
    from keras import layers

    net = keras.Sequential(
        [keras.Input((6,)), layers.Dense(4), layers.Dropout(0.3), layers.BatchNormalization()]
    )
    return ns.audit(net, np.ones((2, 6), np.float32))


def of_flax() -> ns.Audit:
    from flax import nnx

    net = nnx.Sequential(
        nnx.Linear(6, 4, rngs=nnx.Rngs(0)),
        nnx.Dropout(0.3, rngs=nnx.Rngs(0)),
        nnx.BatchNorm(4, rngs=nnx.Rngs(0)),
    )
    return ns.audit(net, np.ones((2, 6), np.float32))


@pytest.mark.framework
@pytest.mark.parametrize("audited", [of_torch, of_keras, of_flax])
def test_a_copy_tells_the_same_and_holds_no_model(audited: Callable[[], ns.Audit]) -> None:
    audit = audited()
    sent = pickle.dumps(audit)
    assert len(sent) < 100_000
    copy = pickle.loads(sent)
    assert (str(copy), copy.to_dict()) == (str(audit), audit.to_dict())
    assert all(site.probe is None and site.flow is None for site in copy.layers)
    assert any(site.probe is not None for site in audit.layers)  # which keeps its own
    site = next(site for site in copy.layers if site.around.dropped is not None)
    assert site.around.dropped.rate == 0.3
    assert site.around.receiving is no_answer
    assert str(pickle.loads(pickle.dumps(copy))) == str(audit)
