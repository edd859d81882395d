"""What to_keras, to_torch and to_flax say when they cannot, and what they need."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from frameworks.native_layers import weights
from normscope import MissingPackageError, NormSpec, Running, ShapeError, SpecError, preset, spec
from normscope.frameworks.flax.native import to_flax
from normscope.frameworks.keras.native import to_keras
from normscope.frameworks.torch.native import to_torch

ALL = pytest.mark.parametrize("to", [to_keras, to_torch, to_flax])


@ALL
def test_the_second_epsilon_of_keras_1(to: object) -> None:
    with pytest.raises(SpecError) as caught:
        to(preset("keras1.BatchNormalization", mode=1), (None, 5))  # type: ignore[operator]
    assert "by 0.1 % where the variance is 1, by 3.2 % at most" in str(caught.value)
    assert "the nearest is " in str(caught.value)
    assert "Layer" in str(caught.value)


@pytest.mark.parametrize(
    ("to", "stated", "words"),
    [
        (to_torch, spec("b [c] h w"), "torch normalize|normalize the last axes, or all axes but"),
        (to_torch, spec("b c [h w]", bias="c"), "only with a scale along c too"),
        (to_torch, spec("[b] c [h w]", running=Running(0.9)), "divided by N - 1 instead of N"),
        (to_keras, spec("[b] c h w"), "whole axes of each sample"),
        (to_keras, spec("[b] c [h w]"), r"call it as shown.*\n.*\(x, training=True\)"),
        (to_keras, spec("b [c h w]", scale="c", bias="h"), "only without the bias"),
        (to_keras, spec("b [c]  h w", running=Running(0.9)), "only without running statistics"),
        (to_flax, spec("b (g [c]) [h w]", g=2), "groups of neighbours on the last axis"),
        (to_flax, spec("b [c] h w", scale="c", scale_shift=1), "add 1 to the stored values"),
        (to_flax, spec("b [c] h w", center=False), "only for mean and variance"),
        (to_flax, spec("b [c] h w", measure="none"), r"write x - x.mean\(1, keepdims=True\)"),
        (to_torch, spec("[b] c [h w]", measure="none"), r"write x - x.mean\(\(0, 2, 3\), keepdims"),
        (to_keras, spec("b (g [c]) [h w]", g=2, measure="none"), "divide by something, too\n"),
        (to_torch, spec("b c [h w]", eps=0, unit_below=0), "no guard, by which a divisor of 0"),
        (to_keras, spec("b [c] h w", unit_below=0.1), "a divisor of less than 0.1 becomes 1"),
        (
            to_keras,
            spec("b [c] h w", center=False, measure="l2", eps=0, unit_below=0),
            "its least divisor is 1e-12",
        ),
        (
            to_torch,
            spec("[b] c [h w]", running=Running(0.9, ddof=1, deviation=True)),
            "not a deviation",
        ),
    ],
)
def test_the_reason_and_the_nearest(to: object, stated: NormSpec, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        to(stated, (2, 4, 3, 5))  # type: ignore[operator]


@pytest.mark.framework
@ALL
def test_lengths_that_are_not_known(to: object) -> None:
    layer = spec("b h [c]", scale="c", bias="c")
    to(layer, (None, None, 4))  # type: ignore[operator]
    with pytest.raises(ShapeError, match="the length of axis 2 must be known here"):
        to(layer, (2, 3, None))  # type: ignore[operator]


@pytest.mark.framework
@ALL
def test_weights_in_another_shape_or_of_another_name(to: object) -> None:
    layer = spec("b [h c]", scale="h c")
    values = np.arange(6.0)
    for given in (values, values.reshape(2, 3), list(values)):
        own = weights(to(layer, (None, 2, 3), weights={"scale": given}))  # type: ignore[operator]
        np.testing.assert_array_equal(own["scale"].ravel(), values)
    with pytest.raises(ShapeError, match="scale needs 6 values"):
        to(layer, (None, 2, 3), weights={"scale": [1, 2]})  # type: ignore[operator]
    with pytest.raises(SpecError, match="has no 'gamma'; its weights are scale"):
        to(layer, (None, 2, 3), weights={"gamma": values})  # type: ignore[operator]


@pytest.mark.framework
def test_running_statistics_come_in_pairs() -> None:
    batch = spec("[b] c", running=Running(0.9, ddof=1))
    with pytest.raises(SpecError, match="belong together"):
        to_torch(batch, (None, 3), weights={"mean": np.zeros(3)})


@pytest.mark.parametrize(
    ("to", "name"), [(to_keras, "keras"), (to_torch, "torch"), (to_flax, "flax.nnx")]
)
def test_a_framework_that_is_not_installed(
    to: object, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingPackageError, match="pip install"):
        to(spec("b [c]"), (None, 3))  # type: ignore[operator]


def test_no_framework_is_imported_before_it_is_needed() -> None:
    code = (
        "import normscope, sys\n"
        "print(*({'torch', 'keras', 'jax', 'flax', 'tensorflow'} & set(sys.modules)))\n"
        "normscope.to_torch(normscope.spec('b [c]'), (None, 3))\n"
        "print(*({'torch', 'keras', 'jax', 'flax', 'tensorflow'} & set(sys.modules)))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split("\n")[:2] == ["", "torch"]
