"""`Builder`: the operations of a graph of TensorFlow, one after the other, as nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from normscope.frameworks.tensorflow import flow, loops
from normscope.frameworks.tensorflow.applied import (
    Applied,
    attributes_of,
    names,
    run,
    type_attributes_of,
)
from normscope.frameworks.tensorflow.items import (
    Handle,
    Item,
    Reserved,
    Slices,
    Stacked,
    constant,
    zeros,
)
from normscope.frameworks.tensorflow.operators import meaning
from normscope.frameworks.tensorflow.session import Place, Session
from normscope.graph.operators import Call, CannotTraceError, Graph, Node, Role, Value
from normscope.graph.replay import CannotReplayError, known_numbers, replay
from normscope.graph.rules import Opaque

_ALIASES = names(
    "Identity IdentityN StopGradient PreventGradient EnsureShape CheckNumerics "
    "CheckNumericsV2 PlaceholderWithDefault TensorListStack TensorListFromTensor"
)
_NOTHING = names("NoOp Assert PrintV2 Placeholder _Arg ControlTrigger")
_OF_PROGRAM = names("PyFunc EagerPyFunc PyFuncStateless")


class Builder:
    """Turns operations into nodes of one graph.

    Attributes:
        graph: to which they are added.
        call: the layer of operations of which no layer is known.
        state: what each variable holds at this point of the program.
        memo: tensors with numbers of some values, for shapes that depend on numbers.
        given: gives the numbers of inputs of the graph.
    """

    def __init__(self, session: Session, graph: Graph, call: Call) -> None:
        self.session = session
        self.graph = graph
        self.call = call
        self.state: dict[Handle, Value] = {}
        self.memo: dict[Value, Any] = {}
        self.given: dict[Value, Callable[[], Any]] = {}

    def inside(self, call: Call) -> Builder:
        """The builder of a graph that one of the operations runs; variables have no value in it."""
        return Builder(self.session, Graph(self.graph.arrays, calls=[call]), call)

    def add_all(self, traced: Any, env: dict[str, Item]) -> None:
        """All operations of a graph of TensorFlow.

        Args:
            traced: the graph.
            env: what its inputs are, by the names of the tensors; the others are added to it.
        """
        self.session.graphs[traced.name] = self.graph
        for operation in traced.get_operations():
            self._add(operation, env)
        for name, item in env.items():
            self.session.values[traced.name, name] = item

    def _add(self, operation: Any, env: dict[str, Item]) -> None:
        origins = self.session.origins(operation)
        if origins is not None:
            seen = [self.session.value(t) if t.name not in env else env[t.name] for t in origins]
            (env[operation.outputs[0].name],) = self.opaque(operation, seen, operation.outputs)
            return
        if operation.type in _NOTHING:
            return
        items = [env[tensor.name] for tensor in operation.inputs]
        results = self._special(operation, items)
        if results is None:
            results = self._generic(operation, items)
        for tensor, item in zip(operation.outputs, results, strict=True):
            env[tensor.name] = item

    def otherwise(self, value: Value) -> Any:
        """The numbers of an input of the graph.

        Raises:
            CannotReplayError: they are not known.
        """
        if value not in self.given:
            raise CannotReplayError("an input of a loop or branch is not known")
        return self.given[value]()

    # --- what is no plain operator --------------------------------------------------------------

    def _special(self, operation: Any, items: list[Item]) -> Sequence[Item] | None:
        name = operation.type
        if name in _ALIASES:
            return items[: len(operation.outputs)]
        if name in ("PartitionedCall", "StatefulPartitionedCall"):
            return self.inlined(operation, operation.get_attr("f"), items)
        if name in ("If", "StatelessIf", "Case", "StatelessCase"):
            return flow.branch(self, operation, items)
        if name in ("While", "StatelessWhile"):
            return loops.loop(self, operation, items)
        if name == "Const":
            tensor = tf.make_ndarray(operation.get_attr("value"))
            if tensor.dtype == object:
                return [Handle(tensor)]
            return [constant(tensor.shape, operation.outputs[0].dtype.name, tensor)]
        if "TensorList" in name:
            return self._of_lists(operation, items)
        first = items[0] if items else None
        if isinstance(first, Handle) and first in self.state:
            return self._of_variables(operation, items, first)
        return None

    def _of_variables(
        self, operation: Any, items: list[Item], handle: Handle
    ) -> Sequence[Item] | None:
        now = self.state[handle]
        match operation.type:
            case "ReadVariableOp":
                return [now]
            case "AssignVariableOp" if isinstance(items[1], Value):
                self.state[handle] = items[1]
                return []
            case "AssignAddVariableOp" | "AssignSubVariableOp":
                simple = "AddV2" if "Add" in operation.type else "Sub"
                node = self._node(
                    operation,
                    simple,
                    {"T": tf.as_dtype(now.dtype)},
                    [now, items[1]],
                    [now],
                    ("T", "T"),
                )
                self.state[handle] = node.results[0]
                return []
            case "VariableShape" | "VarIsInitializedOp":
                shape = np.array(now.shape if "Shape" in operation.type else True, np.int32)
                return [constant(shape.shape, "int32", tf.constant(shape))]
            case "ResourceGather":
                attributes = attributes_of(operation)
                attributes = {
                    "Tparams": tf.as_dtype(now.dtype),
                    "Tindices": attributes["Tindices"],
                    "Taxis": tf.int32,
                    "batch_dims": attributes["batch_dims"],
                }
                axis = constant((), "int32", tf.constant(0))
                types = ("Tparams", "Tindices", "Taxis")
                operands = [now, items[1], axis]
                return self._node(
                    operation, "GatherV2", attributes, operands, operation.outputs, types
                ).results
        # it reads or writes in a way not known here
        written = self.opaque(operation, [now, *items[1:]], [*operation.outputs, now])
        self.state[handle] = written[-1]
        return written[:-1]

    def _of_lists(self, operation: Any, items: list[Item]) -> Sequence[Item] | None:
        """A list of tensors is held as one array, with a new first axis."""
        match operation.type, items:
            case "TensorListReserve", [Value() as shape, Value() as length]:
                (count,) = np.ravel(known_numbers(self.graph, length))
                element = np.ravel(known_numbers(self.graph, shape))
                dtype = operation.get_attr("element_dtype").name
                empty = Reserved(int(count), dtype)
                if np.any(element < 0) or np.ndim(known_numbers(self.graph, shape)) == 0:
                    return [empty]
                return [zeros(empty, tuple(map(int, element)))]
            case "TensorListGetItem", [Slices(now), *_]:
                return [now]
            case "TensorListSetItem", [Stacked(), _, Value() as element]:
                return [element]
            case "TensorListSetItem", [Reserved() as empty, index, Value() as element]:
                full = zeros(empty, element.shape)
                return self._node(
                    operation, operation.type, {}, [full, index, element], [full]
                ).results
            case "TensorListSetItem", [Value() as full, index, Value() as element]:
                return self._node(
                    operation, operation.type, {}, [full, index, element], [full]
                ).results
            case "TensorListGetItem", [Value() as full, index, *_]:
                result = Value(full.shape[1:], full.dtype)
                return self._node(operation, operation.type, {}, [full, index], [result]).results
            case "TensorListLength", [Value() as full]:
                return [constant((), "int32", tf.constant(full.shape[0]))]
        return None

    def inlined(self, operation: Any, function: Any, items: Sequence[Item]) -> list[Item]:
        """The operations of a function that is called, in the place of the call."""
        inner = flow.function_graph(operation, function)
        outer, self.call = self.call, self.place(operation)[0]
        env = {tensor.name: item for tensor, item in zip(inner.inputs, items, strict=True)}
        self.add_all(inner, env)
        self.call = outer
        return [env[tensor.name] for tensor in inner.outputs]

    def place(self, operation: Any) -> Place:
        """The layer and the source line of an operation."""
        return self.session.made.get((operation.graph.name, operation.name), (self.call, ""))

    # --- plain operators ------------------------------------------------------------------------

    def _generic(self, operation: Any, items: list[Item]) -> Sequence[Value]:
        name = operation.type
        outputs = operation.outputs
        if any(tensor.dtype in (tf.resource, tf.variant) for tensor in outputs):
            return [Handle(tensor) for tensor in outputs]  # type: ignore[misc]
        if name in _OF_PROGRAM:
            self.graph.blind = (
                f"{name} runs a function of the program, inside of which nothing is seen"
            )
            return self.opaque(operation, items, outputs)
        attributes = attributes_of(operation)
        types = type_attributes_of(operation)
        if name == "SquaredDifference" and len(items) == 2:
            difference = self._node(operation, "Sub", attributes, items, outputs, types)
            return self._node(
                operation, "Square", attributes, difference.results, outputs, types[:1]
            ).results
        if not outputs:
            if any(isinstance(item, Handle) for item in items) and any(
                isinstance(item, Value) and item.live for item in items
            ):
                self.graph.blind = f"{name} writes where it cannot be followed"
            return []
        return self._node(operation, name, attributes, items, outputs, types).results

    def _node(
        self,
        operation: Any,
        name: str,
        attributes: dict[str, Any],
        items: Sequence[Item],
        results: Sequence[Any],
        types: tuple[str, ...] = (),
    ) -> Node:
        """A node; `results` are tensors or values of the shapes and dtypes that it makes."""
        operands = [item for item in items if isinstance(item, Value)]
        handles = [item for item in items if isinstance(item, Handle)]
        if len(operands) + len(handles) < len(items):
            raise CannotTraceError(f"{name} uses a list of tensors in a way not known here")
        is_array = [isinstance(item, Value) for item in items]

        def again(arrays: Sequence[Any]) -> list[Any]:
            given, others = iter(arrays), iter(handles)
            every = [next(given) if one else next(others).tensor for one in is_array]
            if name in _LISTS:
                return [_LISTS[name](*every)]
            return run(name, attributes, every, len(results))

        kept = [n for n, one in enumerate(is_array) if one]
        shapes = _known_shapes(results) or self._seen_shapes(operands, again)
        typed = [
            (shape, result.dtype if isinstance(result, Value) else result.dtype.name)
            for shape, result in zip(shapes, results, strict=True)
        ]
        applied = Applied(
            name,
            attributes,
            tuple(value.shape for value in operands),
            tuple(value.dtype for value in operands),
            tuple(shapes),
            tuple(value.live for value in operands),
            lambda number: known_numbers(self.graph, operands[number]),
            tuple(types[n] for n in kept) if types else ("",) * len(operands),
        )
        meant = meaning(applied)
        call, source = self.place(operation)
        return self.graph.add(
            name,
            meant.role,
            meant.rule,
            operands,
            typed,
            again,
            call,
            source=source,
            channel_axis=meant.channel_axis,
        )

    def opaque(
        self, operation: Any, items: Sequence[Item], results: Sequence[Any], why: str = ""
    ) -> list[Value]:
        """The results of an operation that may do anything with its operands."""
        operands = [item for item in items if isinstance(item, Value)]
        shapes = _known_shapes(results)
        if shapes is None and len(operands) == len(operation.inputs):
            attributes, count = attributes_of(operation), len(operation.outputs)
            shapes = self._seen_shapes(
                operands, lambda arrays: run(operation.type, attributes, arrays, count)
            )
        if shapes is None:
            raise CannotTraceError(f"the shapes of what {operation.type} gives are not known")
        typed = [
            (shape, result.dtype if isinstance(result, Value) else result.dtype.name)
            for shape, result in zip(shapes, results, strict=True)
        ]
        call, source = self.place(operation)
        rule = Opaque(why) if why else Opaque()
        node = self.graph.add(
            operation.type, Role.OTHER, rule, operands, typed, None, call, source=source
        )
        return list(node.results)

    def _seen_shapes(
        self, operands: Sequence[Value], again: Callable[[Sequence[Any]], list[Any]]
    ) -> list[tuple[int, ...]]:
        """The shapes of results for the numbers that the model was traced with."""
        try:
            arrays = replay(self.graph, operands, self.memo, self.otherwise)
        except CannotReplayError as error:
            raise CannotTraceError(f"a shape depends on numbers, and {error}") from error
        self.memo |= dict(zip(operands, arrays, strict=True))
        note = "where a shape depends on numbers, it is that of the numbers given"
        if note not in self.graph.notes:
            self.graph.notes.append(note)
        try:
            return [tuple(tensor.shape) for tensor in again(arrays)]
        except tf.errors.OpError as error:
            raise CannotTraceError(f"a shape depends on numbers: {error!s:.200}") from error


_LISTS: dict[str, Callable[..., Any]] = {
    "TensorListGetItem": lambda full, index: tf.gather(full, index),
    "TensorListSetItem": lambda full, index, element: tf.tensor_scatter_nd_update(
        full, [[index]], element[None]
    ),
}


def _known_shapes(results: Sequence[Any]) -> list[tuple[int, ...]] | None:
    """The shapes of tensors or values; None if one of them is not known."""
    shapes = [result.shape for result in results]
    if any(isinstance(shape, tf.TensorShape) and not shape.is_fully_defined() for shape in shapes):
        return None
    return [tuple(map(int, shape)) for shape in shapes]
