"""The normalization layers of Keras, on each backend in a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from keras_process import run_on_backend
from normscope import NormSpec, Running
from normscope.identify.compare import differences

pytestmark = pytest.mark.framework

SHAPE = (4, 5, 6, 8)
BOTH = {"scale": "c", "bias": "c"}

EXPECTED = {
    "batch": NormSpec("[b h w] c", eps=1e-3, running=Running(0.99), **BOTH),
    "batch, axis 1": NormSpec("[b] h [w c]", eps=1e-3, bias="h", running=Running(0.9)),
    "batch, frozen": NormSpec(None, eps=1e-3, running=Running(1.0), **BOTH),
    "layer": NormSpec("b h w [c]", eps=1e-3, **BOTH),
    "layer, scaled only": NormSpec("b h w [c]", eps=1e-3, center=False, scale="c"),
    "group": NormSpec("b [h w] (g [c])", sizes={"g": 4}, eps=1e-3, scale="g c", bias="g c"),
    "group, instance": NormSpec("b [h w] c", eps=1e-3, **BOTH),
    "rms": NormSpec("b h w [c]", eps=1e-6, center=False, measure="mean_square", scale="c"),
    "rms, last two": NormSpec(
        "b h [w c]", eps=1e-6, center=False, measure="mean_square", scale="w c"
    ),
    "unit": NormSpec("b h w [c]", eps=0, center=False, measure="l2", floor=1e-12),
    "unit, space": NormSpec("b [h w] c", eps=0, center=False, measure="l2", floor=1e-12),
    **dict.fromkeys(
        ["adapted", "adapted, one for all", "given statistics"],
        NormSpec(None, eps=0, floor=1e-7),
    ),
}

DECOYS = {"dense": "mixing", "dropout": "pointwise", "softmax": "mixing", "leaky relu": "pointwise",
          "spectral": "mixing"}  # fmt: skip


@pytest.mark.parametrize("backend", ["jax", "torch", "tensorflow"])
def test_keras_layers(backend: str) -> None:
    found = run_on_backend(Path(__file__).with_name("keras_layers.py"), backend)["found"]
    for name, expected in EXPECTED.items():
        result = found[name]
        assert result["train"] is not None, result
        train = NormSpec.from_dict(result["train"])
        assert not list(differences(expected, train, SHAPE)), result
        assert NormSpec.from_dict(result["infer"]) == expected.inference(), result
        assert result["headline"] == ""
    for name, kind in DECOYS.items():
        assert found[name]["kind"] == kind, found[name]
        assert found[name]["train"] is None
    renorm = found["renorm"]  # training is no normalization by the batch alone, inference is one
    assert renorm["train"] is None, renorm
    assert NormSpec.from_dict(renorm["infer"]) == NormSpec(None, eps=1e-3, **BOTH)
    assert (
        "inference: what is stored beside the mean is the standard deviation"
        in (renorm["evidence"])
    )
    for result in found.values():
        assert result["untouched"]
        assert result["calls"] <= 200
