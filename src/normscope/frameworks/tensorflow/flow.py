"""Functions, branches and loops of TensorFlow: `If`, `Case` and `While` run graphs of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from tensorflow.python.framework.function_def_to_graph import function_def_to_graph

from normscope.frameworks.tensorflow.items import Handle, Item
from normscope.frameworks.tensorflow.operators import is_random
from normscope.graph.operators import CannotTraceError, Graph, Role, Value
from normscope.graph.replay import CannotReplayError, known_numbers, replay
from normscope.graph.rules import Branch

if TYPE_CHECKING:
    from normscope.frameworks.tensorflow.builder import Builder


def function_graph(operation: Any, function: Any) -> Any:
    """The graph of a function that an operation names."""
    name = getattr(function, "name", function)
    graph = operation.graph
    found = None
    while graph is not None and found is None:
        found = graph._functions.get(name) if hasattr(graph, "_functions") else None
        if found is None:
            try:
                found = graph._get_function(name)
            except (ValueError, KeyError):
                found = None
        graph = getattr(graph, "outer_graph", None)
    if found is None:
        raise CannotTraceError(f"the function {name} of {operation.type} is not there")
    inner = getattr(found, "graph", None)
    return inner if inner is not None else function_def_to_graph(found.definition)


def handles(items: Sequence[Item]) -> list[Handle]:
    """Those that are no arrays."""
    return [item for item in items if isinstance(item, Handle)]


def copied(outer: Graph, value: Value) -> Value:
    """A constant for another graph with the numbers of a value that depends on no input."""
    return Graph.constant(
        value.shape, value.dtype, lambda: replay(outer, [value], {})[0], value.name
    )


def is_drawn(value: Value) -> bool:
    """Whether a value depends on drawn numbers."""
    seen: set[Value] = set()
    stack = [value]
    while stack:
        node = stack.pop().node
        if node is None:
            continue
        if is_random(node.operator):
            return True
        fresh = [operand for operand in node.operands if operand not in seen]
        seen.update(fresh)
        stack += fresh
    return False


def bodies_of(operation: Any) -> list[Any]:
    """The functions among which a branch chooses, in the order of the numbers that choose them."""
    if operation.type in ("If", "StatelessIf"):
        return [operation.get_attr("else_branch"), operation.get_attr("then_branch")]
    return list(operation.get_attr("branches"))


def branch(builder: Builder, operation: Any, items: list[Item]) -> Sequence[Item]:
    """One of several functions, which the first operand chooses."""
    functions = bodies_of(operation)
    choice = items[0]
    if not isinstance(choice, Value):
        raise CannotTraceError(f"{operation.type} is chosen by something that is no array")
    if not choice.live and not is_drawn(choice):
        try:
            number = int(np.ravel(known_numbers(builder.graph, choice))[0])
        except CannotReplayError:
            pass
        else:
            chosen = min(max(number, 0), len(functions) - 1)
            return builder.inlined(operation, functions[chosen], items[1:])
    inner = [sub_graph(builder, operation, one, items[1:]) for one in functions]
    operands = [item for item in items[1:] if isinstance(item, Value)]
    written = [w for _, w in inner]
    shapes = {tuple((v.shape, v.dtype) for v in body.outputs) for body, _ in inner}
    if any(written) or len(shapes) > 1:
        why = "its branches write variables" if any(written) else "its branches differ in shape"
        return opaque(builder, operation, items, written, why)
    bodies = tuple(body for body, _ in inner)

    def run(arrays: Sequence[Any]) -> list[Any]:
        index = min(max(int(np.ravel(np.asarray(arrays[0]))[0]), 0), len(bodies) - 1)
        body = bodies[index]
        return replay(body, body.outputs, dict(zip(body.inputs, arrays[1:], strict=True)))

    call, source = builder.place(operation)
    node = builder.graph.add(
        operation.type,
        Role.OTHER,
        Branch(bodies),
        [choice, *operands],
        [(value.shape, value.dtype) for value in bodies[0].outputs],
        run,
        call,
        source=source,
    )
    return node.results


def opaque(
    builder: Builder,
    operation: Any,
    items: Sequence[Item],
    written: Sequence[set[Handle]],
    why: str,
) -> Sequence[Item]:
    """Nothing is known of what comes out, nor of the variables that are written."""
    variables = list(dict.fromkeys(handle for part in written for handle in part))
    held = [builder.state[handle] for handle in handles(items) if handle in builder.state]
    now = [builder.state[handle] for handle in variables]
    made = builder.opaque(operation, [*items, *held], [*operation.outputs, *now], why)
    for handle, value in zip(variables, made[len(operation.outputs) :], strict=True):
        builder.state[handle] = value
    return made[: len(operation.outputs)]


def sub_graph(
    builder: Builder, operation: Any, function: Any, items: Sequence[Item]
) -> tuple[Graph, set[Handle]]:
    """The graph of one branch, whose inputs are those items that are arrays; what it writes."""
    inner = function_graph(operation, function)
    call, _ = builder.place(operation)
    inside = builder.inside(call)
    graph = inside.graph
    env: dict[str, Item] = {}
    for tensor, item in zip(inner.inputs, items, strict=True):
        if isinstance(item, Value):
            value = graph.input(item.shape, item.dtype, item.name)
            env[tensor.name] = value
            remember(builder, inside, item, value)
        else:
            env[tensor.name] = item
    inherit(builder, inside)
    before = dict(inside.state)
    inside.add_all(inner, env)
    found = [env[tensor.name] for tensor in inner.outputs]
    graph.outputs = [item for item in found if isinstance(item, Value)]
    if len(graph.outputs) < len(found) or any(isinstance(item, Handle) for item in found):
        raise CannotTraceError(f"{operation.type} gives something that is no array")
    written = {handle for handle, value in inside.state.items() if before[handle] is not value}
    # a variable that holds something live is no constant inside
    written |= {handle for handle in handles(items) if builder.state.get(handle, _DEAD).live}
    return graph, written


_DEAD = Value((), "float32")


def inherit(outside: Builder, inside: Builder) -> None:
    """Inside, variables hold what they hold outside, where that depends on no input."""
    for handle, value in outside.state.items():
        inside.state[handle] = copied(outside.graph, value)


def remember(
    outside: Builder, inside: Builder, operand: Value, value: Value, first: bool = False
) -> None:
    """Inside, shapes that depend on numbers are found with those from outside, of the first round.

    Args:
        outside, inside: the builders of both graphs.
        operand: the value outside.
        value: the one inside.
        first: it is the first slice of the one outside.
    """

    def numbers() -> Any:
        (array,) = replay(outside.graph, [operand], outside.memo, outside.otherwise)
        return array[0] if first else array

    inside.given[value] = numbers
