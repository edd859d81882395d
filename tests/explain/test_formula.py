"""The formula is true: the text is computed, and what comes out is what the definition gives."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, strategies as st

from normscope import NormSpec, Running, explain, reference, spec
from normscope.explain.formula import plain_formula
from normscope.explain.reports.mathml import mathml_formula
from strategies import DIVISORS


@st.composite
def formulas(draw: st.DrawFn) -> NormSpec:
    measure = draw(st.sampled_from(["variance", "mean_square", "l2", "l1", "max", "none"]))
    scale = draw(st.sampled_from([None, "n"]))
    return NormSpec(
        "[n]",
        measure=measure,
        center=measure == "none" or draw(st.booleans()),
        **({} if measure == "none" else draw(st.sampled_from(DIVISORS))),
        scale=scale,
        scale_shift=draw(st.integers(0, 1)) if scale else 0,
        bias=draw(st.sampled_from([None, "n"])),
    )


@given(formulas(), st.sampled_from([0.0, 1e-3, 1.0, 40.0]), st.integers(0, 99))
def test_the_text_can_be_computed(stated: NormSpec, spread: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, scale, bias = spread * rng.normal(size=7), *rng.normal(size=(2, 7))
    if spread == 0 and not stated.center and not plain_formula(stated).count("max("):
        x = x + rng.choice([0.0, 0.5])
    text = plain_formula(stated).removeprefix("y = ")
    python = re.sub(r"\|x\|", "abs(x)", text)
    names = {"x": x, "scale": scale, "bias": bias, "var": x.var(), "where": np.where}
    names |= {"sqrt": np.sqrt, "abs": np.abs, "sum": np.sum}
    names["max"] = lambda *values: max(*values) if len(values) > 1 else np.max(values[0])
    # mean stands for a number and, in mean(x**2), for a function
    names["mean"], python = x.mean(), python.replace("mean(x**2)", "(x**2).mean()")
    with np.errstate(all="ignore"):
        found = eval(python, {"__builtins__": {}}, names)
        wanted = reference(
            x,
            stated,
            scale=scale if stated.scale else None,
            bias=bias if stated.bias else None,
        )
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)
    assert ElementTree.fromstring(mathml_formula(stated).replace("&#160;", " ")).tag == "math"


SAID = [
    (
        spec("[b] c", measure="none", bias="c"),
        "y = x - mean + bias",
        r"y = x - \mu + \beta_{c}",
        ["the mean is subtracted; nothing is divided"],
        ["eps", "var ", "NaN"],
    ),
    (
        spec("[b] c", measure="none", scale="c", running=Running(0.9)),
        "y = scale * (x - mean)",
        r"y = \gamma_{c} \, (x - \mu)",
        ["Training takes the mean from the batch, and remembers it:"],
        ["variance"],
    ),
    (
        spec("[b] c", eps=0, unit_below=0),
        "y = (x - mean) / where(sqrt(var) == 0, 1, sqrt(var))",
        r"y = \frac{x - \mu}{D}, \quad D = \begin{cases} 1 & \text{if } \sqrt{\sigma^2} = 0 "
        r"\\ \sqrt{\sigma^2} & \text{else} \end{cases}",
        ["where the divisor would be 0 it is 1"],
        ["NaN"],
    ),
    (
        spec("b [c]", center=False, measure="l1", eps=0, unit_below=0.01),
        "y = x / where(sum(|x|) < 0.01, 1, sum(|x|))",
        r"y = \frac{x}{D}, \quad D = \begin{cases} 1 & \text{if } \textstyle\sum |x| < 0.01 "
        r"\\ \textstyle\sum |x| & \text{else} \end{cases}",
        ["where the divisor would be less than 0.01 (in units of x) it is 1"],
        ["NaN"],
    ),
    (
        spec("[b] c", running=Running(0.9, ddof=1, deviation=True)),
        "y = (x - mean) / sqrt(var + 1e-05)",
        r"y = \frac{x - \mu}{\sqrt{\sigma^2 + 10^{-5}}}",
        ["its variance is divided by N - 1", "what is remembered is the deviation, sqrt(variance)"],
        ["plus eps"],
    ),
    (
        spec("[b] c", running=Running(0.9, plus_eps=True, deviation=True)),
        "y = (x - mean) / sqrt(var + 1e-05)",
        r"y = \frac{x - \mu}{\sqrt{\sigma^2 + 10^{-5}}}",
        ["what is remembered is sqrt(variance + eps); inference takes it for that root"],
        ["adds eps once more"],
    ),
]


@pytest.mark.parametrize(("stated", "text", "latex", "said", "unsaid"), SAID)
def test_words_and_formula(
    stated: NormSpec, text: str, latex: str, said: list[str], unsaid: list[str]
) -> None:
    found = explain(stated, (8, 4))
    assert plain_formula(stated) == text
    assert found.formula == latex
    for words in said:
        assert words in str(found)
    for words in unsaid:
        assert words not in str(found).partition("Other normalizations")[0]
    assert found.to_dict()["spec"] == stated.to_dict()
    assert "<math" in found.to_html()


def test_what_is_proposed_instead_can_be_used() -> None:
    """Without a guard, the usual normalizations need an epsilon."""
    for fields in ({"measure": "none"}, {"eps": 0, "unit_below": 0}):
        for other in explain(spec("[b] c", **fields), (8, 4)).alternatives:
            assert other.spec.eps == 1e-5
