"""Loops of TensorFlow: a `While` whose rounds are counted becomes a walk over slices.

Recurrent layers, `scan` and `map` are such loops: a counter, which no input changes, says which
element of a list is read and written in each round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from normscope.frameworks.tensorflow import flow
from normscope.frameworks.tensorflow.applied import attributes_of, names, run
from normscope.frameworks.tensorflow.items import Handle, Item, Reserved, Slices, Stacked, zeros
from normscope.frameworks.tensorflow.operators import is_random
from normscope.frameworks.tensorflow.rounds import MOST_ROUNDS, repeated
from normscope.graph.operators import CannotTraceError, Graph, Node, Role, Value
from normscope.graph.replay import CannotReplayError, known_numbers
from normscope.graph.rules import Repeat

if TYPE_CHECKING:
    from normscope.frameworks.tensorflow.builder import Builder


class _NotCountedError(Exception):
    """How many rounds there are depends on more than counters."""


@dataclass
class _Loop:
    """A loop as TensorFlow has it.

    Attributes:
        condition, body: the graphs of its functions.
        items: what is given at the beginning.
        counters: of the counters, by their place, the values at the beginning of each round.
        ends: their values at the end.
        rounds: how many there are; None where that is not known.
    """

    condition: Any
    body: Any
    items: Sequence[Item]
    counters: dict[int, NDArray[Any]] = field(default_factory=dict)
    ends: dict[int, NDArray[Any]] = field(default_factory=dict)
    rounds: int | None = None

    def unchanged(self, place: int) -> bool:
        """Whether what is at this place is the same in all rounds."""
        return _origin(self.body.outputs[place]) is self.body.inputs[place]

    def reads(self, place: int) -> bool:
        """Whether a list is read in order, one element in each round, and nothing else."""
        users = _users(self.body.inputs[place])
        return (
            self.unchanged(place)
            and bool(users)
            and all(
                user.type == "TensorListGetItem" and self._in_order(user.inputs[1])
                for user in users
            )
        )

    def writes(self, place: int) -> Any | None:
        """The element that is written in each round, where a list is written in order."""
        made = _origin(self.body.outputs[place]).op
        users = _users(self.body.inputs[place])
        if (
            made.type == "TensorListSetItem"
            and users == [made]
            and _origin(made.inputs[0]) is self.body.inputs[place]
            and self._in_order(made.inputs[1])
        ):
            return made.inputs[2]
        return None

    def element(self, place: int) -> tuple[int, ...] | None:
        """The shape of the elements of a list, as far as a write in the body tells it."""
        for user in _users(self.body.inputs[place]):
            if user.type == "TensorListSetItem" and user.inputs[2].shape.is_fully_defined():
                return tuple(user.inputs[2].shape.as_list())
        return None

    def _in_order(self, index: Any) -> bool:
        origin = _origin(index)
        for place, values in self.counters.items():
            if self.body.inputs[place] is origin:
                return bool(np.array_equal(values, np.arange(self.rounds or 0)))
        return False


def loop(builder: Builder, operation: Any, items: list[Item]) -> Sequence[Item]:
    """The results of a loop."""
    found = _Loop(
        flow.function_graph(operation, operation.get_attr("cond")),
        flow.function_graph(operation, operation.get_attr("body")),
        items,
    )
    try:
        _count(builder, found)
    except (_NotCountedError, CannotReplayError):
        found.rounds, found.counters, found.ends = None, {}, {}
    if found.rounds == 0:
        return items
    made = list(items)
    for place, item in enumerate(items):
        if isinstance(item, Reserved):
            shape = found.element(place)
            if shape is None:
                raise CannotTraceError("a list of tensors grows in a way not known here")
            made[place] = zeros(item, shape)
    found.items = made
    return _Conversion(builder, operation, found).results()


def _count(builder: Builder, loop: _Loop) -> None:
    """Run through the rounds with the counters alone.

    Raises:
        _NotCountedError: what ends the loop depends on an input, or on drawn numbers.
        CannotReplayError: a number is not there.
    """
    places = _closure(loop)
    known: dict[int, Any] = {}
    for place in places:
        item = loop.items[place]
        if not isinstance(item, Value) or item.live or flow.is_drawn(item):
            raise _NotCountedError
        known[place] = tf.constant(known_numbers(builder.graph, item), item.dtype)
    counting = [place for place in places if not loop.unchanged(place)]
    values: dict[int, list[Any]] = {place: [] for place in counting}
    for rounds in range(MOST_ROUNDS):
        if not bool(_evaluated(loop.condition, [loop.condition.outputs[0]], known)[0]):
            loop.rounds = rounds
            break
        for place in counting:
            values[place].append(np.asarray(known[place]))
        wanted = [loop.body.outputs[place] for place in counting]
        for place, now in zip(counting, _evaluated(loop.body, wanted, known), strict=True):
            known[place] = now
    else:
        raise _NotCountedError
    loop.counters = {place: np.stack(seen) for place, seen in values.items() if seen}
    loop.ends = {place: np.asarray(known[place]) for place in counting}


def _closure(loop: _Loop) -> list[int]:
    """The places on which the end of the loop depends, round after round."""
    found: set[int] = set()
    waiting = _inputs_of(loop.condition, loop.condition.outputs[0])
    while waiting:
        place = waiting.pop()
        if place not in found:
            found.add(place)
            if not loop.unchanged(place):
                waiting |= _inputs_of(loop.body, loop.body.outputs[place])
    return sorted(found)


def _inputs_of(graph: Any, tensor: Any) -> set[int]:
    """The inputs of a graph on which a tensor depends."""
    places = {one.name: place for place, one in enumerate(graph.inputs)}
    found: set[int] = set()
    seen: set[str] = set()
    stack = [tensor]
    while stack:
        one = stack.pop()
        if one.name in places:
            found.add(places[one.name])
        elif one.op.name not in seen:
            seen.add(one.op.name)
            if is_random(one.op.type) or one.op.type in _UNCOUNTED:
                raise _NotCountedError
            stack += one.op.inputs
    return found


_UNCOUNTED = names(
    "While StatelessWhile If StatelessIf Case StatelessCase PartitionedCall "
    "StatefulPartitionedCall ReadVariableOp PyFunc EagerPyFunc"
)


def _evaluated(graph: Any, tensors: Sequence[Any], known: dict[int, Any]) -> list[Any]:
    """Some tensors of a graph, with numbers for some of its inputs."""
    numbers = {graph.inputs[place].name: value for place, value in known.items()}

    def value(tensor: Any) -> Any:
        if tensor.name not in numbers:
            operation = tensor.op
            if operation.type == "Const":
                made = [tf.constant(tf.make_ndarray(operation.get_attr("value")))]
            elif operation.type == "Placeholder":
                raise _NotCountedError
            else:
                given = [value(one) for one in operation.inputs]
                made = run(operation.type, attributes_of(operation), given, len(operation.outputs))
            numbers.update(zip((one.name for one in operation.outputs), made, strict=True))
        return numbers[tensor.name]

    return [value(tensor) for tensor in tensors]


def _origin(tensor: Any) -> Any:
    while tensor.op.type == "Identity":
        tensor = tensor.op.inputs[0]
    return tensor


def _users(tensor: Any) -> list[Any]:
    """The operations that take a tensor, but for those that hand it on."""
    found = []
    for user in tensor.consumers():
        found += _users(user.outputs[0]) if user.type == "Identity" else [user]
    return found


class _Conversion:
    """One loop, as a node that repeats a graph.

    What is the same in all rounds and live becomes a constant of the loop; what is the same and not
    live is a constant of the body; lists and counters become slices and what is stacked.
    """

    def __init__(self, builder: Builder, operation: Any, loop: _Loop) -> None:
        self.builder = builder
        self.operation = operation
        self.loop = loop
        self.call, self.source = builder.place(operation)
        self.constants: list[int] = []
        self.carried: list[int] = []
        self.sliced: list[int] = []
        self.stacked: list[int] = []
        self.fixed: list[int] = []
        for place, item in enumerate(loop.items):
            if not isinstance(item, Value):
                self.fixed.append(place)
            elif place in loop.counters or (self._in_rounds(place) and loop.reads(place)):
                self.sliced.append(place)
            elif self._in_rounds(place) and loop.writes(place) is not None:
                self.stacked.append(place)
            elif not loop.unchanged(place):
                self.carried.append(place)
            elif item.live:
                self.constants.append(place)
            else:
                self.fixed.append(place)
        # variables that hold something live are constants of the loop too
        self.variables = [
            handle
            for handle in flow.handles(loop.items)
            if handle in builder.state and builder.state[handle].live
        ]

    def _in_rounds(self, place: int) -> bool:
        """Whether it is a list with one element for each round."""
        is_list = self.loop.body.inputs[place].dtype == tf.variant
        return bool(is_list and self._value(place).shape[0] == self.loop.rounds)

    def results(self) -> Sequence[Item]:
        """What comes out of the loop, in the places of TensorFlow."""
        body, written = self._graph(self.loop.body, stacks=True)
        condition = None
        if self.loop.rounds is None:
            condition, more = self._graph(self.loop.condition, stacks=False)
            written |= more
        outputs = body.outputs[: len(self.carried)]
        begins = [self.loop.items[place] for place in self.carried]
        same = all(
            isinstance(begin, Value) and (begin.shape, begin.dtype) == (end.shape, end.dtype)
            for begin, end in zip(begins, outputs, strict=True)
        )
        if written or not same:
            why = "it writes variables in each round" if written else "shapes change in each round"
            return self._opaque(written, why)
        node = self._node(body, condition)
        given = iter(node.results)
        made: dict[int, Item] = {place: next(given) for place in self.carried + self.stacked}
        for place, end in self.loop.ends.items():
            made[place] = _constant(end)
        return [made.get(place, item) for place, item in enumerate(self.loop.items)]

    def _node(self, body: Graph, condition: Graph | None) -> Node:
        operands: list[Value] = []
        for place in self.constants:
            operands.append(self._value(place))
        operands += [self.builder.state[handle] for handle in self.variables]
        operands += [self._value(place) for place in self.carried]
        for place in self.sliced:
            counted = self.loop.counters.get(place)
            operands.append(self._value(place) if counted is None else _constant(counted))
        constants = len(self.constants) + len(self.variables)
        rule = Repeat(body, constants, len(self.carried), condition=condition)
        carried = body.outputs[: len(self.carried)]
        stacked = body.outputs[len(self.carried) :]
        results = [(value.shape, value.dtype) for value in carried]
        results += [((self.loop.rounds or 0, *value.shape), value.dtype) for value in stacked]
        return self.builder.graph.add(
            self.operation.type,
            Role.OTHER,
            rule,
            operands,
            results,
            lambda arrays: repeated(rule, arrays, len(stacked)),
            self.call,
            source=self.source,
        )

    def _value(self, place: int) -> Value:
        item = self.loop.items[place]
        if not isinstance(item, Value):
            raise CannotTraceError("a loop carries something that is no array")
        return item

    def _graph(self, function: Any, stacks: bool) -> tuple[Graph, set[Handle]]:
        """The graph of the body or of the condition, and the variables that it writes."""
        inside = self.builder.inside(self.call)
        graph = inside.graph
        flow.inherit(self.builder, inside)
        env: dict[str, Item] = {}

        def enter(place: int, shape: tuple[int, ...]) -> Value:
            outside = self._value(place)
            value = graph.input(shape, outside.dtype, outside.name)
            flow.remember(self.builder, inside, outside, value, first=shape != outside.shape)
            return value

        for place in self.constants:
            env[function.inputs[place].name] = enter(place, self._value(place).shape)
        for handle in self.variables:
            held = self.builder.state[handle]
            inside.state[handle] = graph.input(held.shape, held.dtype, held.name)
            flow.remember(self.builder, inside, held, inside.state[handle])
        for place in self.carried:
            env[function.inputs[place].name] = enter(place, self._value(place).shape)
        for place in self.sliced if stacks else []:
            counted = self.loop.counters.get(place)
            if counted is None:
                now = enter(place, self._value(place).shape[1:])
                env[function.inputs[place].name] = Slices(now)
            else:
                now = graph.input(counted.shape[1:], self._value(place).dtype, "")
                inside.memo[now] = tf.constant(counted[0])
                env[function.inputs[place].name] = now
        for place in self.stacked:
            env[function.inputs[place].name] = Stacked()
        for place in self.fixed:
            item = self.loop.items[place]
            env[function.inputs[place].name] = (
                flow.copied(self.builder.graph, item) if isinstance(item, Value) else item
            )
        before = dict(inside.state)
        inside.add_all(function, env)
        if stacks:
            wanted = [function.outputs[place] for place in self.carried + self.stacked]
        else:
            wanted = list(function.outputs[:1])
        found = [env[tensor.name] for tensor in wanted]
        graph.outputs = [item for item in found if isinstance(item, Value)]
        if len(graph.outputs) < len(found):
            raise CannotTraceError("a loop carries a list of tensors in a way not known here")
        return graph, {h for h, value in inside.state.items() if before[h] is not value}

    def _opaque(self, written: set[Handle], why: str) -> Sequence[Item]:
        return flow.opaque(self.builder, self.operation, list(self.loop.items), [written], why)


def _constant(array: NDArray[Any]) -> Value:
    return Graph.constant(array.shape, array.dtype.name, lambda: tf.constant(array))
