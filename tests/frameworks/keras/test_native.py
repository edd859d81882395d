"""The Keras 3 layers that are recommended compute what the spec says: they are run."""

from __future__ import annotations

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from normscope import NormSpec, explain, preset, reference, spec
from normscope.frameworks.keras.native import NOT_ON_TORCH, keras_layer
from strategies import cases, specs

CASES = [
    ("b [c h w]", "c"),
    ("b [h w c]", "c"),
    ("b [c h w]", "c h w"),
    ("b c [h w]", "c"),
    ("b [h w] c", "c"),
    ("b [c] h w", "c"),
    ("b h w [c]", "c"),
    ("b c h [w]", "w"),
    ("b c [h w]", "h w"),
    ("b [c]", "c"),
    ("b t [c]", "c"),
    ("b [t c]", "t c"),
    ("b (g [c]) [h w]", "g c"),
    ("b [h w] (g [c])", "g c"),
    ("[b] c [h w]", "c"),
    ("[b h w] c", "c"),
    ("[b] c", "c"),
]


def run(code: str, x: np.ndarray, scale: np.ndarray | None, bias: np.ndarray | None) -> np.ndarray:
    call = "(x, training=True)"
    layer = eval(code.removesuffix(call), {"keras": keras})
    layer.build(x.shape)
    for name, values in (("gamma", scale), ("scale", scale), ("beta", bias)):
        own = getattr(layer, name, None)
        if values is not None and hasattr(own, "assign"):
            own.assign(values.reshape(own.shape))
    training = {"training": True} if "Batch" in code else {}
    return np.asarray(keras.ops.convert_to_numpy(layer(x, **training)))


@pytest.mark.parametrize(("pattern", "names"), CASES)
@pytest.mark.parametrize("learned", [True, False])
def test_the_layer_computes_the_spec(pattern: str, names: str, learned: bool) -> None:
    stated = spec(
        pattern,
        sizes={"g": 3} if "g" in pattern else {},
        eps=1e-3,
        scale=names if learned else None,
        bias=names if learned else None,
    )
    check(stated, (4, 6, 5, 3)[: len(pattern.replace("(g [c])", "c").split())])


def check(stated: NormSpec, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(1, 2, shape).astype(np.float32)
    layout = stated.layout(shape)
    layer = keras_layer(stated, layout)
    if layer is None:  # without parameters there is no telling which axis holds the channels
        assert stated.scale is None
        return
    assert layer.difference == ""
    if layer.caution and keras.backend.backend() == "torch":
        return  # what happens there is tested by itself, below
    learned = {
        name: rng.normal(1, 0.3, [layout.known_sizes[i] for i in layout.named(axes)])
        for name, axes in (("scale", stated.scale), ("bias", stated.bias))
        if axes is not None
    }
    found = run(layer.code, x, learned.get("scale"), learned.get("bias"))
    np.testing.assert_allclose(
        found, reference(x, stated, **learned), rtol=1e-4, atol=1e-5, err_msg=layer.code
    )


@pytest.mark.filterwarnings("ignore:You passed `rms_scaling=True`")
@given(st.data())
@settings(max_examples=200)
def test_whatever_layer_is_named_for_a_random_spec_is_right(data: st.DataObject) -> None:
    case = data.draw(cases(max_rank=4))
    stated = data.draw(specs(case))
    layer = keras_layer(stated, stated.layout(case.shape))
    if layer is not None and not layer.difference:
        check(stated, case.shape)


ON_TORCH = """
import keras, numpy as np
x = np.random.default_rng(0).normal(size=(2, 5, 5, 5)).astype("float32")
y = keras.ops.convert_to_numpy({layer}(x))
print(*(abs(y.mean(axis)).max() < 1e-5 for axis in (1, 3)))
"""


@pytest.mark.parametrize(("backend", "printed"), [("jax", "True False"), ("torch", "False True")])
def test_the_caution_about_the_torch_backend_is_still_needed(backend: str, printed: str) -> None:
    stated = spec("b [c] h w", eps=1e-3, scale="c", bias="c")
    layer = keras_layer(stated, stated.layout((2, 5, 5, 5)))
    assert layer is not None
    assert layer.caution == NOT_ON_TORCH
    ran = subprocess.run(
        [sys.executable, "-c", ON_TORCH.format(layer=layer.code)],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == printed


@pytest.mark.parametrize("name", ["keras.RMSNormalization", "keras.UnitNormalization"])
def test_layers_without_a_mean(name: str) -> None:
    check(preset(name), (4, 5, 6))


def test_the_second_epsilon_of_keras_1_has_no_layer_today() -> None:
    mode1 = preset("keras1.BatchNormalization", mode=1)
    layer = keras_layer(mode1, mode1.layout((4, 5)))
    assert layer is not None
    assert layer.code == "keras.layers.LayerNormalization(axis=-1, epsilon=0.001)"
    assert layer.difference == (
        "it has epsilon inside the root only, so its outputs are larger: by 0.1 % where the "
        "variance is 1, by 3.2 % at most"
    )


@pytest.mark.parametrize("variance", [1e-12, 1e-3, 1.0])
def test_the_stated_difference_is_an_upper_bound(variance: float) -> None:
    x = np.array([[-1.0, 1.0]]) * np.sqrt(variance)
    ours = reference(x, NormSpec("b [c]", eps=1e-3, eps_outside=1e-3))
    theirs = reference(x, NormSpec("b [c]", eps=1e-3))
    assert 1 < np.max(theirs / ours) <= 1.032


def test_every_alternative_that_explain_names_is_right() -> None:
    for pattern in ("b c h [w]", "b [t] c", "[b] c"):
        shape = (4, 6, 5, 3)[: len(pattern.split())]
        others = explain(pattern, shape, eps=1e-3).alternatives
        assert others
        for other in others:
            assert other.keras is not None
            check(other.spec, shape)
