"""Operators of single elements, with broadcasting."""

from __future__ import annotations

import numpy as np

from normscope.frameworks.onnx.operators.applied import Applied, Meaning
from normscope.graph.labels import elementwise, labels
from normscope.graph.operators import Role, Value
from normscope.graph.rules import Labels

ROLES: dict[Role, str] = {
    Role.SHIFT: "Add Sub Sum Mean",
    Role.MULTIPLY: "Mul",
    Role.DIVIDE: "Div",
    Role.ROOT: "Sqrt",
    Role.INVERSE: "Reciprocal",
    Role.LIMIT: "Clip",
    Role.EXPONENTIAL: "Exp",
    Role.SQUASH: "Sigmoid Tanh Softsign HardSigmoid Erf",
    Role.ACTIVATION: "Relu LeakyRelu PRelu Elu Selu Celu Gelu HardSwish Mish Swish Softplus Shrink "
    "ThresholdedRelu",
    Role.SELECT: "Where",
    Role.COMPARE: "Equal Less LessOrEqual Greater GreaterOrEqual And Or Xor Not IsNaN IsInf",
    Role.COPY: "Identity Cast BitCast",
    Role.POWER: "Abs",
    Role.POINTWISE: "Neg Log Floor Ceil Round Sign Mod Sin Cos Tan Sinh Cosh Asin Acos Atan Asinh "
    "Acosh Atanh BitShift BitwiseAnd BitwiseOr BitwiseXor BitwiseNot StringConcat",
}
"""Those whose role does not depend on their operands."""


def pointwise(role: Role, node: Applied) -> Meaning:
    """A function of single elements."""
    rank = len(node.results[0][0])
    rule = elementwise(node.ranks, rank, len(node.results))
    axis = node.attributes.get("axis")
    if node.version < 7 and axis is not None and len(node.ranks) == 2:  # broadcast from an axis on
        axis %= max(rank, 1)
        rule = Labels({0: labels(rank), 1: labels(rank)[axis : axis + node.ranks[1]]}, rule.results)
    return Meaning(role, rule)


def power(node: Applied) -> Meaning:
    """By its exponent."""
    base, exponent = node.operands
    numbers = node.numbers(exponent)
    if numbers is not None and numbers.size:
        low, high = float(np.min(numbers)), float(np.max(numbers))
        if high < 0:
            return pointwise(Role.INVERSE, node)
        if low == high == 0.5:
            return pointwise(Role.ROOT, node)
        if low > 0:
            return pointwise(Role.POWER, node)
    return pointwise(Role.POINTWISE if base.live else Role.EXPONENTIAL, node)


def extreme_of_two(node: Applied) -> Meaning:
    """A minimum or maximum: with a constant it is a limit."""
    several = sum(value.live for value in node.operands) > 1
    return pointwise(Role.POINTWISE if several else Role.LIMIT, node)


def dropout(node: Applied) -> Meaning:
    """A copy, but for training: then the elements that are drawn do not depend on x."""
    training = trains(node)
    meaning = pointwise(Role.POINTWISE if training else Role.COPY, node)
    assert isinstance(meaning.rule, Labels)
    return Meaning(meaning.role, Labels({0: meaning.rule.operands[0]}, meaning.rule.results))


def trains(node: Applied) -> bool:
    """Whether a dropout drops something."""
    if node.version < 7:
        return not node.attributes.get("is_test", 0)
    mode = node.given("training_mode", 2)
    if mode is None:
        return node.at(2) is not None  # it is computed: it may be true
    return bool(np.any(mode))


def quantized(node: Applied) -> Meaning:
    """Scale and zero point are numbers, or run along an axis, or are given for blocks of it."""
    rank = node.rank()
    own = labels(rank)
    axis = node.attributes.get("axis", 1) % max(rank, 1)

    def placed(value: Value) -> tuple[str | None, ...]:
        if value.shape == node.shape():
            return own
        at_axis = len(value.shape) == 1 and rank > 0 and value.shape[0] == node.shape()[axis]
        return (own[axis],) if at_axis else (None,) * len(value.shape)

    rule = Labels({n: placed(v) if n else own for n, v in enumerate(node.operands)}, (own,))
    return Meaning(Role.COPY, rule)
