"""The formula of a spec: in one line of plain text, and in LaTeX."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from normscope.notation.spec import Measure, NormSpec

_PLAIN = {
    Measure.VARIANCE: "var",
    Measure.MEAN_SQUARE: "mean(x**2)",
    Measure.L2: "sum(x**2)",
    Measure.L1: "sum(|x|)",
    Measure.MAX: "max(|x|)",
}

_LATEX = {
    Measure.VARIANCE: r"\sigma^2",
    Measure.MEAN_SQUARE: r"\overline{x^2}",
    Measure.L2: r"\textstyle\sum x^2",
    Measure.L1: r"\textstyle\sum |x|",
    Measure.MAX: r"\max |x|",
}

_ALREADY_A_ROOT = (Measure.L1, Measure.MAX)


def plain_formula(spec: NormSpec) -> str:
    """The formula in one line, with its numbers.

    >>> plain_formula(NormSpec("... [c]", eps=0.001, eps_outside=0.001, scale="c", bias="c"))
    'y = scale * (x - mean) / (sqrt(var + 0.001) + 0.001) + bias'
    >>> plain_formula(NormSpec("... [c]", eps=0, center=False, measure="l2", floor=1e-12))
    'y = x / max(sqrt(sum(x**2)), 1e-12)'
    >>> plain_formula(NormSpec("[b] c", measure="none", bias="c"))
    'y = x - mean + bias'
    >>> plain_formula(NormSpec("[b] c", eps=0, unit_below=0))
    'y = (x - mean) / where(sqrt(var) == 0, 1, sqrt(var))'
    """
    numerator = "(x - mean)" if spec.center else "x"
    scale = {None: "", 0: "scale * ", 1: "(1 + scale) * "}[
        None if spec.scale is None else spec.scale_shift
    ]
    bias = "" if spec.bias is None else " + bias"
    if spec.measure is Measure.NONE:
        return f"y = {scale}{numerator}{bias}" if scale else f"y = x - mean{bias}"
    return f"y = {scale}{numerator} / {plain_divisor(spec)}{bias}"


def plain_divisor(spec: NormSpec) -> str:
    """The divisor of the formula, with its numbers.

    >>> plain_divisor(NormSpec("... [c]"))
    'sqrt(var + 1e-05)'
    >>> plain_divisor(NormSpec("... [c]", measure="none"))
    'nothing'
    """
    if spec.measure is Measure.NONE:
        return "nothing"
    divisor = _divisor(
        spec,
        _Notation(_PLAIN[spec.measure], "sqrt({})", "{}**2", "({} + {})", "max({}, {})"),
        "{:g}".format,
    )
    if spec.unit_below is None:
        return divisor
    small = f"< {spec.unit_below:g}" if spec.unit_below else "== 0"
    return f"where({divisor} {small}, 1, {divisor})"


def latex_formula(spec: NormSpec) -> str:
    r"""The formula in LaTeX, with its numbers.

    >>> print(latex_formula(NormSpec("b c h [w]", eps=0.001, scale="w", bias="w")))
    y = \gamma_{w} \, \frac{x - \mu}{\sqrt{\sigma^2 + 0.001}} + \beta_{w}
    """
    numerator = r"x - \mu" if spec.center else "x"
    scale = bias = ""
    if spec.scale is not None:
        gamma = rf"\gamma{_index(spec.scale)}"
        scale = rf"(1 + {gamma}) \, " if spec.scale_shift else rf"{gamma} \, "
    if spec.bias is not None:
        bias = rf" + \beta{_index(spec.bias)}"
    if spec.measure is Measure.NONE:
        return rf"y = {scale}({numerator}){bias}" if scale else f"y = {numerator}{bias}"
    divisor = _divisor(
        spec,
        _Notation(
            _LATEX[spec.measure],
            r"\sqrt{{{}}}",
            r"\left({}\right)^2",
            "{} + {}",
            r"\max\left({},\, {}\right)",
        ),
        _latex_number,
    )
    if spec.unit_below is None:
        return rf"y = {scale}\frac{{{numerator}}}{{{divisor}}}{bias}"
    small = f"< {_latex_number(spec.unit_below)}" if spec.unit_below else "= 0"
    cases = rf"1 & \text{{if }} {divisor} {small} \\ {divisor} & \text{{else}}"
    return (
        rf"y = {scale}\frac{{{numerator}}}{{D}}{bias}, \quad "
        rf"D = \begin{{cases}} {cases} \end{{cases}}"
    )


class _Notation(NamedTuple):
    """The way one language writes the pieces of a divisor."""

    v: str
    root: str
    square: str
    total: str
    largest: str


def _divisor(spec: NormSpec, notation: _Notation, number: Callable[[float], str]) -> str:
    """max(sqrt(v + eps) + eps_outside, floor), without the terms that are 0."""
    text = notation.v
    if spec.measure not in _ALREADY_A_ROOT:
        text = notation.root.format(f"{text} + {number(spec.eps)}" if spec.eps else text)
    elif spec.eps:
        text = notation.root.format(f"{notation.square.format(text)} + {number(spec.eps)}")
    if spec.floor:
        inner = f"{text} + {number(spec.eps_outside)}" if spec.eps_outside else text
        return notation.largest.format(inner, number(spec.floor))
    return notation.total.format(text, number(spec.eps_outside)) if spec.eps_outside else text


def _index(names: str) -> str:
    letters = " ".join(names.replace("...", r"\ldots").split())
    return f"_{{{letters}}}" if letters else ""


def _latex_number(value: float) -> str:
    text = f"{value:g}"
    if "e" not in text:
        return text
    mantissa, exponent = text.split("e")
    power = f"10^{{{int(exponent)}}}"
    return power if mantissa == "1" else rf"{mantissa} \cdot {power}"
