"""What users are told to write instead exists, in their own framework."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

import numpy as np
import pytest

import normscope as ns
from normscope.frameworks.advice import Advice, WhereLengthsAreKnown
from normscope.frameworks.flax.advice import ADVICE as FLAX
from normscope.frameworks.jax.advice import ADVICE as JAX
from normscope.frameworks.keras.advice import ADVICE as KERAS
from normscope.frameworks.onnx.advice import ADVICE as ONNX
from normscope.frameworks.onnx.native import onnx_operator
from normscope.frameworks.onnx.presets import PRESETS
from normscope.frameworks.torch.advice import ADVICE as TORCH
from normscope.frameworks.torch.native import torch_layer
from normscope.notation.spec import NormSpec, spec

ALL = {"torch": TORCH, "keras": KERAS, "flax": FLAX, "onnx": ONNX, "jax": JAX}
LAYER = NormSpec("b [c]", scale="c", bias="c")


@pytest.mark.framework
@pytest.mark.parametrize("name", ALL)
def test_the_normalization_of_normscope_is_there(name: str) -> None:
    module, _, function = ALL[name].norm.rpartition(".")
    assert callable(getattr(import_module(module), function))


@pytest.mark.framework
@pytest.mark.parametrize(
    ("advice", "module"), [(TORCH, "torch.nn"), (KERAS, "keras.layers"), (FLAX, "flax.nnx")]
)
def test_layers_and_what_has_running_statistics_are_there(advice: Advice, module: str) -> None:
    home: Any = import_module(module)
    layer = advice.layer(LAYER, LAYER.layout((8, 4)))
    assert layer is not None
    assert hasattr(home, layer.class_name)
    words = re.findall(r"\w*BatchNorm\w*", advice.running_statistics)
    assert words
    assert all(hasattr(home, word) for word in words)


@pytest.mark.parametrize("name", ALL)
def test_every_advice_speaks_of_the_axis_and_of_the_path(name: str) -> None:
    advice = ALL[name]
    for axis in (1, 3):
        assert re.search(rf"\b{axis}\b", advice.channel_axis(axis))
    assert "blocks.0.conv" in advice.without_bias("blocks.0.conv")


def test_a_layer_whose_length_is_not_known_is_not_advised() -> None:
    layout = LAYER.layout((8, None))
    with pytest.raises(ns.ShapeError):
        torch_layer(LAYER, layout)
    assert WhereLengthsAreKnown(torch_layer)(LAYER, layout) is None


@pytest.mark.parametrize(
    ("stated", "shape"),
    [
        (PRESETS["onnx.BatchNormalization"](), (4, 6, 3, 3)),
        (PRESETS["onnx.InstanceNormalization"](), (4, 6, 3, 3)),
        (PRESETS["onnx.LayerNormalization"](), (4, 6)),
        (PRESETS["onnx.GroupNormalization"](num_groups=2), (4, 6, 3, 3)),
        (PRESETS["onnx.RMSNormalization"](), (4, 6)),
    ],
)
def test_an_operator_of_onnx_is_found_for_its_own_spec(
    stated: NormSpec, shape: tuple[int, ...]
) -> None:
    found = onnx_operator(stated, stated.layout(shape))
    assert found is not None
    preset = PRESETS[f"onnx.{found.name}"]
    arguments = {n: v for n, v in found.arguments.items() if n != "axis"}
    assert preset(**arguments) == stated
    assert not found.difference


@pytest.mark.parametrize(
    "stated",
    [
        spec("b c h [w]", scale="h", bias="h"),
        spec("[b] c h w"),
        spec("b c [h w]", center=False),
        spec("b h w [c]", scale="h"),
    ],
)
def test_onnx_has_no_operator_for_others(stated: NormSpec) -> None:
    assert onnx_operator(stated, stated.layout((4, 6, 3, 3))) is None
    assert np.isfinite(stated.eps)


def test_channels_last_are_whole_last_axes_for_onnx() -> None:
    stated = spec("b [h w c]", scale="h w c", bias="h w c")
    found = onnx_operator(stated, stated.layout((2, 3, 4, 5)))
    assert found is not None
    assert found.code == "LayerNormalization(axis=-3, epsilon=1e-05)"
