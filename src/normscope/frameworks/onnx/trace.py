"""An ONNX model as an operator graph: its own graph, with functions written out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from normscope.frameworks.onnx import sequences
from normscope.frameworks.onnx.applying import follow_operator
from normscope.frameworks.onnx.control import follow_control
from normscope.frameworks.onnx.evaluation import (
    MANY_BYTES,
    dtype_of,
    element_type,
    np_dtype,
)
from normscope.frameworks.onnx.functions import Bindings, bindings, bound, without_missing
from normscope.frameworks.onnx.memory import MOST_BYTES
from normscope.frameworks.onnx.names import Calls, own_name, source_of
from normscope.frameworks.onnx.nodes import attributes_of, constant, said
from normscope.frameworks.onnx.operators.applied import Made
from normscope.frameworks.onnx.shapes import bytes_of, declared, largest
from normscope.frameworks.onnx.structure import StructureError, check, ordered
from normscope.frameworks.onnx.tensors import Tensors
from normscope.graph.operators import Call, CannotTraceError, Graph, Node, Role, Value
from normscope.graph.replay import CannotReplayError, replay
from normscope.graph.rules import Rule

_SMALL = 65536
"""Numbers up to so many elements are kept once they were computed."""

_ODD = (LookupError, ValueError, TypeError, ArithmeticError, AttributeError)
"""What a node that is not as ONNX defines it makes Python raise."""

MANY_ELEMENTS = 2**32
"""No value may have more."""


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
    graph = Graph(NumpyArrays(), most_bytes=MOST_BYTES if tensors.path is not None else None)
    walk = Walk(graph, Calls(graph), model, tensors)
    for name, array in arrays.items():
        value = graph.input(array.shape, array.dtype.name, name)
        walk.names[name] = value
        walk.measured[value] = array
    try:
        check(model)
        walk.declared = declared(model.graph, {name: a.shape for name, a in arrays.items()})
        walk.hold(model.graph)
        walk.follow(model.graph.node)
    except StructureError as error:
        raise CannotTraceError(f"the model is damaged: {error}") from error
    except _ODD as error:
        raise CannotTraceError(f"the model is not as ONNX defines it: {error}") from error
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
        names: the values that names stand for here; a list of values for a sequence.
        bindings: the attributes of the function around; None outside of functions.
        around: the call of the function around.
        measured: the arrays of inputs, and of what was run to see its shape.
        declared: the shapes and dtypes that the file states of values, by name.
        loose: the values whose shape depends on the numbers of an input, or may.
    """

    def __init__(self, graph: Graph, calls: Calls, model: Any, tensors: Tensors) -> None:
        self.graph = graph
        self.calls = calls
        self.model = model
        self.tensors = tensors
        self.versions = {entry.domain: entry.version for entry in model.opset_import}
        self.names: dict[str, Value | list[Value]] = {}
        self.bindings: Bindings | None = None
        self.around: Call = graph.calls[0]
        self.measured: dict[Value, Any] = {}
        self.declared: Mapping[str, Made] = {}
        self.loose: set[Value] = set()
        self._functions = {(f.domain, f.name, f.overload): f for f in model.functions}
        self._measure: Callable[[], Mapping[Value, Any]] = dict

    def inside(self, graph: Graph) -> Walk:
        """Another walk, without names, for what stands inside of a node."""
        graph.most_bytes = self.graph.most_bytes
        inner = Walk(graph, self.calls, self.model, self.tensors)
        inner.versions, inner.bindings, inner.around = self.versions, self.bindings, self.around
        inner.loose = self.loose
        if graph is self.graph:
            inner.measured, inner._measure = self.measured, self._measure
        return inner

    def inputs_are(self, values: Sequence[Value], walk: Walk, slices: int = 0) -> None:
        """The inputs of this graph are values of the graph around, or a slice of the last ones."""
        inputs = tuple(self.graph.inputs)
        whole = len(values) - slices

        def measure() -> Mapping[Value, Any]:
            arrays = walk.arrays_of(values)
            return dict(
                zip(inputs, [*arrays[:whole], *(a[0] for a in arrays[whole:])], strict=True)
            )

        self._measure = measure

    def input_like(self, graph: Graph, value: Value, shape: Sequence[int] | None = None) -> Value:
        """An input of a graph inside for a value from around, or for a slice of it."""
        found = graph.input(value.shape if shape is None else shape, value.dtype, value.name)
        if value in self.loose:
            self.loose.add(found)
        return found

    def value(self, name: str, whose: str) -> Value:
        """The array that a name stands for."""
        found = self.names.get(name)
        if isinstance(found, Value):
            return found
        wrong = "which nothing makes" if found is None else "a sequence, and arrays are followed"
        raise CannotTraceError(f"{whose} is {name!r}, {wrong}")

    def hold(self, graph: Any) -> None:
        """The numbers that a graph of the file holds."""
        for tensor in graph.initializer:
            self.names[tensor.name] = self._constant(tensor, tensor.name)
        for sparse in graph.sparse_initializer:
            name = sparse.values.name
            dtype = self.tensors.shape_and_dtype(sparse.values)[1]
            reader = self.tensors.sparse_reader(sparse)
            self.names[name] = Graph.constant(tuple(sparse.dims), dtype, reader, name)

    def _constant(self, tensor: Any, name: str = "") -> Value:
        shape, dtype = self.tensors.shape_and_dtype(tensor)
        return Graph.constant(shape, dtype, self.tensors.reader(tensor), name)

    # --- one node after the other ---------------------------------------------------------------

    def follow(self, nodes: Sequence[Any]) -> None:
        """All nodes, in their order."""
        for node in ordered(nodes, self.names):
            try:
                self._step(self.bound(node))
            except _ODD as error:
                raise CannotTraceError(
                    f"{said(node)} is not as ONNX defines it: {error}"
                ) from error

    def bound(self, node: Any) -> Any:
        """The node, with the attributes of the function around."""
        return bound(node, self.bindings)

    def _step(self, node: Any) -> None:
        called = self._functions.get((node.domain, node.op_type, node.overload))
        if called is not None:
            call = self.calls.function(node.name or node.op_type, node.op_type, self.around)
            self._write_out(called, node, call)
        elif node.op_type in ("If", "Loop", "Scan") and not node.domain:
            follow_control(self, node)
        elif node.op_type in sequences.OPERATORS and not node.domain:
            sequences.follow(self, node)
        elif node.op_type == "Constant" and not node.domain:
            self.names[node.output[0]] = self._literal(node)
        elif node.op_type == "Identity" and not node.domain:
            self._copy(node)
        elif node.op_type == "CastLike" and node.domain == "":
            like = self.value(node.input[1], f"an operand of {said(node)}")
            to = element_type(like.dtype)  # nothing else is seen of it
            follow_operator(
                self, helper.make_node("Cast", node.input[:1], node.output, node.name, to=to)
            )
        else:
            follow_operator(self, node)

    def _literal(self, node: Any) -> Value:
        (attribute,) = node.attribute
        if attribute.name == "value":
            return self._constant(attribute.t)
        if attribute.name == "sparse_value":
            sparse = attribute.sparse_tensor
            dtype = self.tensors.shape_and_dtype(sparse.values)[1]
            return Graph.constant(sparse.dims, dtype, self.tensors.sparse_reader(sparse))
        kinds = {"float": np.float32, "int": np.int64, "string": np.object_}
        kind = kinds[attribute.name.removeprefix("value_").removesuffix("s")]
        return constant(np.asarray(helper.get_attribute_value(attribute), kind))

    def _copy(self, node: Any) -> None:
        """Exporters keep equal weights once, and copy them to their other names."""
        value = self.names.get(node.input[0])
        if isinstance(value, list):
            self.names[node.output[0]] = value
        elif value is not None and value.node is None and value.data is not None:
            name = node.output[0] if value.name else ""
            copied = Graph.constant(value.shape, value.dtype, value.data, name)
            self.names[node.output[0]] = copied
        else:
            follow_operator(self, node)

    def _write_out(self, function: Any, node: Any, call: Call) -> None:
        """The operators of a function in the place of its call."""
        inner = self.inside(self.graph)
        inner.versions = {entry.domain: entry.version for entry in function.opset_import}
        inner.bindings, inner.around = bindings(function, node), call
        missing = []
        for place, name in enumerate(function.input):
            given = node.input[place] if place < len(node.input) else ""
            if not given:
                missing.append(name)
            elif given in self.names:
                inner.names[name] = self.names[given]
        inner.follow([without_missing(inside, missing) for inside in function.node])
        for name, result in zip(node.output, function.output, strict=False):
            if name and result in inner.names:
                self.names[name] = inner.names[result]

    def is_defined_by(self, body: Any, node: Any) -> bool:
        """Write out the function by which ONNX defines an operator; False if that cannot be."""
        before = len(self.graph.nodes)
        try:
            self._write_out(body, node, self.calls.of(node, self.around))
        except CannotTraceError:  # as for a kind that it does not fit
            for added in self.graph.nodes[before:]:
                for value in dict.fromkeys(added.operands):
                    value.users.remove(added)
            del self.graph.nodes[before:]
            return False
        return True

    def add(
        self,
        node: Any,
        role: Role,
        rule: Rule,
        operands: Sequence[Value],
        results: Sequence[Made],
        run: Callable[[Sequence[Any]], Sequence[Any]] | None,
    ) -> Node:
        """A node of the file in the graph."""
        if any(length < 0 for shape, _ in results for length in shape):
            raise CannotTraceError(f"{said(node)} gives an array with a length below 0")
        if largest(results) > MANY_ELEMENTS:
            raise CannotTraceError(
                f"{said(node)} gives an array of {largest(results)} elements, which is too many"
            )
        added = self.graph.add(
            f"{node.domain}.{node.op_type}" if node.domain else node.op_type,
            role,
            rule,
            operands,
            results,
            run if sum(map(bytes_of, results)) < MANY_BYTES else None,
            self.calls.of(node, self.around),
            source=source_of(node),
            name=own_name(node),
        )
        if role is Role.NORMALIZATION:
            added.settings = attributes_of(node)
        return added

    # --- numbers --------------------------------------------------------------------------------

    def seen(
        self, node: Any, operands: Sequence[Value], run: Callable[[Sequence[Any]], Sequence[Any]]
    ) -> list[Made]:
        """The shapes and dtypes of results in a run."""
        try:
            results = run(self.arrays_of(operands))
        except CannotReplayError as error:
            raise CannotTraceError(
                f"the shapes that {said(node)} gives are not known: {error}"
            ) from error
        if any(isinstance(array, list) or array is None for array in results):
            raise CannotTraceError(f"{said(node)} gives a sequence, and arrays are followed")
        return [(np.shape(array), dtype_of(array)) for array in results]

    def arrays_of(self, values: Sequence[Value]) -> list[Any]:
        """The arrays of some values in one call with the inputs as given; they are kept."""
        if not all(value in self.measured for value in self.graph.inputs):
            self.measured |= self._measure()
        arrays = replay(self.graph, values, self.measured)
        self.measured.update(zip(values, arrays, strict=True))
        return arrays

    def numbers(self, value: Value) -> NDArray[Any] | None:
        """Of a value that depends on no input, if they are few; they are kept."""
        if value.live or value.size > _SMALL:
            return None
        try:
            array = replay(self.graph, [value], {})[0]
        except CannotReplayError:
            return None
        if value.node is not None:
            value.data = lambda: array
        return self.graph.arrays.to_numpy(array)
