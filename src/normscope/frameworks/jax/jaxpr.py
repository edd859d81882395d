"""From a jaxpr to a `Graph`: what it calls is put in its place, loops and branches are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Literal
from numpy.typing import NDArray

from normscope.frameworks.jax.arrays import JaxArrays
from normscope.frameworks.jax.calls import Calls
from normscope.frameworks.jax.marks import MARK
from normscope.frameworks.jax.operators import meaning
from normscope.frameworks.jax.running import running
from normscope.frameworks.jax.sources import source_of
from normscope.graph.operators import Call, Graph, Role, Value
from normscope.graph.replay import CannotReplayError, known_numbers, replay
from normscope.graph.rules import Branch, Host, Move, Repeat, Scatter

_INLINED = {
    "call": "call_jaxpr",
    "closed_call": "call_jaxpr",
    "composite": "jaxpr",
    "compute_on": "jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "custom_vmap_call": "call",
    "eval_jaxpr": "jaxpr",
    "jit": "jaxpr",
    "remat2": "jaxpr",
}
"""Primitives that call a function, with the parameter that holds it."""

_WITHOUT_EFFECT = ("debug_print", "inspect_sharding")
"""They show numbers to people, and have no result."""


_UNROLLED = 5_000
"""So many operators are written out for a loop whose rounds have places of their own."""


@dataclass(frozen=True)
class Constant:
    """An input of a jaxpr that is no input of the model, but an array that it holds.

    Attributes:
        name: its path, as its user knows it.
        array: its numbers.
    """

    name: str
    array: Any


def graph_of(
    closed: Any,
    inputs: Sequence[str | Constant],
    output_names: Sequence[str] = (),
    model: Call | None = None,
    held: Mapping[int, str] | None = None,
) -> Graph:
    """The operator graph of a jaxpr, such as `jax.make_jaxpr` gives it.

    Args:
        closed: the closed jaxpr.
        inputs: for each of its inputs, the name of an input of the model, or an array that the
            model holds.
        output_names: of its outputs; by number, if there are none.
        model: the call of the model itself, without values.
        held: the names of arrays among its constants, by their `id`.
    """
    graph = Graph(JaxArrays())
    if model is not None:
        graph.calls[0] = model
    given = []
    for variable, source in zip(closed.jaxpr.invars, inputs, strict=True):
        shape, dtype = _type(variable)
        if isinstance(source, str):
            given.append(graph.input(shape, dtype, source))
        else:
            given.append(graph.constant(shape, dtype, _giving(source.array), source.name))
    walk = _Walk(graph, held or {})
    graph.outputs = walk.closed(closed, given, "")
    graph.output_names = list(output_names) or [f"output[{n}]" for n in range(len(graph.outputs))]
    graph.calls[0].inputs, graph.calls[0].outputs = tuple(graph.inputs), tuple(graph.outputs)
    return graph


class _Walk:
    """The making of one graph; of the graphs inside of it, others."""

    def __init__(self, graph: Graph, held: Mapping[int, str]) -> None:
        self.graph = graph
        self.held = held
        self.calls = Calls(graph)

    def closed(self, closed: Any, given: Sequence[Value], source: str) -> list[Value]:
        """The outputs of a closed jaxpr for these inputs."""
        return self.open(closed.jaxpr, [self._constant(c) for c in closed.consts], given, source)

    def open(
        self, jaxpr: Any, constants: Sequence[Value], given: Sequence[Value], source: str
    ) -> list[Value]:
        """The outputs of a jaxpr for these constants and inputs.

        Args:
            jaxpr: without its constants.
            constants: of the jaxpr.
            given: its inputs.
            source: the line that calls it, for operators of which no line is known.
        """
        found: dict[Any, Value] = dict(zip(jaxpr.constvars, constants, strict=True))
        found.update(zip(jaxpr.invars, given, strict=True))

        def read(atom: Any) -> Value:
            if isinstance(atom, Literal):
                return self._literal(atom)
            return found[atom]

        for equation in jaxpr.eqns:
            operands = [read(atom) for atom in equation.invars]
            results = self._equation(equation, operands, source_of(equation) or source)
            found.update(zip(equation.outvars, results, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _constant(self, array: Any) -> Value:
        aval = jax.typeof(array)
        return self.graph.constant(
            aval.shape, str(aval.dtype), _giving(array), self.held.get(id(array), "")
        )

    def _literal(self, atom: Any) -> Value:
        shape, dtype = _type(atom)
        return self.graph.constant(shape, dtype, lambda: jnp.asarray(atom.val, atom.aval.dtype))

    # --- equations ------------------------------------------------------------------------------

    def _equation(self, equation: Any, operands: list[Value], source: str) -> Sequence[Value]:
        name = equation.primitive.name
        if equation.primitive is MARK:
            mark, count = equation.params["mark"], len(operands)
            if equation.params["entered"]:
                self.calls.enter(mark, operands[: count - len(mark.holds)], operands)
            else:
                self.calls.leave(mark, operands)
            return operands
        if name in _WITHOUT_EFFECT:
            return []
        if name in _INLINED:
            body = equation.params[_INLINED[name]]
            if hasattr(body, "consts"):
                return self.closed(body, operands, source)
            return self.open(body, (), operands, source)
        if name == "custom_linear_solve":
            solve = equation.params["jaxprs"].solve
            lengths = equation.params["const_lengths"]
            skipped = lengths.matvec + lengths.vecmat
            given = operands[skipped : skipped + lengths.solve]
            rest = operands[skipped + lengths.solve + lengths.transpose_solve :]
            return self.closed(solve, [*given, *rest], source)
        if name in _CONTROL:
            return _CONTROL[name](self, equation, operands, source)
        self._notice_effects(equation, operands)
        found = meaning(equation, operands, self._known)
        if not equation.outvars:
            self._add(equation, operands, source, Role.OTHER, Host())
            return []
        return self._add(
            equation, operands, source, found.role, found.rule, found.order, found.channel_axis
        )

    def _notice_effects(self, equation: Any, operands: Sequence[Value]) -> None:
        name = equation.primitive.name
        if "callback" in name and any(value.live for value in operands):
            self.graph.blind = f"it calls a function of Python ({name}), which may keep what it saw"
        elif equation.effects and "callback" not in name:
            self.graph.blind = f"it has a side effect ({name})"

    def _known(self, value: Value) -> NDArray[Any] | None:
        try:
            return known_numbers(self.graph, value)
        except CannotReplayError:
            return None

    def _add(
        self,
        equation: Any,
        operands: Sequence[Value],
        source: str,
        role: Role,
        rule: Any,
        order: Sequence[int] = (),
        channel_axis: int | None = None,
    ) -> tuple[Value, ...]:
        node = self.graph.add(
            equation.primitive.name,
            role,
            rule,
            [operands[number] for number in order] if order else operands,
            [_type(variable) for variable in equation.outvars],
            running(equation, rule, order),
            self.calls.innermost,
            source=source,
            channel_axis=channel_axis,
        )
        return node.results

    # --- graphs inside --------------------------------------------------------------------------

    def scan(self, equation: Any, operands: Sequence[Value], source: str) -> Sequence[Value]:
        """A loop of a known number of rounds."""
        params = equation.params
        constants, carried = params["num_consts"], params["num_carry"]
        body = self._body(params["jaxpr"], operands, constants, carried)
        if _needs_its_round(body) and params["length"] * len(body.nodes) <= _UNROLLED:
            return self._unrolled(equation, operands, source)
        rule = Repeat(body, constants, carried, bool(params["reverse"]))
        return self._add(equation, operands, source, Role.OTHER, rule)

    def _unrolled(self, equation: Any, operands: Sequence[Value], source: str) -> Sequence[Value]:
        """A loop as its rounds, one after the other."""
        params = equation.params
        first, length = params["num_consts"], params["length"]
        kept = first + params["num_carry"]
        constants, carried, sliced = operands[:first], operands[first:kept], operands[kept:]
        stacked: list[Sequence[Value]] = []
        for number in reversed(range(length)) if params["reverse"] else range(length):
            slices = [self._slice(value, number, source) for value in sliced]
            made = self.closed(params["jaxpr"], [*constants, *carried, *slices], source)
            carried, rest = made[: kept - first], made[kept - first :]
            stacked.append(rest)
        rows = zip(*(stacked[::-1] if params["reverse"] else stacked), strict=True)
        return [*carried, *(self._stack(row, source) for row in rows)]

    def _slice(self, value: Value, number: int, source: str) -> Value:
        shape, dtype = value.shape[1:], value.dtype
        rule = Move((0,), lambda arrays: [arrays[0][number]])
        return self._moved("slice", rule, [value], shape, dtype, source)

    def _stack(self, values: Sequence[Value], source: str) -> Value:
        shape, dtype = (len(values), *values[0].shape), values[0].dtype
        rule = Move(tuple(range(len(values))), lambda arrays: [np.stack(arrays)])
        return self._moved("stack", rule, values, shape, dtype, source)

    def _moved(
        self,
        name: str,
        rule: Move,
        operands: Sequence[Value],
        shape: Sequence[int],
        dtype: str,
        source: str,
    ) -> Value:
        def run(given: Sequence[Any]) -> Sequence[Any]:
            return [jnp.stack(given)] if name == "stack" else rule.replay(given)

        node = self.graph.add(
            name,
            Role.MOVE,
            rule,
            operands,
            [(shape, dtype)],
            run,
            self.calls.innermost,
            source=source,
        )
        return node.results[0]

    def loop(self, equation: Any, operands: Sequence[Value], source: str) -> Sequence[Value]:
        """A loop that goes on as long as a condition holds."""
        params = equation.params
        asking, doing = params["cond_nconsts"], params["body_nconsts"]
        constants = asking + doing
        carried = len(operands) - constants
        body = self._body(params["body_jaxpr"], operands, constants, carried, range(asking))
        skipped = range(asking, constants)
        condition = self._body(params["cond_jaxpr"], operands, constants, carried, skipped, body)
        rule = Repeat(body, constants, carried, condition=condition)
        return self._add(equation, operands, source, Role.OTHER, rule)

    def branch(self, equation: Any, operands: Sequence[Value], source: str) -> Sequence[Value]:
        """One of several functions; where it is known which, that one is put in its place."""
        bodies = equation.params["branches"]
        index = None if operands[0].live else self._known(operands[0])
        if index is not None:
            chosen = int(np.clip(int(index), 0, len(bodies) - 1))
            return self.closed(bodies[chosen], operands[1:], source)
        constants = len(operands) - 1
        rule = Branch(tuple(self._body(body, operands[1:], constants, 0) for body in bodies))
        return self._add(equation, operands, source, Role.SELECT, rule)

    def _body(
        self,
        closed: Any,
        operands: Sequence[Value],
        constants: int,
        carried: int,
        without: Sequence[int] = (),
        like: Graph | None = None,
    ) -> Graph:
        """The graph of one round, or of one branch.

        Args:
            closed: the closed jaxpr.
            operands: constants, carried, sliced.
            constants: how many stay the same.
            carried: how many are carried.
            without: the numbers of operands that the jaxpr does not take.
            like: a graph whose inputs depend on inputs of the model where its own do.
        """
        sliced = constants + carried
        live = [value.live for value in (like.inputs if like else operands)]
        while True:
            graph = Graph(JaxArrays(), calls=[self.calls.innermost])
            for number, value in enumerate(operands):
                shape = value.shape if number < sliced else value.shape[1:]
                own = graph.input(shape, value.dtype, value.name)
                own.live = live[number]
                if number < constants and not own.live:
                    own.data = self._later(value)
            given = [value for n, value in enumerate(graph.inputs) if n not in without]
            walk = _Walk(graph, self.held)
            graph.outputs = walk.closed(closed, given, "")
            again = False
            for number in range(constants, sliced) if like is None else ():
                if graph.outputs[number - constants].live and not live[number]:
                    live[number] = again = True
            if not again:
                break
        graph.output_names = [f"output[{number}]" for number in range(len(graph.outputs))]
        self.graph.blind = self.graph.blind or graph.blind
        return graph

    def _later(self, value: Value) -> Callable[[], Any]:
        return lambda: replay(self.graph, [value], {})[0]


_CONTROL = {"scan": _Walk.scan, "while": _Walk.loop, "cond": _Walk.branch}


def _needs_its_round(body: Graph) -> bool:
    """Whether elements are moved to places that follow from the number of the round."""
    for node in body.nodes:
        if not isinstance(node.rule, Move | Scatter):
            continue
        data = node.rule.data if isinstance(node.rule, Move) else (0, node.rule.source)
        for number, value in enumerate(node.operands):
            if number not in data and not value.live:
                try:
                    known_numbers(body, value)
                except CannotReplayError:
                    return True
    return False


def _type(atom: Any) -> tuple[tuple[int, ...], str]:
    return tuple(atom.aval.shape), str(atom.aval.dtype)


def _giving(array: Any) -> Callable[[], Any]:
    return lambda: array
