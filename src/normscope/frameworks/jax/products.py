"""Products of JAX: matrix products and convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from normscope.frameworks.jax.meaning import Known, Meaning
from normscope.graph import labels
from normscope.graph.operators import Role, Value
from normscope.graph.rules import Labels, Opaque, Window


def dot(equation: Any, operands: Sequence[Value], known: Known) -> Meaning:
    """A product of two arrays, with batch axes."""
    contracted, batch = equation.params["dimension_numbers"]
    left, right = (len(atom.aval.shape) for atom in equation.invars)
    rule = labels.contraction(left, right, contracted, batch)
    return Meaning(Role.PRODUCT, rule, channel_axis=_channels(rule, operands))


def _channels(rule: Labels, operands: Sequence[Value]) -> int | None:
    """The axis of the result that learned numbers make, if there is just one."""
    (result,) = rule.results
    for number, other in ((1, 0), (0, 1)):
        if not operands[number].live and operands[other].live:
            own = [label for label in rule.operands[number] if label not in rule.operands[other]]
            if len(own) == 1 and own[0] is not None:
                return result.index(own[0])
    return None


def convolution(equation: Any, operands: Sequence[Value], known: Known) -> Meaning:
    """A convolution, also a transposed one, in groups of channels or of samples."""
    params = equation.params
    numbers = params["dimension_numbers"]
    shape = [equation.invars[1].aval.shape[axis] for axis in numbers.rhs_spec[2:]]
    windows = [
        Window(int(size), int(stride), int(dilation), int(padding[0]), int(spread))
        for size, stride, dilation, padding, spread in zip(
            shape,
            params["window_strides"],
            params["rhs_dilation"],
            params["padding"],
            params["lhs_dilation"],
            strict=True,
        )
    ]
    rule = labels.convolution(
        _placed(numbers.lhs_spec), _placed(numbers.rhs_spec), _placed(numbers.out_spec), windows
    )
    if params["batch_group_count"] != 1:  # samples are convolved in groups
        data = tuple(None if label == "n" else label for label in rule.operands[0])
        rule = Labels({**rule.operands, 0: data}, rule.results, rule.relations)
    return Meaning(Role.PRODUCT, rule, channel_axis=int(numbers.out_spec[1]))


def _placed(axes: Sequence[int]) -> tuple[int, int, Sequence[int]]:
    return axes[0], axes[1], axes[2:]


def ragged_dot(equation: Any, operands: Sequence[Value], known: Known) -> Meaning:
    """Each row is multiplied by the matrix of its group, and further operands say the groups."""
    ragged = equation.params["ragged_dot_dimension_numbers"]
    contracted, batch = ragged.dot_dimension_numbers
    grouped = (*ragged.lhs_ragged_dimensions, *ragged.rhs_group_dimensions)
    if len(operands) != 3 or set(ragged.lhs_ragged_dimensions) & {*contracted[0], *batch[0]}:
        return Meaning(Role.OTHER, Opaque())
    left, right, sizes = (len(atom.aval.shape) for atom in equation.invars)
    whole = labels.contraction(left, right, contracted, batch)
    second = whole.operands[1]
    dropped = {second[axis] for axis in grouped[len(ragged.lhs_ragged_dimensions) :]}
    operand = {
        0: whole.operands[0],
        1: tuple(None if label in dropped else label for label in second),
        2: (None,) * sizes,
    }
    results = tuple(label for label in whole.results[0] if label not in dropped)
    return Meaning(Role.PRODUCT, Labels(operand, (results,)))
