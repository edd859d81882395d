"""`Applied`: one operator of TensorFlow as it stands in a graph, and how it is run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.python.eager import context
from tensorflow.python.eager.execute import quick_execute

from normscope.graph.replay import CannotReplayError


@dataclass(frozen=True)
class Applied:
    """One operator, applied once.

    Attributes:
        type: the name of the operator.
        attributes: by name, in the form of Python.
        shapes: of the operands.
        dtypes: of the operands.
        results: the shapes of the results.
        live: which operands depend on an input of the model.
        numbers: gives the numbers of an operand that depends on no input, by its number; raises
            `CannotReplayError`.
        type_attributes: of each operand, the attribute that says its dtype; "" if it is fixed.
    """

    type: str
    attributes: Mapping[str, Any]
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[str, ...]
    results: tuple[tuple[int, ...], ...]
    live: tuple[bool, ...]
    numbers: Callable[[int], NDArray[Any]]
    type_attributes: tuple[str, ...] = ()

    @property
    def ranks(self) -> tuple[int, ...]:
        """The ranks of the operands."""
        return tuple(map(len, self.shapes))

    def integers(self, operand: int) -> list[int]:
        """The numbers of an operand that says axes, sizes or places."""
        return [int(n) for n in np.ravel(self.numbers(operand))]

    def constant(self, operand: int) -> float | None:
        """The one number that an operand holds everywhere; None if there are several, or none."""
        try:
            found = np.unique(self.numbers(operand))
        except CannotReplayError:
            return None
        return float(found[0]) if found.size == 1 and found.dtype.kind in "iuf" else None


def names(text: str) -> frozenset[str]:
    """The names of operators in a text, apart by spaces.

    >>> sorted(names("Sum Mean"))
    ['Mean', 'Sum']
    """
    return frozenset(text.split())


def attributes_of(operation: tf.Operation) -> dict[str, Any]:
    """The attributes of an operation of a graph, but for functions."""
    return {
        one.name: operation.get_attr(one.name)
        for one in operation.op_def.attr
        if one.type not in ("func", "list(func)")
    }


def type_attributes_of(operation: tf.Operation) -> tuple[str, ...]:
    """Of each operand, the attribute that says its dtype; lists of operands are flattened."""
    found: list[str] = []
    for one in operation.op_def.input_arg:
        if one.number_attr:
            found += [one.type_attr] * operation.get_attr(one.number_attr)
        elif one.type_list_attr:
            found += [""] * len(operation.get_attr(one.type_list_attr))
        else:
            found.append(one.type_attr)
    return tuple(found)


def run(
    name: str, attributes: Mapping[str, Any], operands: Sequence[Any], results: int
) -> list[Any]:
    """The results of an operator for tensors.

    Args:
        name: of the operator.
        attributes: as `attributes_of` gives them.
        operands: tensors with numbers.
        results: how many there are.
    """
    with tf.init_scope():
        flat = [part for one in attributes.items() for part in (one[0], _native(one[1]))]
        tensors = [tf.convert_to_tensor(operand) for operand in operands]
        return list(quick_execute(name, results, tensors, tuple(flat), context.context()) or ())


def _native(value: Any) -> Any:
    if isinstance(value, tf.DType):
        return value.as_datatype_enum
    if type(value).__name__ == "TensorShapeProto":
        return tf.TensorShape(value)
    if isinstance(value, tuple | list):
        return [_native(part) for part in value]
    return value
