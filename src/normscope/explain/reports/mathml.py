"""The formula of a spec in MathML, which browsers show without any script."""

from __future__ import annotations

from normscope.notation.spec import Measure, NormSpec

_V = {
    Measure.VARIANCE: "<msup><mi>σ</mi><mn>2</mn></msup>",
    Measure.MEAN_SQUARE: "<mover><msup><mi>x</mi><mn>2</mn></msup><mo>¯</mo></mover>",
    Measure.L2: "<mo>∑</mo><msup><mi>x</mi><mn>2</mn></msup>",
    Measure.L1: "<mo>∑</mo><mo>|</mo><mi>x</mi><mo>|</mo>",
    Measure.MAX: "<mi>max</mi><mo>|</mo><mi>x</mi><mo>|</mo>",
}


def mathml_formula(spec: NormSpec) -> str:
    """The formula as a `<math>` element, with its numbers.

    >>> mathml_formula(NormSpec("b [c]"))[:62]
    '<math display="block"><mi>y</mi><mo>=</mo><mfrac><mrow><mi>x</'
    """
    numerator = "<mi>x</mi><mo>−</mo><mi>μ</mi>" if spec.center else "<mi>x</mi>"
    scale = ""
    if spec.scale is not None:
        gamma = _indexed("γ", spec.scale)
        scale = f"<mo>(</mo><mn>1</mn><mo>+</mo>{gamma}<mo>)</mo>" if spec.scale_shift else gamma
        scale += "<mo>·</mo>"
    bias = "" if spec.bias is None else f"<mo>+</mo>{_indexed('β', spec.bias)}"
    divided, where = f"<mrow>{numerator}</mrow>", ""
    if spec.measure is Measure.NONE:
        divided = f"<mo>(</mo>{numerator}<mo>)</mo>" if scale else numerator
    elif spec.unit_below is None:
        divided = f"<mfrac>{divided}<mrow>{_divisor(spec)}</mrow></mfrac>"
    else:
        divided = f"<mfrac>{divided}<mi>D</mi></mfrac>"
        where = f'<mo>,</mo><mspace width="1em"/>{_guarded(spec.unit_below, _divisor(spec))}'
    return f'<math display="block"><mi>y</mi><mo>=</mo>{scale}{divided}{bias}{where}</math>'


def _guarded(unit_below: float, divisor: str) -> str:
    """D, by cases: 1, or the divisor."""
    small = f"<mo>&lt;</mo>{_number(unit_below)}" if unit_below else "<mo>=</mo><mn>0</mn>"
    rows = (
        ("<mn>1</mn>", f"<mtext>if&#160;</mtext>{divisor}{small}"),
        (divisor, "<mtext>else</mtext>"),
    )
    table = "".join(f"<mtr><mtd>{a}</mtd><mtd>{b}</mtd></mtr>" for a, b in rows)
    return (
        "<mi>D</mi><mo>=</mo><mrow><mo>{</mo>"
        f'<mtable columnalign="left left">{table}</mtable></mrow>'
    )


def _divisor(spec: NormSpec) -> str:
    v = _V[spec.measure]
    text = v
    if spec.measure not in (Measure.L1, Measure.MAX):
        text = f"<msqrt>{v}{_plus(spec.eps)}</msqrt>"
    elif spec.eps:
        square = f"<msup><mrow><mo>(</mo>{v}<mo>)</mo></mrow><mn>2</mn></msup>"
        text = f"<msqrt>{square}{_plus(spec.eps)}</msqrt>"
    text += _plus(spec.eps_outside)
    if not spec.floor:
        return text
    return f"<mi>max</mi><mo>(</mo>{text}<mo>,</mo>{_number(spec.floor)}<mo>)</mo>"


def _plus(value: float) -> str:
    return f"<mo>+</mo>{_number(value)}" if value else ""


def _number(value: float) -> str:
    mantissa, _, exponent = f"{value:g}".partition("e")
    if not exponent:
        return f"<mn>{mantissa}</mn>"
    power = f"<msup><mn>10</mn><mn>{int(exponent)}</mn></msup>"
    return power if mantissa == "1" else f"<mn>{mantissa}</mn><mo>·</mo>{power}"


def _indexed(symbol: str, names: str) -> str:
    if not names:
        return f"<mi>{symbol}</mi>"
    return f"<msub><mi>{symbol}</mi><mtext>{names}</mtext></msub>"
