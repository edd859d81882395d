"""Running one equation again.

JAX compiles each primitive for each shape, which takes longer than what analyses ask of small
arrays. So what NumPy computes to the same bits (where numbers are not denormal) is left to NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from normscope.graph.rules import Move, Rule

Run = Callable[[Sequence[Any]], Sequence[Any]]

_SMALL = 2**16
"""Elements."""

_DTYPES = frozenset(("bool", "int32", "uint32", "int64", "float32", "float64"))

_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "abs": np.abs,
    "add": np.add,
    "and": np.bitwise_and,
    "eq": np.equal,
    "ge": np.greater_equal,
    "gt": np.greater,
    "le": np.less_equal,
    "lt": np.less,
    "max": np.maximum,
    "min": np.minimum,
    "mul": np.multiply,
    "ne": np.not_equal,
    "neg": np.negative,
    "not": np.invert,
    "or": np.bitwise_or,
    "sqrt": np.sqrt,
    "square": np.square,
    "sub": np.subtract,
    "xor": np.bitwise_xor,
}

_MOVES = frozenset(
    (
        "broadcast_in_dim",
        "concatenate",
        "dynamic_slice",
        "expand_dims",
        "reshape",
        "rev",
        "slice",
        "split",
        "squeeze",
        "stack",
        "transpose",
    )
)


def running(equation: Any, rule: Rule, order: Sequence[int]) -> Run:
    """What computes the results of an equation for other numbers.

    Args:
        equation: of a jaxpr.
        rule: what it does with its elements.
        order: of the operands, where it is not that of the primitive.
    """
    primitive = equation.primitive
    places = [order.index(number) for number in range(len(order))] if order else None
    quick = _in_numpy(equation, rule)

    def run(operands: Sequence[Any]) -> Sequence[Any]:
        given = operands if places is None else [operands[place] for place in places]
        if quick is not None and all(map(_is_small, given)):
            with np.errstate(all="ignore"):
                return quick([np.asarray(array) for array in given])
        results = primitive.bind(*given, **primitive.get_bind_params(equation.params))
        return list(results) if primitive.multiple_results else [results]

    return run


def _is_small(array: Any) -> bool:
    if isinstance(array, jax.core.Tracer) or not hasattr(array, "dtype"):
        return False
    return array.size <= _SMALL and str(array.dtype) in _DTYPES


def _in_numpy(equation: Any, rule: Rule) -> Run | None:
    """The same in NumPy, where that gives the same bits; else None."""
    name, params = equation.primitive.name, equation.params
    if any(np.prod(atom.aval.shape) > _SMALL for atom in equation.outvars):
        return None
    if isinstance(rule, Move):
        return rule.replay if name in _MOVES else None
    if name in _FUNCTIONS:
        function = _FUNCTIONS[name]
        return lambda given: [function(*given)]
    kinds = [getattr(atom.aval.dtype, "kind", "") for atom in equation.invars]
    if name == "div" and kinds == ["f", "f"]:  # of whole numbers it cuts
        return lambda given: [np.divide(*given)]
    if name == "select_n" and kinds[0] == "b" and len(kinds) == 3:
        return lambda given: [np.where(given[0], given[2], given[1])]
    if name == "convert_element_type" and str(params["new_dtype"]) in _DTYPES and kinds[0] in "bi":
        return lambda given: [given[0].astype(params["new_dtype"])]
    return None
