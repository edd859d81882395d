"""Sequences and optionals, as lists of values while the model is followed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import helper

from normscope.frameworks.onnx.nodes import attributes_of, constant
from normscope.graph.operators import CannotTraceError, Value

if TYPE_CHECKING:
    from normscope.frameworks.onnx.trace import Walk

OPERATORS = frozenset(
    [
        "SequenceConstruct",
        "SequenceEmpty",
        "SequenceInsert",
        "SequenceErase",
        "SequenceAt",
        "SequenceLength",
        "SplitToSequence",
        "ConcatFromSequence",
        "Optional",
        "OptionalGetElement",
        "OptionalHasElement",
    ]
)


def follow(walk: Walk, node: Any) -> None:
    """A node that makes a sequence or takes one; its places have to be known."""
    names = list(node.input)
    (result,) = node.output
    match node.op_type:
        case "SequenceEmpty":
            walk.names[result] = []
        case "SequenceConstruct":
            walk.names[result] = [_array(walk, name) for name in names]
        case "SequenceInsert":
            items = list(_sequence(walk, names[0]))
            place = _place(walk, names[2]) if len(names) > 2 and names[2] else len(items)
            items.insert(place, _array(walk, names[1]))
            walk.names[result] = items
        case "SequenceErase":
            items = list(_sequence(walk, names[0]))
            items.pop(_place(walk, names[1]) if len(names) > 1 and names[1] else -1)
            walk.names[result] = items
        case "SequenceAt":
            walk.names[result] = _sequence(walk, names[0])[_place(walk, names[1])]
        case "SequenceLength":
            walk.names[result] = constant(np.asarray(len(_sequence(walk, names[0])), np.int64))
        case "SplitToSequence":
            _split(walk, node)
        case "ConcatFromSequence":
            _join(walk, node)
        case "OptionalHasElement":
            there = bool(names) and names[0] in walk.names
            walk.names[result] = constant(np.asarray(there))
        case _:
            if not names or names[0] not in walk.names:
                raise CannotTraceError("an optional that is empty is not followed")
            walk.names[result] = walk.names[names[0]]


def _split(walk: Walk, node: Any) -> None:
    """By a Split of as many results, and a Squeeze of each where the axis is not kept."""
    value = _array(walk, node.input[0])
    attributes = attributes_of(node)
    axis = attributes.get("axis", 0) % max(len(value.shape), 1)
    length = value.shape[axis]
    if value in walk.loose:
        raise CannotTraceError("how long a sequence is depends on numbers")
    squeezes = False
    if len(node.input) < 2 or not node.input[1]:
        lengths = [1] * length
        squeezes = not attributes.get("keepdims", 1)
    else:
        given = walk.numbers(_array(walk, node.input[1]))
        if given is None:
            raise CannotTraceError("the lengths of a SplitToSequence are computed")
        step = int(given) if given.ndim == 0 else 0
        if step < 0 or (step == 0 and given.ndim == 0):
            raise CannotTraceError("a SplitToSequence by a length below 1")
        whole = [min(step, length - first) for first in range(0, length, step)] if step else []
        lengths = whole or [int(n) for n in given]
    names = [f"{node.output[0]} {n}" for n in range(len(lengths))]
    lengths_name = f"{node.output[0]} lengths"
    walk.names[lengths_name] = constant(np.asarray(lengths, np.int64))
    later = walk.versions.get("", 1) >= 13
    split = helper.make_node("Split", [node.input[0], *[lengths_name] * later], names, axis=axis)
    if not later:
        split.attribute.append(helper.make_attribute("split", lengths))
    walk.follow([split])
    items: list[Value] = []
    for name in names:
        if squeezes:
            part = _array(walk, name)
            shape = [n for place, n in enumerate(part.shape) if place != axis]
            walk.names[f"{name} shape"] = constant(np.asarray(shape, np.int64))
            walk.follow([helper.make_node("Reshape", [name, f"{name} shape"], [f"{name} bare"])])
            name = f"{name} bare"
        items.append(_array(walk, name))
    walk.names[node.output[0]] = items


def _join(walk: Walk, node: Any) -> None:
    """By a Concat, of arrays with a new axis where there is to be one."""
    attributes = attributes_of(node)
    items = _sequence(walk, node.input[0])
    if not items:
        raise CannotTraceError("an empty sequence is joined")
    axis = attributes["axis"]
    names = [f"{node.output[0]} {n}" for n in range(len(items))]
    for name, item in zip(names, items, strict=True):
        walk.names[name] = item
        if attributes.get("new_axis"):
            shape = list(item.shape)
            shape.insert(axis % (len(shape) + 1), 1)
            walk.names[f"{name} shape"] = constant(np.asarray(shape, np.int64))
            walk.follow([helper.make_node("Reshape", [name, f"{name} shape"], [f"{name} wide"])])
    given = [f"{name} wide" if attributes.get("new_axis") else name for name in names]
    walk.follow([helper.make_node("Concat", given, list(node.output), axis=axis)])


def _array(walk: Walk, name: str) -> Value:
    return walk.value(name, "what is put into a sequence")


def _sequence(walk: Walk, name: str) -> list[Value]:
    found = walk.names.get(name)
    if not isinstance(found, list):
        raise CannotTraceError(f"{name!r} is no sequence that is followed")
    return found


def _place(walk: Walk, name: str) -> int:
    numbers = walk.numbers(_array(walk, name))
    if numbers is None:
        raise CannotTraceError("a place in a sequence is computed from an input")
    return int(np.ravel(numbers)[0])
