"""A text that is nearly a pattern or a layer."""

from __future__ import annotations

import pytest

from normscope import PatternError, SpecError, preset, spec, spec_of
from normscope.frameworks.text import from_text


@pytest.mark.parametrize(
    ("text", "closed"),
    [
        ("torch.LayerNorm(3", "torch.LayerNorm(3)"),
        ("torch.LayerNorm([3, 4", "torch.LayerNorm([3, 4])"),
        ("BatchNormalization(mode=1", "BatchNormalization(mode=1)"),
        ("batch(", "batch()"),
        ("torch.BatchNorm2d(8, affine=(True", "torch.BatchNorm2d(8, affine=(True))"),
    ],
)
def test_what_is_open_is_shown_and_closed(text: str, closed: str) -> None:
    with pytest.raises(SpecError) as error:
        from_text(text)
    lines = str(error.value).splitlines()
    assert "is open" in lines[0]
    assert lines[1].strip() == text
    assert lines[2].index("^") - 2 == max(text.rfind("("), text.rfind("["))
    assert lines[3].strip() == f'close it: "{closed}"'


def test_an_open_quote_is_not_an_open_parenthesis() -> None:
    with pytest.raises(SpecError) as error:
        from_text("torch.LayerNorm('3)")
    said, text, caret = str(error.value).splitlines()
    assert said == "this quote is never closed"
    assert text[caret.index("^")] == "'"


def test_a_layer_by_name_where_a_pattern_or_a_bare_name_is_taken() -> None:
    with pytest.raises(PatternError, match=r'preset\("torch.LayerNorm", 128\)'):
        spec("torch.LayerNorm(3)")
    with pytest.raises(SpecError, match=r'preset\("torch.LayerNorm", ...\)'):
        preset("torch.LayerNorm(3)")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("bacth", "batch"),
        ("instanse", "instance"),
        ("GroupNorn", "torch.GroupNorm"),
        ("layernorm", "torch.LayerNorm"),
        ("RMS norm", "torch.RMSNorm"),
        ("group_norm", "torch.GroupNorm"),
        ("keras.layers.LayerNormalisation()", "keras.LayerNormalization"),
        ("torch.nn.BatchNorm2", "torch.BatchNorm2d"),
    ],
)
def test_a_misspelt_name_is_suggested(text: str, meant: str) -> None:
    with pytest.raises(SpecError, match=f"did you mean .*{meant}"):
        from_text(text)


@pytest.mark.parametrize(
    "text", ["b c", "batch channel", "batch c", "n t c", "rows columns", "x", "(b c)", "norm b"]
)
def test_axes_without_brackets_are_a_pattern(text: str) -> None:
    with pytest.raises(SpecError, match="put brackets around"):
        from_text(text)


@pytest.mark.parametrize("text", ["b [c", "b c]", "b (c", "b [c] : 3", "a, b", "b [C.c]", ""])
def test_a_broken_pattern_stays_one(text: str) -> None:
    with pytest.raises(PatternError):
        from_text(text)


def test_spec_of_takes_a_pattern_too() -> None:
    assert spec_of("b [c]").pattern == "b [c]"
    assert spec_of("UnitNormalization") == spec_of("keras.UnitNormalization()")
