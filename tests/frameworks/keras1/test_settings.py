from __future__ import annotations

import pytest

from normscope import NormSpec, PatternError, SpecError, spec_of
from normscope.frameworks.expression import is_layer_expression
from normscope.frameworks.settings import declare


@pytest.mark.parametrize(
    ("release", "eps", "eps_outside", "decay"),
    [
        ("1.0.0", 0, 1e-6, 0.9),
        ("1.0.4", 0, 1e-6, 0.9),
        ("1.0.5", 1e-6, 1e-6, 0.9),
        ("1.0.6", 1e-6, 1e-6, 0.9),
        ("1.0.7", 1e-6, 1e-6, 0.99),
        ("1.0.8", 1e-5, 1e-5, 0.99),
        ("1.1.2", 1e-5, 1e-5, 0.99),
        ("1.2.0", 1e-3, 1e-3, 0.99),
        ("1.2.2", 1e-3, 1e-3, 0.99),
    ],
)
def test_keras_1_changed_its_formula_and_defaults(
    release: str, eps: float, eps_outside: float, decay: float
) -> None:
    mode1 = spec_of(f"keras1.BatchNormalization(mode=1, release='{release}')")
    assert (mode1.eps, mode1.eps_outside) == (eps, eps_outside)
    mode0 = spec_of(f"keras1.BatchNormalization(mode=0, release='{release}')")
    assert mode0.running is not None
    assert (mode0.eps, mode0.running.decay) == (eps_outside, decay)


def test_a_configuration_as_keras_1_writes_it() -> None:
    layer = {
        "class_name": "BatchNormalization",
        "config": {"mode": 0, "axis": 1, "epsilon": 1e-4, "momentum": 0.8, "name": "bn"},
        "keras_version": "1.2.2",
    }
    assert str(spec_of(layer, axes="b c h w")) == (
        '"[b] c [h w]", eps=0.0001, scale and bias along c, running decay 0.8 (torch momentum 0.2)'
    )
    assert spec_of(layer["config"]).pattern == "[b] c [s...]"


def test_mode_1_is_declared_with_what_its_documentation_says() -> None:
    declaration = declare("BatchNormalization(mode=1)")
    assert declaration.documented == "b [c]"
    assert "assumes a 2D input" in declaration.documented_words
    assert declaration.infer == declaration.train


@pytest.mark.parametrize("mode", ["1.0", "True"])
def test_numbers_that_keras_1_takes_for_1(mode: str) -> None:
    assert spec_of(f"BatchNormalization(mode={mode})").pattern == "... [c]"


@pytest.mark.parametrize(
    ("expression", "pattern"),
    [
        ("batch", "[b...] c"),
        ("torch.nn.BatchNorm2d(64)", "[b] c [h w]"),
        ("torch.LayerNorm((56, 56))", "... [d0 d1]"),
        ("GroupNorm(num_groups=2)", None),
        ("RMSNorm(8)", None),
        ("keras.layers.UnitNormalization()", "... [c]"),
        ("LayerNorm", None),
    ],
)
def test_expressions(expression: str, pattern: str | None) -> None:
    if pattern is None:
        with pytest.raises(SpecError, match="which one"):
            spec_of(expression)
    else:
        assert spec_of(expression).pattern == pattern


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os').system('true')",
        "BatchNormalization(mode=__import__('os'))",
        "BatchNormalization(mode=7)",
        "BatchNormalization(mode=1, axis='x')()",
        "BatchNormalization(mode=1, nonsense=2)",
        "BatchNormalization(1, mode=1)",
        "keras1.BatchNormalization(mode=0, axis=0)",
        "keras1.BatchNormalization(mode=1, release='2.0.0')",
        "keras1.BatchNormalization(mode=1, release=1)",
        "keras1.BatchNormalization(mode=1, epsilon=-1)",
        "keras1.BatchNormalization(mode=1, backend='mxnet')",
        "torch.GroupNorm()",
        "torch.GroupNorm(3, 8)",
        "torch.GroupNorm('a')",
        "torch.BatchNorm2d(8, momentum='x')",
        "torch.BatchNorm2d(8, momentum=None)",
        "torch.LayerNorm(foo=1)",
        "batsh",
        "lambda: 0",
        "[1, 2]",
        "f(**{'a': 1})",
        "(" * 500,
        "",
    ],
)
def test_what_is_no_layer_is_refused_and_never_run(expression: str) -> None:
    with pytest.raises(SpecError):
        spec_of(expression)


@pytest.mark.parametrize(
    "layer", [3, None, object(), {"class_name": "Dense", "config": {}}, {"config": 3}]
)
def test_other_objects_are_refused(layer: object) -> None:
    with pytest.raises(SpecError):
        spec_of(layer)


def test_a_spec_declares_itself() -> None:
    stated = NormSpec("b [c]")
    assert spec_of(stated) is stated


@pytest.mark.parametrize("text", ["b [c]", "[b...] c", "... [c]", "b (g [c])", "c"])
def test_patterns_are_not_taken_for_layers(text: str) -> None:
    assert not is_layer_expression(text)


def test_a_wrong_pattern_is_not_taken_for_a_layer() -> None:
    from normscope import explain

    with pytest.raises(PatternError):
        explain("b [c", shape=(2, 3))
