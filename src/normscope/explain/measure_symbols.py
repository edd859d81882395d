"""How the measures are written: what stands for v in a formula, in each language."""

from __future__ import annotations

from typing import NamedTuple

from normscope.notation.spec import Measure


class Symbol(NamedTuple):
    """One measure, in each language.

    Attributes:
        plain: in a line of plain text.
        latex: in LaTeX.
        mathml: in MathML.
        is_root: it is the root of v already, so it is squared where eps is added under the root.
    """

    plain: str
    latex: str
    mathml: str
    is_root: bool = False


SYMBOLS = {
    Measure.VARIANCE: Symbol("var", r"\sigma^2", "<msup><mi>σ</mi><mn>2</mn></msup>"),
    Measure.MEAN_SQUARE: Symbol(
        "mean(x**2)",
        r"\overline{x^2}",
        "<mover><msup><mi>x</mi><mn>2</mn></msup><mo>¯</mo></mover>",
    ),
    Measure.L2: Symbol(
        "sum(x**2)", r"\textstyle\sum x^2", "<mo>∑</mo><msup><mi>x</mi><mn>2</mn></msup>"
    ),
    Measure.L1: Symbol(
        "sum(|x|)",
        r"\textstyle\sum |x|",
        "<mo>∑</mo><mo>|</mo><mi>x</mi><mo>|</mo>",
        is_root=True,
    ),
    Measure.MAX: Symbol(
        "max(|x|)", r"\max |x|", "<mi>max</mi><mo>|</mo><mi>x</mi><mo>|</mo>", is_root=True
    ),
}
"""Of each measure that divides."""
