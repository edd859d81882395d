"""Small graphs written by hand in NumPy: what a front end would make, without a framework.

Each method adds one operator and returns its value. `Program.run` computes the outputs for other
inputs, so what a graph is said to do can be held against what it does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.graph import labels as rules
from normscope.graph.operators import Call, Graph, Node, Role, Value
from normscope.graph.replay import known_numbers, replay
from normscope.graph.rules import (
    Branch,
    Dims,
    Fixed,
    Host,
    Labels,
    Move,
    Opaque,
    Repeat,
    Rule,
    Scatter,
    Window,
)

Array = NDArray[Any]
Run = Callable[..., Any]


class NumpyArrays:
    """NumPy arrays are their own numbers."""

    def to_numpy(self, array: Any) -> Array:
        return np.asarray(array)

    def from_numpy(self, array: Array, dtype: str) -> Array:
        return array.astype(dtype)


class Program:
    """A graph in the making.

    Attributes:
        graph: so far.
    """

    def __init__(self) -> None:
        self.graph = Graph(NumpyArrays())
        self._calls = [self.graph.calls[0]]
        self._line = 0

    # --- beginning and end ------------------------------------------------------------------------

    def input(self, *shape: int, dtype: str = "float64", name: str = "x") -> Value:
        """An input of the model."""
        return self.graph.input(shape, dtype, name)

    def constant(self, numbers: Any, name: str = "") -> Value:
        """A value that depends on no input; a parameter if it has a name."""
        array = np.asarray(numbers)
        return self.graph.constant(array.shape, str(array.dtype), lambda: array, name)

    def outputs(self, *values: Value) -> Graph:
        """The finished graph."""
        self.graph.outputs = list(values)
        self.graph.output_names = [f"output[{n}]" for n in range(len(values))]
        return self.graph

    @contextmanager
    def layer(self, path: str, type_: str) -> Iterator[Call]:
        """Within, operators belong to a call of this layer."""
        call = Call(path, type_, self._calls[-1])
        self.graph.calls.append(call)
        self._calls.append(call)
        yield call
        self._calls.pop()

    def run(self, *inputs: Array) -> list[Array]:
        """The outputs for these inputs."""
        return run(self.graph, *inputs)

    # --- any operator -----------------------------------------------------------------------------

    def add_node(
        self,
        operator: str,
        role: Role,
        rule: Rule,
        operands: Sequence[Value],
        compute: Run | None,
        *,
        shapes: Sequence[tuple[tuple[int, ...], str]] | None = None,
        **more: Any,
    ) -> Node:
        """An operator; `compute` takes arrays and gives one, or a tuple of some."""

        def several(arrays: Sequence[Array]) -> list[Array]:
            assert compute is not None
            found = compute(*arrays)
            return [np.asarray(a) for a in (found if isinstance(found, tuple) else (found,))]

        if shapes is None:
            blanks = [np.zeros(v.shape, v.dtype) if v.live else self.numbers(v) for v in operands]
            with np.errstate(all="ignore"):
                shapes = [(array.shape, str(array.dtype)) for array in several(blanks)]
        self._line += 1
        return self.graph.add(
            operator,
            role,
            rule,
            operands,
            shapes,
            several if compute else None,
            self._calls[-1],
            source=f"program.py:{self._line}",
            **more,
        )

    def one(
        self, operator: str, role: Role, rule: Rule, operands: Sequence[Any], compute: Run | None
    ) -> Value:
        """An operator with one result; numbers among the operands become constants."""
        return self.add_node(operator, role, rule, self.values(operands), compute).results[0]

    def values(self, operands: Sequence[Any]) -> list[Value]:
        """Numbers become constants."""
        return [v if isinstance(v, Value) else self.constant(v) for v in operands]

    def numbers(self, value: Value) -> Array:
        """Of a value that depends on no input."""
        return known_numbers(self.graph, value)

    # --- elementwise ------------------------------------------------------------------------------

    def elementwise(self, operator: str, role: Role, compute: Run, *operands: Any) -> Value:
        """Operands are broadcast from the right."""
        values = self.values(operands)
        ranks = [len(v.shape) for v in values]
        return self.one(operator, role, rules.elementwise(ranks, max(ranks)), values, compute)

    def add(self, a: Any, b: Any) -> Value:
        """a + b."""
        return self.elementwise("add", Role.SHIFT, np.add, a, b)

    def sub(self, a: Any, b: Any) -> Value:
        """a - b."""
        return self.elementwise("sub", Role.SHIFT, np.subtract, a, b)

    def mul(self, a: Any, b: Any) -> Value:
        """a * b."""
        return self.elementwise("mul", Role.MULTIPLY, np.multiply, a, b)

    def div(self, a: Any, b: Any) -> Value:
        """a / b."""
        return self.elementwise("div", Role.DIVIDE, np.divide, a, b)

    def sqrt(self, a: Any) -> Value:
        """The square root."""
        return self.elementwise("sqrt", Role.ROOT, np.sqrt, a)

    def rsqrt(self, a: Any) -> Value:
        """1 / sqrt(a)."""
        return self.elementwise("rsqrt", Role.INVERSE, lambda x: 1 / np.sqrt(x), a)

    def square(self, a: Any) -> Value:
        """a * a, as one operator."""
        return self.elementwise("square", Role.POWER, np.square, a)

    def exp(self, a: Any) -> Value:
        """The exponential function."""
        return self.elementwise("exp", Role.EXPONENTIAL, np.exp, a)

    def tanh(self, a: Any) -> Value:
        """The hyperbolic tangent."""
        return self.elementwise("tanh", Role.SQUASH, np.tanh, a)

    def sigmoid(self, a: Any) -> Value:
        """1 / (1 + exp(-a))."""
        return self.elementwise("sigmoid", Role.SQUASH, lambda x: 1 / (1 + np.exp(-x)), a)

    def relu(self, a: Any) -> Value:
        """max(a, 0)."""
        return self.elementwise("relu", Role.ACTIVATION, lambda x: np.maximum(x, 0), a)

    def maximum(self, a: Any, b: Any) -> Value:
        """The larger one."""
        return self.elementwise("maximum", Role.LIMIT, np.maximum, a, b)

    def cast(self, a: Any, dtype: str) -> Value:
        """In another dtype."""
        return self.elementwise("cast", Role.COPY, lambda x: x.astype(dtype), a)

    def greater(self, a: Any, b: Any) -> Value:
        """a > b."""
        return self.elementwise("greater", Role.COMPARE, np.greater, a, b)

    def where(self, chooser: Any, a: Any, b: Any) -> Value:
        """a where it is true, else b."""
        return self.elementwise("where", Role.SELECT, np.where, chooser, a, b)

    # --- along axes -------------------------------------------------------------------------------

    def reduce(
        self,
        operator: str,
        role: Role,
        compute: Run,
        a: Value,
        axes: Collection[int],
        keeps: bool = True,
    ) -> Value:
        """A reduction by a NumPy function."""
        rule = rules.reduction(len(a.shape), axes, keeps)
        at = tuple(axes)
        return self.one(operator, role, rule, [a], lambda x: compute(x, axis=at, keepdims=keeps))

    def mean(self, a: Value, axes: Collection[int], keeps: bool = True) -> Value:
        """The mean along axes."""
        return self.reduce("mean", Role.STATISTIC, np.mean, a, axes, keeps)

    def sum(self, a: Value, axes: Collection[int], keeps: bool = True) -> Value:
        """The sum along axes."""
        return self.reduce("sum", Role.STATISTIC, np.sum, a, axes, keeps)

    def var(self, a: Value, axes: Collection[int], keeps: bool = True) -> Value:
        """The variance along axes."""
        return self.reduce("var", Role.STATISTIC, np.var, a, axes, keeps)

    def max(self, a: Value, axes: Collection[int], keeps: bool = True) -> Value:
        """The maximum along axes."""
        return self.reduce("max", Role.EXTREME, np.max, a, axes, keeps)

    def softmax(self, a: Value, axis: int) -> Value:
        """A softmax along one axis."""

        def compute(x: Array) -> Array:
            e = np.exp(x - x.max(axis, keepdims=True))
            return np.asarray(e / e.sum(axis, keepdims=True))

        rule = rules.along(len(a.shape), {axis})
        return self.one("softmax", Role.SOFTMAX, rule, [a], compute)

    def cumsum(self, a: Value, axis: int, reverse: bool = False) -> Value:
        """A sum that runs along an axis, from its end if it is reversed."""

        def compute(x: Array) -> Array:
            if reverse:
                return np.flip(np.flip(x, axis).cumsum(axis), axis)
            return x.cumsum(axis)

        rule = rules.scan(len(a.shape), axis, reverse)
        return self.one("cumsum", Role.RUNNING, rule, [a], compute)

    def sort(self, a: Value, axis: int) -> tuple[Value, Value]:
        """Sorted values along an axis, and the order."""
        node = self.add_node(
            "sort",
            Role.ORDER,
            rules.along(len(a.shape), {axis}, results=2),
            [a],
            lambda x: (np.sort(x, axis), np.argsort(x, axis, kind="stable")),
        )
        return node.results[0], node.results[1]

    def pool(self, a: Value, axis: int, window: Window) -> Value:
        """The mean of windows along an axis; what is out of range counts as zero."""
        compute = _windowed(window, axis)
        rule = rules.pooling(len(a.shape), {axis: window})
        return self.one("pool", Role.RUNNING, rule, [a], lambda x: compute(x).mean(-1))

    # --- products ---------------------------------------------------------------------------------

    def matmul(self, a: Any, b: Any) -> Value:
        """A matrix product."""
        left, right = self.values([a, b])
        ranks = len(left.shape), len(right.shape)
        rank = max(*ranks) - (min(ranks) == 1) - (max(ranks) == 1)
        rule = rules.matrix_product(*ranks, rank)
        return self.one("matmul", Role.PRODUCT, rule, [left, right], np.matmul)

    def einsum(self, equation: str, *operands: Any) -> Value:
        """Einstein's sum."""
        values = self.values(operands)

        def compute(*arrays: Array) -> Array:
            return np.asarray(np.einsum(equation, *arrays))

        return self.one("einsum", Role.PRODUCT, rules.einsum(equation), values, compute)

    def conv1d(self, a: Value, kernel: Any, window: Window) -> Value:
        """A convolution of (n, c, t) with a kernel (o, c, size)."""
        (weights,) = self.values([kernel])
        windows = _windowed(window, 2)
        positions = 0, 1, (2,)
        node = self.add_node(
            "conv1d",
            Role.PRODUCT,
            rules.convolution(positions, positions, positions, [window]),
            [a, weights],
            lambda x, w: np.einsum("nctj,ocj->not", windows(x), w),
            channel_axis=1,
        )
        return node.results[0]

    def layer_norm(self, a: Value, axes: Collection[int], *parameters: Any) -> Value:
        """A normalization in one operator; parameters of rank 1 run along the last axis."""
        values = self.values([a, *parameters])
        at = tuple(axes)

        def compute(x: Array, *scale_and_bias: Array) -> Array:
            y = (x - x.mean(at, keepdims=True)) / np.sqrt(x.var(at, keepdims=True) + 1e-5)
            y = y * scale_and_bias[0] if scale_and_bias else y
            return np.asarray(y + scale_and_bias[1] if len(scale_and_bias) > 1 else y)

        rule = rules.normalization([len(v.shape) for v in values], axes, -1)
        return self.one("layer_norm", Role.NORMALIZATION, rule, values, compute)

    # --- moves ------------------------------------------------------------------------------------

    def move(
        self,
        operator: str,
        compute: Run,
        operands: Sequence[Any],
        data: tuple[int, ...] = (0,),
        otherwise: Labels | None = None,
        names: Run | None = None,
    ) -> Value:
        """Elements are moved; `names` does it with names, if `compute` does not."""
        mover = names or compute
        rule = Move(data, lambda arrays: [np.asarray(mover(*arrays))], otherwise)
        return self.one(operator, Role.MOVE, rule, operands, compute)

    def reshape(self, a: Value, *shape: int) -> Value:
        """In another shape."""
        return self.move("reshape", lambda x: x.reshape(shape), [a])

    def transpose(self, a: Value, *order: int) -> Value:
        """The axes in another order."""
        return self.move("transpose", lambda x: x.transpose(order), [a])

    def expand(self, a: Value, *shape: int) -> Value:
        """Broadcast to a shape."""
        return self.move("expand", lambda x: np.broadcast_to(x, shape), [a])

    def flip(self, a: Value, axis: int) -> Value:
        """The other way round along an axis."""
        return self.move("flip", lambda x: np.flip(x, axis), [a])

    def slice(self, a: Value, *index: slice | int | None) -> Value:
        """Basic indexing."""
        return self.move("slice", lambda x: x[tuple(index)], [a])

    def concat(self, values: Sequence[Any], axis: int) -> Value:
        """One after another along an axis."""
        return self.move(
            "concat",
            lambda *arrays: np.concatenate(arrays, axis),
            values,
            data=tuple(range(len(values))),
        )

    def pad(self, a: Value, widths: Sequence[tuple[int, int]], number: float = 0.0) -> Value:
        """A number before and after each axis."""
        return self.move(
            "pad",
            lambda x: np.pad(x, widths, constant_values=number),
            [a],
            names=lambda x: np.pad(x, widths, constant_values=-1),
        )

    def take(self, a: Value, index: Any, axis: int = 0) -> Value:
        """Elements along an axis, at the places of an index of rank 1."""
        rank = len(a.shape)
        kept = rules.labels(rank, {axis})
        out = tuple("rows" if n == axis % rank else label for n, label in enumerate(kept))
        otherwise = Labels({0: kept, 1: ("rows",)}, (out,), chooses=frozenset({1}))
        return self.move("take", lambda x, i: np.take(x, i, axis), [a, index], otherwise=otherwise)

    def put(self, target: Value | None, source: Value, index: Any, adds: bool = False) -> Value:
        """Rows of the source are put into rows of the target, or added to them."""
        (places,) = self.values([index])
        operands = [places, source] if target is None else [places, source, target]
        count = source.shape[0] if target is None else target.shape[0]

        def compute(i: Array, s: Array, t: Array | None = None) -> Array:
            out = np.zeros((count, *s.shape[1:]), s.dtype) if t is None else t.copy()
            if adds:
                np.add.at(out, i, s)
            else:
                out[i] = s
            return out

        def where(numbers: Sequence[Array | None]) -> Array:
            index = numbers[0]
            assert index is not None
            row = int(np.prod(source.shape[1:]))
            flat = index.astype(np.int64)[:, None] * row + np.arange(row)
            return flat.reshape(source.shape)

        rule = Scatter(None if target is None else 2, 1, where, adds)
        return self.one("put", Role.MOVE, rule, operands, compute)

    # --- the rest ---------------------------------------------------------------------------------

    def fixed(self, a: Value, compute: Run) -> Value:
        """What depends on the shape alone."""
        return self.one("fixed", Role.OTHER, Fixed(), [a], compute)

    def host(self, a: Value) -> Node:
        """The program reads the numbers."""
        return self.add_node("item", Role.OTHER, Host(), [a], None, shapes=[])

    def opaque(self, compute: Run, *operands: Any, why: str = "nobody knows it") -> Value:
        """An operator of which nothing is known."""
        return self.one("mystery", Role.OTHER, Opaque(why), operands, compute)

    def branch(self, chooser: Value, bodies: Sequence[Graph], *operands: Any) -> tuple[Value, ...]:
        """Runs one of the graphs."""

        def compute(which: Array, *arrays: Array) -> tuple[Array, ...]:
            return tuple(run(bodies[int(which)], *arrays))

        values = self.values([chooser, *operands])
        rule = Branch(tuple(bodies))
        shapes = [(v.shape, v.dtype) for v in bodies[0].outputs]
        return self.add_node("branch", Role.OTHER, rule, values, compute, shapes=shapes).results

    def repeat(
        self,
        body: Graph,
        constants: Sequence[Any] = (),
        carried: Sequence[Any] = (),
        slices: Sequence[Any] = (),
        *,
        reverse: bool = False,
        condition: Graph | None = None,
    ) -> tuple[Value, ...]:
        """Runs a graph again and again: over slices, or as long as a condition holds."""
        values = self.values([*constants, *carried, *slices])
        fixed, kept = len(constants), len(constants) + len(carried)
        rounds = values[kept].shape[0] if slices else 0

        def compute(*arrays: Array) -> tuple[Array, ...]:
            same, state, parts = arrays[:fixed], list(arrays[fixed:kept]), arrays[kept:]
            rows: list[list[Array]] = []
            number = 0
            while run(condition, *same, *state)[0] if condition is not None else number < rounds:
                at = rounds - 1 - number if reverse else number
                found = run(body, *same, *state, *(part[at] for part in parts))
                state = found[: len(carried)]
                rows.append(found[len(carried) :])
                number += 1
            kept_rows = rows[::-1] if reverse else rows
            stacked = [np.stack(row) for row in zip(*kept_rows, strict=True)]
            return (*state, *stacked)

        shapes = [(v.shape, v.dtype) for v in values[fixed:kept]]
        shapes += [((rounds, *v.shape), v.dtype) for v in body.outputs[len(carried) :]]
        rule = Repeat(body, fixed, len(carried), reverse, condition)
        return self.add_node("repeat", Role.OTHER, rule, values, compute, shapes=shapes).results


