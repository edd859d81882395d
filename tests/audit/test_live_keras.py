"""Audits of Keras 3 models: the founding error in its modern form."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import normscope as ns


def net(data_format: str, axis: int) -> keras.Model:
    shape = (3, 8, 5) if data_format == "channels_first" else (8, 5, 3)
    inputs = keras.Input(shape)
    y = layers.Conv2D(6, 3, padding="same", data_format=data_format, name="conv")(inputs)
    y = layers.BatchNormalization(axis=axis, name="norm")(y)
    return keras.Model(inputs, layers.ReLU()(y))


@pytest.mark.parametrize(
    ("data_format", "axis", "fires"),
    [("channels_first", -1, True), ("channels_first", 1, False), ("channels_last", -1, False)],
)
def test_channels_first_and_the_default_axis(data_format: str, axis: int, fires: bool) -> None:
    audit = ns.audit(net(data_format, axis), select=["NS102"])  # it tells its shapes itself
    (site,) = audit.layers
    assert site.path == "norm"
    assert bool(audit.findings) is fires
    if fires:
        (finding,) = audit.findings
        assert "conv puts the channels on axis 1" in finding.message
        assert finding.fix.startswith("set axis=1")


def test_a_redundant_bias_is_told_in_the_words_of_keras() -> None:
    (finding,) = ns.audit(net("channels_last", -1), select=["NS401"]).findings
    assert finding.fix == "give conv use_bias=False"


def test_arrays_are_told_where_all_axes_are_as_long() -> None:
    """Six channels behind six rows and columns: which axis the statistics lie along is tried."""
    norm = keras.layers.BatchNormalization(name="bn")
    net = keras.Sequential([keras.Input((6, 6, 6)), norm])
    norm.set_weights([np.linspace(a, a + 1, 6) for a in (1, 2, 3, 4)])
    (site,) = ns.audit(net, np.random.default_rng(0).normal(size=(4, 6, 6, 6))).layers
    first = [float(site.arrays[role][0]) for role in ("scale", "bias", "running_mean")]
    assert first == [1, 2, 3]
