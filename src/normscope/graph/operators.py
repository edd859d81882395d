"""The operator graph: what every front end produces, and every analysis reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from math import prod
from typing import Any, Protocol

from numpy.typing import NDArray

from normscope.graph.rules import Branch, Fixed, Move, Opaque, Repeat, Rule


class Role(Enum):
    """What an operator means for a normalization; how it is called by its framework matters not.

    Elementwise, with broadcasting:
    """

    SHIFT = "adds or subtracts"
    MULTIPLY = "multiplies"
    DIVIDE = "divides operand 0 by operand 1"
    ROOT = "a square root"
    POWER = "operand 0 to the power of a number; of |x|, the square and all other even powers too"
    INVERSE = "1 / x, or 1 / sqrt(x), or another power below 0"
    LIMIT = "a minimum or maximum with a constant, such as clamp"
    EXPONENTIAL = "exp, or what grows like it"
    SQUASH = "sigmoid, tanh, softsign: what comes out is bounded"
    ACTIVATION = "another function of one value, such as ReLU or GELU"
    SELECT = "one of operands 1 and 2, which operand 0 chooses"
    COMPARE = "a comparison, or logic"
    COPY = "copies or casts"
    POINTWISE = "another function of single elements"
    # of several elements
    STATISTIC = "a sum, mean, variance, deviation or norm along axes: fewer values than there were"
    EXTREME = "a minimum, maximum or median along axes: fewer values than there were"
    RUNNING = "a mean or sum over a window, or one that runs along an axis"
    SOFTMAX = "a softmax along axes: what comes out sums to one"
    PRODUCT = "a matrix product, convolution or table lookup with learned numbers, or of two values"
    NORMALIZATION = "a normalization in one operator; operand 0 is x, result 0 is y"
    # of none
    MOVE = "moves elements"
    ORDER = "sorts elements, or takes the largest, along an axis; or tells their places"
    OTHER = "anything else"

    @property
    def elementwise(self) -> bool:
        """Whether each element depends on the elements at its own place alone."""
        return self in _ELEMENTWISE


_ELEMENTWISE = frozenset(list(Role)[: list(Role).index(Role.STATISTIC)])


@dataclass(eq=False, slots=True)
class Value:
    """One array.

    Attributes:
        shape: its shape.
        dtype: its dtype, by NumPy's name or that of `ml_dtypes`: "float32", "bfloat16".
        node: what makes it; None for inputs and constants.
        name: of an input as its user knows it; of a constant that the model holds, its path; else
            "".
        live: whether it depends on an input of the model.
        data: gives the native array of a constant, or of a value that depends on no input; None
            where it is to be computed from other values.
        users: the nodes that take it, each once.
    """

    shape: tuple[int, ...]
    dtype: str
    node: Node | None = field(default=None, repr=False)
    name: str = ""
    live: bool = False
    data: Callable[[], Any] | None = None
    users: list[Node] = field(default_factory=list, repr=False)

    @property
    def size(self) -> int:
        """The number of elements."""
        return prod(self.shape)

    @property
    def is_float(self) -> bool:
        """Whether it holds real floating-point numbers."""
        return "float" in self.dtype

    @property
    def is_parameter(self) -> bool:
        """Whether it is an array that the model holds: a parameter, or a part of its state."""
        return self.node is None and not self.live and bool(self.name)


@dataclass(eq=False)
class Call:
    """One call of one layer of the model.

    Attributes:
        path: the layer, as its user names it; "" is the model itself.
        type: the name of its class; "" where it is not known, as in a file.
        parent: the call inside of which it is made; None for the model itself.
        layer: the layer itself; None in a file.
        inputs, outputs: the values that went in and came out; empty where they are not known.
        number: 1 at the first call, 2 where the layer is used again, ...
        told: the mode that an argument of the call gives it: True is training; None where none
            does, or where that is not seen.
        again: it is run again in the backward pass, as activation checkpointing does.
    """

    path: str
    type: str
    parent: Call | None = field(default=None, repr=False)
    layer: Any = field(default=None, repr=False)
    inputs: tuple[Value, ...] = field(default=(), repr=False)
    outputs: tuple[Value, ...] = field(default=(), repr=False)
    number: int = 1
    told: bool | None = None
    again: bool = False


def calls_around(call: Call) -> Iterator[Call]:
    """A call, and those inside of which it is made; the last is that of the model itself."""
    around: Call | None = call
    while around is not None:
        yield around
        around = around.parent


@dataclass(eq=False)
class Node:
    """One operator, applied once.

    Attributes:
        number: its place in the order of computation.
        operator: its native name, for people.
        role: what it means for a normalization.
        rule: what it does with its elements.
        operands: the values it takes, in the order that `run` and the rule take them.
        results: the values it makes.
        run: gives the native arrays of the results for native arrays of the operands, which it
            changes in no way. None where it cannot be run again.
        call: of the innermost layer that it belongs to.
        source: "file.py:12", where the program says it; "" if that is not known.
        channel_axis: for a `PRODUCT` with learned numbers, or a recurrent layer in one operator,
            the axis of result 0 that holds the channels it makes; None if it makes none.
        adds_bias: whether it adds one learned number per channel too.
        name: that a file gives it; "" in a program, where operators have none.
        settings: of a normalization, what its arguments or attributes say, by their native names.
        part_of: the operator that the program calls, where that was taken apart; else "".
    """

    number: int
    operator: str
    role: Role
    rule: Rule
    operands: tuple[Value, ...]
    results: tuple[Value, ...]
    run: Callable[[Sequence[Any]], Sequence[Any]] | None
    call: Call
    source: str = ""
    channel_axis: int | None = None
    adds_bias: bool = False
    name: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    part_of: str = ""

    @property
    def called(self) -> str:
        """The native name of the operator that the program calls."""
        return self.part_of or self.operator

    @property
    def live(self) -> bool:
        """Whether a result depends on an input of the model."""
        return any(value.live for value in self.results)

    @property
    def path(self) -> str:
        """The innermost layer that it belongs to; where a file tells of none, its own name."""
        return self.call.path or self.name

    @property
    def live_operands(self) -> tuple[Value, ...]:
        """Those of its operands that depend on an input, each once."""
        return tuple(dict.fromkeys(value for value in self.operands if value.live))

    @property
    def moves(self) -> bool:
        """Whether it only moves elements of its first operand."""
        return isinstance(self.rule, Move) and 0 in self.rule.data


class CannotTraceError(Exception):
    """A model cannot be made into a graph; the text says why, and what to do instead."""


class OutOfSightError(CannotTraceError):
    """Nothing shows the operators of a model, whatever its inputs, as those of NumPy."""


class Arrays(Protocol):
    """Native arrays to NumPy's and back."""

    def to_numpy(self, array: Any) -> NDArray[Any]:
        """The numbers of a native array; of bfloat16 and the like, as float32."""

    def from_numpy(self, array: NDArray[Any], dtype: str) -> Any:
        """A native array of this dtype."""