def run(graph: Graph, *inputs: Array) -> list[Array]:
    """The outputs of a graph for these inputs."""
    given: dict[Value, Any] = dict(zip(graph.inputs, inputs, strict=True))
    with np.errstate(all="ignore"):
        return [np.asarray(array) for array in replay(graph, graph.outputs, given)]


def dims(text: str) -> Dims:
    """Labels by letters; a dot is None: "ab." is ("a", "b", None)."""
    return tuple(None if letter == "." else letter for letter in text)


def _windowed(window: Window, axis: int) -> Callable[[Array], Array]:
    """The windows along an axis, in a new last axis: as many as fit."""

    def compute(x: Array) -> Array:
        length = (x.shape[axis] - 1) * window.spread + 1
        reach = (window.size - 1) * window.dilation
        count = (length + window.before - reach - 1) // window.stride + 1
        out = []
        for j in range(window.size):
            at = np.arange(count) * window.stride - window.before + j * window.dilation
            seen = (at % window.spread == 0) & (at >= 0) & (at // window.spread < x.shape[axis])
            part = x.take(np.clip(at // window.spread, 0, x.shape[axis] - 1), axis)
            out.append(np.where(seen.reshape(-1, *[1] * (x.ndim - axis - 1)), part, 0))
        return np.stack(out, -1)

    return compute
