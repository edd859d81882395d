"""One operator of a file as a node of a graph: its shapes, what it does, how it is run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from normscope.frameworks.onnx.evaluation import Evaluation, np_dtype
from normscope.frameworks.onnx.nodes import attributes_of, said
from normscope.frameworks.onnx.operators import fused
from normscope.frameworks.onnx.operators.applied import Applied, Made, Meaning
from normscope.frameworks.onnx.operators.table import OPERATORS
from normscope.frameworks.onnx.shapes import MisfitError, function_of, inferred, schema_of
from normscope.graph.operators import CannotTraceError, Node, Role, Value
from normscope.graph.rules import Fixed, Labels, Opaque

if TYPE_CHECKING:
    from normscope.frameworks.onnx.trace import Walk

_TELLING = 1024
"""Operands of up to so many elements are shown to the inference of shapes."""


def follow_operator(walk: Walk, node: Any) -> None:
    """One operator: by its rule; or written out, where it is defined by others; else opaque."""
    places = [
        walk.value(name, f"an operand of {said(node)}") if name else None for name in node.input
    ]
    domain = "" if node.domain == "ai.onnx" else node.domain
    version = walk.versions.get(node.domain, walk.versions.get(domain, 1))
    schema = schema_of(node, version)
    says = OPERATORS.get(domain, {}).get(node.op_type)
    if schema is None and domain in ("", fused.DOMAIN):
        body = fused.body_of(node, attributes_of(node), places)
    else:
        body = None if says else function_of(node, schema, version, places)
    if body is not None and walk.is_defined_by(body, node):
        return
    operands = [value for value in places if value is not None]
    run = Evaluation(node, walk.versions)
    results, told = _results(walk, node, schema, places, run)
    made = iter(results)
    applied = Applied(
        node.op_type,
        version,
        attributes_of(node),
        tuple(places),
        tuple(next(made) if name else None for name in node.output),
        walk.numbers,
        run,
    )
    meaning = Meaning(Role.OTHER, Opaque()) if says is None else _meaning(says, applied)
    of_shape = node.op_type in ("Shape", "Size") and not domain
    if isinstance(meaning.rule, Fixed) and (
        not walk.loose.isdisjoint(operands) or (not of_shape and _asks_numbers(node, operands))
    ):
        meaning = Meaning(Role.OTHER, Opaque("the shape that it takes depends on numbers"))
    added = walk.add(
        node, meaning.role, meaning.rule, operands, results, run if _runs(node) else None
    )
    added.channel_axis, added.adds_bias = meaning.channel_axis, meaning.adds_bias
    walk.names.update(zip(filter(None, node.output), added.results, strict=True))
    if not told or not walk.loose.isdisjoint(_shaping(added)):
        walk.loose.update(added.results)
    if of_shape and not added.live:
        _tell_shape(node, operands[0], added.results[0])


def _results(
    walk: Walk, node: Any, schema: Any, places: Sequence[Value | None], run: Evaluation
) -> tuple[list[Made], bool]:
    """Shapes and dtypes, and whether they are the same whatever the numbers of the inputs.

    They are inferred, or else seen in a run.
    """
    if schema is not None:
        known = dict(_telling(walk, places))
        try:
            found = inferred(node, schema, places, known, walk.versions)
        except MisfitError as error:
            raise CannotTraceError(f"{said(node)} does not fit: {error}") from error
        whole = [made for made in found if made is not None]
        if len(whole) == len(found):
            return whole, True
    elif not _runs(node) or fused.is_told(node):
        return _told(walk, node, places), fused.is_told(node)
    operands = [value for value in places if value is not None]
    try:
        return walk.seen(node, operands, run), not any(value.live for value in operands)
    except CannotTraceError:
        if schema is not None and node.op_type != "GroupNormalization":  # it keeps the shape of x
            raise
        return _told(walk, node, places), False


def _runs(node: Any) -> bool:
    """Whether it is an operator of ONNX or of ONNX Runtime; no others are run."""
    return node.domain in ("", "ai.onnx", "ai.onnx.ml", fused.DOMAIN)


def _told(walk: Walk, node: Any, places: Sequence[Value | None]) -> list[Made]:
    """Of an operator that is not run: as is known of it, as the file says, or as operand 0."""
    count = sum(map(bool, node.output))
    found = fused.made_by(node.op_type, attributes_of(node), places, count)
    if node.domain == fused.DOMAIN and found is not None:
        return found
    declared = [walk.declared.get(name) for name in node.output if name]
    first = next((value for value in places if value is not None), None)
    if first is None and None in declared:
        raise CannotTraceError(f"the shapes that {said(node)} gives are not known")
    if None in declared:
        walk.graph.notes.append(
            f"the shape that {said(node)} gives is not known: that of its operand is assumed"
        )
    assumed = ((), "") if first is None else (first.shape, first.dtype)
    return [made or assumed for made in declared]


def _telling(walk: Walk, places: Sequence[Value | None]) -> Iterable[tuple[int, NDArray[Any]]]:
    """The numbers that shapes may depend on, by place."""
    for place, value in enumerate(places):
        if value is not None and value.size <= (16 if value.is_float else _TELLING):
            numbers = walk.numbers(value)
            if numbers is not None and numbers.dtype.kind in "biuf":
                yield place, numbers.astype(np_dtype(value.dtype))


def _meaning(says: Callable[[Applied], Meaning], applied: Applied) -> Meaning:
    meaning = says(applied)
    rule = meaning.rule
    if isinstance(rule, Labels) and any(
        value.live and number not in rule.operands for number, value in enumerate(applied.operands)
    ):
        return Meaning(meaning.role, Opaque("what it sees depends on what was computed"))
    return meaning


def _asks_numbers(node: Any, operands: Sequence[Value]) -> bool:
    """Whether the numbers of an operand say what shape there is to be."""
    return node.op_type == "ConstantOfShape" and any(value.live for value in operands)


def _shaping(node: Node) -> Iterable[Value]:
    """The operands on whose shape that of the results may depend."""
    if not isinstance(node.rule, Labels):
        return node.operands
    made = {label for dims in node.rule.results for label in dims if label}
    without = [v for n, v in enumerate(node.operands) if n not in node.rule.operands]
    return without + [
        node.operands[number]
        for number, dims in node.rule.operands.items()
        if not made.isdisjoint(dims)
    ]


def _tell_shape(node: Any, operand: Value, result: Value) -> None:
    """What Shape and Size give is known before any run."""
    attributes = attributes_of(node)
    part = operand.shape[attributes.get("start", 0) : attributes.get("end")]
    array = np.asarray(part if node.op_type == "Shape" else operand.size, np.int64)
    result.data = lambda: array
