"""What users of Keras 1 are told to write exists, in Keras 1 and in Keras 3."""

from __future__ import annotations

from importlib import import_module

import keras

from normscope.frameworks.keras1.advice import ADVICE
from normscope.frameworks.keras1.settings import keras1_batch_normalization
from normscope.notation.spec import NormSpec


def test_the_layer_of_normscope_takes_the_pattern() -> None:
    module, _, name = ADVICE.norm.rpartition(".")
    layer = getattr(import_module(module), name)
    assert layer("b [c]")


def test_the_layers_of_keras_3_are_there() -> None:
    assert f"today's {keras.layers.BatchNormalization.__name__}" == ADVICE.running_statistics
    assert ADVICE.framework == f"Keras {keras.__version__.split('.')[0]}"
    spec = NormSpec("b [c]")
    layer = ADVICE.layer(spec, spec.layout((8, 4)))
    assert layer is not None
    assert isinstance(getattr(keras.layers, layer.class_name)(**layer.arguments), keras.Layer)


def test_the_axis_of_the_channels_is_the_one_kept_apart() -> None:
    name, _, axis = ADVICE.channel_axis(1).removeprefix("set ").partition("=")
    stated = keras1_batch_normalization({name: int(axis)}, axes="b c h w")
    assert stated.train.pattern == "[b] c [h w]"


def test_the_layer_without_a_bias_is_named() -> None:
    assert ADVICE.without_bias("dense_1") == "give dense_1 bias=False"