@dataclass(eq=False)
class Graph:
    """What a model computes in one mode, for inputs of these shapes.

    Attributes:
        arrays: turns native arrays into NumPy's and back.
        nodes: in the order of computation.
        inputs: one for each array in the inputs of the model, in their order.
        outputs: of the model, in their order.
        output_names: as their user knows them.
        calls: of its layers, in the order in which they begin; the first is the model itself.
        blind: why nothing can be proved on this graph, as the program may do what it does not
            show; "" if it shows everything that depends on an input.
        notes: what the reader of a report should know about how it was found.
        most_bytes: so many bytes of arrays are made at once at most, where a part of it is run
            again; None where nobody sets a bound, as for a model that came as an object.
    """

    arrays: Arrays
    nodes: list[Node] = field(default_factory=list)
    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    output_names: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=lambda: [Call("", "")])
    blind: str = ""
    notes: list[str] = field(default_factory=list)
    most_bytes: int | None = None

    def input(self, shape: Sequence[int], dtype: str, name: str) -> Value:
        """A new input of the model."""
        value = Value(tuple(shape), dtype, name=name, live=True)
        self.inputs.append(value)
        return value

    @staticmethod
    def constant(
        shape: Sequence[int], dtype: str, data: Callable[[], Any], name: str = ""
    ) -> Value:
        """A value that depends on no input; `name` is its path where the model holds it."""
        return Value(tuple(shape), dtype, name=name, data=data)

    def add(
        self,
        operator: str,
        role: Role,
        rule: Rule,
        operands: Sequence[Value],
        results: Sequence[tuple[Sequence[int], str]],
        run: Callable[[Sequence[Any]], Sequence[Any]] | None,
        call: Call | None = None,
        *,
        source: str = "",
        channel_axis: int | None = None,
        adds_bias: bool = False,
        name: str = "",
    ) -> Node:
        """A new node at the end; `results` are shapes and dtypes. The attributes are a `Node`'s."""
        node = Node(
            len(self.nodes),
            operator,
            role,
            rule,
            tuple(operands),
            (),
            run,
            call or self.calls[0],
            source,
            channel_axis,
            adds_bias,
            name,
        )
        live = not isinstance(rule, Fixed) and any(value.live for value in operands)
        node.results = tuple(Value(tuple(s), dtype, node, live=live) for s, dtype in results)
        for value in dict.fromkeys(operands):
            value.users.append(node)
        self.nodes.append(node)
        return node

    def release_unused_moves(self) -> None:
        """Take moves whose results nothing uses from the users of what they move.

        A value that is used once besides is then used once, as its user sees it.
        """
        held = {*self.outputs, *(value for call in self.calls for value in call.outputs)}
        for node in reversed(self.nodes):
            if node.role is not Role.MOVE or any(r.users or r in held for r in node.results):
                continue
            for value in dict.fromkeys(node.operands):
                value.users.remove(node)

    @property
    def unknown_operators(self) -> dict[str, int]:
        """The live operators of which nothing is known, and how often each occurs."""
        found: dict[str, int] = {}
        for node in self.nodes:
            if isinstance(node.rule, Opaque) and node.live:
                found[node.operator] = found.get(node.operator, 0) + 1
        return found

    def bodies(self) -> Iterator[Graph]:
        """The graphs that its nodes run, and those inside of them."""
        for node in self.nodes:
            for body in bodies_of(node.rule):
                yield body
                yield from body.bodies()


def bodies_of(rule: Rule) -> tuple[Graph, ...]:
    """The graphs that a node with this rule runs."""
    match rule:
        case Branch(bodies):
            return bodies
        case Repeat(body, condition=condition):
            return (body,) if condition is None else (body, condition)
    return ()
