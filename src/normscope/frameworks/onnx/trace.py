"""An ONNX model as an operator graph: its own graph, with functions written out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from normscope.frameworks.onnx.evaluation import MANY_BYTES, CannotRunError, Evaluation, np_dtype
from normscope.frameworks.onnx.names import Calls, source_of
from normscope.frameworks.onnx.operators.applied import Applied, Made, Meaning
from normscope.frameworks.onnx.operators.table import OPERATORS
from normscope.frameworks.onnx.shapes import (
    MisfitError,
    function_of,
    inferred,
    largest,
    schema_of,
)
from normscope.frameworks.onnx.tensors import Tensors
from normscope.graph.operators import Call, CannotTraceError, Graph, Role, Value
from normscope.graph.replay import CannotReplayError, known_numbers, replay
from normscope.graph.rules import Labels, Opaque

_SMALL = 65536
"""Numbers up to so many elements are kept once they were computed."""

_TELLING = 1024
"""Operands of up to so many elements are shown to the inference of shapes."""

MANY_ELEMENTS = 2**32
MANY_NODES = 1_000_000
DEEP = 64


class NumpyArrays:
    """What is native to ONNX are arrays of NumPy."""

    def to_numpy(self, array: Any) -> NDArray[Any]:
        """The numbers; of bfloat16 and the like, as float32."""
        found = np.asarray(array)
        return found if found.dtype.kind in "biufcOSU" else found.astype(np.float32)

    def from_numpy(self, array: NDArray[Any], dtype: str) -> Any:
        """An array of this dtype."""
        return np.asarray(array).astype(np_dtype(dtype))


def trace(model: Any, arrays: Mapping[str, NDArray[Any]], tensors: Tensors) -> Graph:
    """The operator graph of a model.

    Args:
        model: the `ModelProto`.
        arrays: the inputs, by name, in the order of the graph's inputs.
        tensors: reads the numbers that the model holds.

    Raises:
        CannotTraceError: the model cannot be followed; the text says why.
        ModelFileError: what it refers to outside of itself cannot be read.
    """
    graph = Graph(NumpyArrays())
    walk = Walk(graph, Calls(graph), model, tensors)
    for name, array in arrays.items():
        value = graph.input(array.shape, array.dtype.name, name)
        walk.names[name] = value
        walk.measured[value] = array
    walk.hold(model.graph)
    walk.follow(model.graph.node)
    for output in model.graph.output:
        graph.outputs.append(walk.value(output.name, "an output of the model"))
        graph.output_names.append(output.name)
    walk.calls.finish()
    return graph


class Walk:
    """Makes nodes of a file into nodes of a graph.

    Attributes:
        graph: what is made.
        calls: of layers, shared by all graphs inside of it.
        model: the file, for its functions.
        tensors: reads its numbers.
        versions: of the operators, by domain.
        names: the values that names stand for here.
        bindings: the attributes of the function around, by name.
        around: the call of the function around.
        measured: the arrays of inputs, and of what was run to see its shape.
        depth: how many functions and graphs stand around.
    """

    def __init__(self, graph: Graph, calls: Calls, model: Any, tensors: Tensors) -> None:
        self.graph = graph
        self.calls = calls
        self.model = model
        self.tensors = tensors
        self.versions = {entry.domain: entry.version for entry in model.opset_import}
        self.functions = {(f.domain, f.name, f.overload): f for f in model.functions}
        self.names: dict[str, Value] = {}
        self.bindings: Mapping[str, Any] = {}
        self.around: Call = graph.calls[0]
        self.measured: dict[Value, Any] = {}
        self.depth = 0

    def value(self, name: str, whose: str) -> Value:
        """The value that a name stands for."""
        try:
            return self.names[name]
        except KeyError:
            raise CannotTraceError(f"{whose} is {name!r}, which nothing makes") from None

    def hold(self, graph: Any) -> None:
        """The numbers that a graph of the file holds."""
        for tensor in graph.initializer:
            self.names[tensor.name] = self._constant(tensor, tensor.name)

    def _constant(self, tensor: Any, name: str = "") -> Value:
        shape, dtype = self.tensors.shape_and_dtype(tensor)
        return Graph.constant(shape, dtype, self.tensors.reader(tensor), name)

    # --- one node after the other ---------------------------------------------------------------

    def follow(self, nodes: Sequence[Any]) -> None:
        """All nodes, in their order."""
        for node in nodes:
            self.step(bound(node, self.bindings) if self.bindings else node)

    def step(self, node: Any) -> None:
        """One node."""
        if len(self.graph.nodes) > MANY_NODES:
            raise CannotTraceError(f"the model has more than {MANY_NODES} operators")
        called = self.functions.get((node.domain, node.op_type, node.overload))
        if called is not None:
            call = self.calls.function(node.name or node.op_type, node.op_type, self.around)
            self._written_out(called, node, call)
            return
        places = [
            self.value(name, f"an operand of {_said(node)}") if name else None
            for name in node.input
        ]
        if node.op_type == "Constant" and not node.input:
            self.names[node.output[0]] = self._literal(node)
        elif node.op_type == "Identity" and (held := self._renamed(node, places)) is not None:
            self.names[node.output[0]] = held
        else:
            self._operator(node, places)

    def _literal(self, node: Any) -> Value:
        attribute = node.attribute[0]
        if attribute.name == "value":
            return self._constant(attribute.t)
        array = np.asarray(helper.get_attribute_value(attribute))
        kind = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64}
        array = array.astype(
            kind.get(attribute.name, np.int64 if array.dtype.kind == "i" else object)
        )
        return Graph.constant(array.shape, array.dtype.name, lambda: array)

    def _renamed(self, node: Any, places: Sequence[Value | None]) -> Value | None:
        """A copy of what the model holds: exporters keep equal weights once, under one name."""
        value = places[0]
        if value is None or value.live or value.node is not None or value.data is None:
            return None
        return Graph.constant(value.shape, value.dtype, value.data, node.output[0])

    def _written_out(self, function: Any, node: Any, call: Call) -> None:
        """The operators of a function in the place of its call."""
        if self.depth >= DEEP:
            raise CannotTraceError(f"functions call each other, {DEEP} deep: {function.name}")
        inner = Walk(self.graph, self.calls, self.model, self.tensors)
        inner.versions = {entry.domain: entry.version for entry in function.opset_import}
        inner.bindings = _bindings(function, node)
        inner.around, inner.measured, inner.depth = call, self.measured, self.depth + 1
        for place, name in enumerate(function.input):
            given = node.input[place] if place < len(node.input) else ""
            if given:
                inner.names[name] = self.value(given, f"an operand of {_said(node)}")
        inner.follow([without_missing(n, function.input, inner.names) for n in function.node])
        for name, inside in zip(node.output, function.output, strict=False):
            if name:
                self.names[name] = inner.value(inside, f"a result of {_said(node)}")

    # --- an operator ----------------------------------------------------------------------------

    def _operator(self, node: Any, places: list[Value | None]) -> None:
        version = self.versions.get(node.domain, 1)
        schema = schema_of(node, version)
        says = OPERATORS.get(node.domain, {}).get(node.op_type)
        if says is None:
            body = function_of(node, schema, version, places)
            if body is not None:
                self._written_out(body, node, self.calls.of(node, self.around))
                return
        operands = [value for value in places if value is not None]
        run = Evaluation(node, operands, self.versions)
        results = self._results(node, schema, places, run)
        self._within_bounds(node, results)
        applied = Applied(
            node.op_type,
            version,
            _attributes(node),
            tuple(places),
            _placed(node, results),
            self.numbers,
            run,
        )
        meaning = self._meaning(node, says, applied)
        size = sum(_bytes(made) for made in results)
        made = self.graph.add(
            node.op_type if not node.domain else f"{node.domain}.{node.op_type}",
            meaning.role,
            meaning.rule,
            operands,
            results,
            run if size < MANY_BYTES else None,
            self.calls.of(node, self.around),
            source=source_of(node),
            channel_axis=meaning.channel_axis,
            adds_bias=meaning.adds_bias,
        )
        for name, value in zip(filter(None, node.output), made.results, strict=True):
            self.names[name] = value
        if node.op_type in ("Shape", "Size"):
            self._tell_shape(node, operands[0], made.results[0])

    def _meaning(self, node: Any, says: Any, applied: Applied) -> Meaning:
        if says is None:
            return Meaning(Role.OTHER, Opaque())
        try:
            meaning: Meaning = says(applied)
        except (
            KeyError,
            IndexError,
            ValueError,
            TypeError,
            ZeroDivisionError,
            AttributeError,
        ) as e:
            raise CannotTraceError(f"{_said(node)} is not as ONNX defines it: {e}") from e
        rule = meaning.rule
        if isinstance(rule, Labels) and any(
            value.live and number not in rule.operands
            for number, value in enumerate(applied.operands)
        ):
            return Meaning(meaning.role, Opaque("what it sees depends on what was computed"))
        return meaning

    def _results(
        self, node: Any, schema: Any, places: Sequence[Value | None], run: Evaluation
    ) -> list[Made]:
        """Shapes and dtypes: inferred, or seen in a run where they depend on the numbers."""
        found: list[Made | None] = [None] * sum(map(bool, node.output))
        if schema is not None:
            known = {}
            for place, value in enumerate(places):
                if value is not None and not value.live and value.size <= _TELLING:
                    numbers = self.numbers(value)
                    if numbers is not None and (not value.is_float or value.size <= 16):
                        known[place] = numbers
            try:
                found = inferred(node, schema, places, known, self.versions)
            except MisfitError as error:
                raise CannotTraceError(
                    f"{_said(node)} does not fit its operands: {error}"
                ) from error
        if None not in found and found:
            return [made for made in found if made is not None]
        return self._seen(node, [value for value in places if value is not None], run)

    def _seen(self, node: Any, operands: Sequence[Value], run: Evaluation) -> list[Made]:
        try:
            arrays = replay(self.graph, operands, self.measured)
            results = run(arrays)
        except (CannotReplayError, CannotRunError) as error:
            raise CannotTraceError(
                f"the shapes that {_said(node)} gives are not known: {error}"
            ) from error
        self.measured.update(zip(operands, arrays, strict=True))
        return [(np.shape(array), np.asarray(array).dtype.name) for array in results]

    def numbers(self, value: Value) -> NDArray[Any] | None:
        """Of a value that depends on no input, if they are few; they are kept."""
        if value.live or value.size > _SMALL:
            return None
        try:
            array = known_numbers(self.graph, value)
        except (CannotReplayError, CannotRunError):
            return None
        if value.node is not None:
            value.data = lambda: array
        return array

    def _tell_shape(self, node: Any, operand: Value, result: Value) -> None:
        attributes = _attributes(node)
        shape = np.asarray(operand.shape, np.int64)
        part = shape[attributes.get("start", 0) : attributes.get("end")]
        array = part if node.op_type == "Shape" else np.asarray(operand.size, np.int64)
        result.data = lambda: array

    def _within_bounds(self, node: Any, results: Sequence[Made]) -> None:
        if largest(results) > MANY_ELEMENTS:
            raise CannotTraceError(
                f"{_said(node)} gives an array of {largest(results)} elements, which is too many"
            )


def _said(node: Any) -> str:
    return f"{node.op_type} {node.name!r}" if node.name else node.op_type


def _bytes(made: Made) -> int:
    return largest([made]) * (8 if made[1] == "object" else np_dtype(made[1]).itemsize)


def _placed(node: Any, results: Sequence[Made]) -> tuple[Made | None, ...]:
    made = iter(results)
    return tuple(next(made) if name else None for name in node.output)


def _attributes(node: Any) -> dict[str, Any]:
    """By name; texts as texts, graphs left out."""
    found = {}
    for attribute in node.attribute:
        if not (attribute.HasField("g") or attribute.graphs):
            value = helper.get_attribute_value(attribute)
            found[attribute.name] = (
                value.decode(errors="replace") if isinstance(value, bytes) else value
            )
    return found


# --- functions of the file ----------------------------------------------------------------------


def _bindings(function: Any, node: Any) -> dict[str, Any]:
    """The attributes of a function, as a call gives them."""
    given = {attribute.name: attribute for attribute in node.attribute}
    found = {attribute.name: attribute for attribute in function.attribute_proto}
    return found | {name: given[name] for name in given} | {"": None}


def bound(node: Any, bindings: Mapping[str, Any]) -> Any:
    """A node with the attributes of the function in the place of references to them."""
    if not any(a.ref_attr_name or a.HasField("g") or a.graphs for a in node.attribute):
        return node
    found = type(node)()
    found.CopyFrom(node)
    del found.attribute[:]
    for attribute in node.attribute:
        if not attribute.ref_attr_name:
            kept = found.attribute.add()
            kept.CopyFrom(attribute)
            for graph in ([kept.g] if kept.HasField("g") else []) + list(kept.graphs):
                inner = [bound(n, bindings) for n in graph.node]
                del graph.node[:]
                graph.node.extend(inner)
        elif bindings.get(attribute.ref_attr_name) is not None:
            made = found.attribute.add()
            made.CopyFrom(bindings[attribute.ref_attr_name])
            made.name = attribute.name
    return found


def without_missing(node: Any, formal: Sequence[str], names: Mapping[str, Any]) -> Any:
    """A node of a function whose optional inputs the call leaves out."""
    missing = {name for name in formal if name not in names}
    if not missing.intersection(node.input):
        return node
    found = type(node)()
    found.CopyFrom(node)
    del found.input[:]
    found.input.extend("" if name in missing else name for name in node.input)
    return found
