"""What a caller may state a normalization by: alike in every verb."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import normscope as ns
from normscope.errors import SpecError

X = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
STATS = ns.normalize(X, "b [c]", return_stats=True)[1]

pytestmark = pytest.mark.framework

VERBS: dict[str, Callable[..., Any]] = {
    "normalize": lambda s, **k: ns.normalize(X, s, **k),
    "reference": lambda s, **k: ns.reference(X, s, **k),
    "fit": lambda s, **k: ns.fit(s, X, **k),
    "gradients": lambda s, **k: ns.gradients(X, X, s, mean=STATS.mean, rstd=STATS.rstd, **k).x,
    "explain": lambda s, **k: ns.explain(s, X.shape, **k),
    "to_torch": lambda s, **k: ns.to_torch(s, X.shape, **k),
    "to_keras": lambda s, **k: ns.to_keras(s, X.shape, **k),
    "to_flax": lambda s, **k: ns.to_flax(s, X.shape, **k),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("stated", ["torch.LayerNorm(8)", "keras.LayerNormalization()", "b [c]"])
def test_a_layer_by_name_is_its_spec(verb: str, stated: str) -> None:
    one, other = VERBS[verb](stated), VERBS[verb](ns.spec_of(stated))
    if isinstance(one, np.ndarray):
        np.testing.assert_array_equal(one, other)
    elif verb == "fit":
        np.testing.assert_array_equal(one.var, other.var)
    else:
        assert type(one) is type(other)


@pytest.mark.parametrize("verb", VERBS)
def test_fields_go_with_a_pattern(verb: str) -> None:
    one, other = VERBS[verb]("b [c]", eps=1e-2), VERBS[verb](ns.spec("b [c]", eps=1e-2))
    if isinstance(one, np.ndarray):
        np.testing.assert_array_equal(one, other)
    for stated in ("torch.LayerNorm(8)", ns.spec("b [c]")):
        with pytest.raises(SpecError, match="eps"):
            VERBS[verb](stated, eps=1e-2)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ("torch.LayerNorm(8", "parenthesis is open"),
        ("torch.LayrNorm(8)", "torch.LayerNorm"),
        ("bacth", "did you mean batch"),
        ("layer norm", "torch.LayerNorm"),
        ("LayerNorm(8)", '"torch.LayerNorm"'),
        ("model.py:Net()", 'normscope identify "model.py:Net()"'),
        ("torch.nn:LayerNorm(8)", '"torch.nn.LayerNorm(8)"'),
        ("model.onnx", "normscope scope"),
        ("torch.LayerNorm(n)", "plain values"),
        ("torch.LayerNorm 8", "plain values"),
        (dict, "dict("),
        (3, "not 3"),
    ],
)
def test_what_cannot_be_stated_names_a_way_on(verb: str, stated: Any, said: str) -> None:
    if verb == "explain" and stated == 3:
        said = "cannot be read"
    with pytest.raises(SpecError) as error:
        VERBS[verb](stated)
    assert said in str(error.value)


@pytest.mark.parametrize("verb", VERBS)
def test_a_class_is_not_its_instance(verb: str) -> None:
    import torch

    with pytest.raises(SpecError, match=r"write LayerNorm\(normalized_shape=\.\.\.\)"):
        VERBS[verb](torch.nn.LayerNorm)


@pytest.mark.parametrize("verb", ["normalize", "reference", "fit", "to_keras"])
def test_a_layer_itself_is_read_by_spec_of(verb: str) -> None:
    """Its weights would be forgotten."""
    import torch

    with pytest.raises(SpecError, match=r"spec_of\(layer\)"):
        VERBS[verb](torch.nn.LayerNorm(8))


def test_weights_of_a_bare_pattern_run_along_c() -> None:
    layer = ns.to_torch("b [c]", (None, 3), weights={"scale": [1.0, 2, 3], "bias": [4.0, 5, 6]})
    assert layer.weight.tolist() == [1, 2, 3]
    assert layer.bias.tolist() == [4, 5, 6]


def test_a_layer_of_its_own_points_to_identify() -> None:
    class Own:
        def __call__(self, x):  # type: ignore[no-untyped-def]
            return x

    for verb in (ns.spec_of, lambda layer: ns.explain(layer, (2, 3))):
        with pytest.raises(SpecError, match=r"identify\(layer, shape\)"):
            verb(Own())


def test_the_fast_path_knows_a_layer_by_name() -> None:
    from normscope.engine import forward_call

    ns.normalize(X, "torch.LayerNorm(8)")
    assert any(key[0] == "torch.LayerNorm(8)" for key in forward_call._calls)


@pytest.mark.parametrize("home", ["keras", "jax"])
def test_the_layer_norm_takes_a_layer_by_name(home: str) -> None:
    from importlib import import_module

    from flax import nnx

    norm = import_module(f"normscope.layers.{home}").Norm
    rngs = {"rngs": nnx.Rngs(0)} if home == "jax" else {}
    stated = "torch.GroupNorm(2, 8)"
    assert norm(stated, **rngs).spec == ns.spec_of(stated)
    with pytest.raises(SpecError, match="parenthesis is open"):
        norm("torch.GroupNorm(2, 8", **rngs)


def test_arguments_that_changed_places() -> None:
    for ask in (lambda: ns.normalize("b [c]", X), lambda: ns.fit(X, "[b] c")):  # type: ignore[call-overload]
        with pytest.raises(SpecError, match=r"changed places\? It is normalize\(x, pattern\)"):
            ask()


@pytest.mark.parametrize(
    ("shape", "said"),
    [(X, "write x.shape"), ("2,3", "not '2,3'"), (8, "not 8"), (None, "not None")],
)
def test_what_is_no_shape(shape: Any, said: str) -> None:
    for ask in (lambda: ns.explain("b [c]", shape), lambda: ns.identify(np.tanh, shape)):
        with pytest.raises(ns.ShapeError) as error:
            ask()
        assert said in str(error.value)
        assert "shape = ()" not in str(error.value)


def test_a_shape_is_not_an_input() -> None:
    with pytest.raises(SpecError, match=r"normal\(size=\(8, 4\)\)"):
        ns.scope(np.tanh, (8, 4))
