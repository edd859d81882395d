"""Owners rule by rule: which sample, or which latest step, each element belongs to."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from normscope.graph.lattice import Lattice, Samples, Steps
from normscope.graph.masks import Fact
from normscope.graph.operators import Role, Value
from normscope.graph.owners import Owners
from normscope.graph.rules import Labels, Move, Scan, Window
from programs import Array, Program, dims

N = 3
NOBODY, SEVERAL = -1, N


def owners(program: Program, value: Value, lattice: Lattice | None = None) -> list[int]:
    """Along axis 0, of a program whose only input has its samples there."""
    graph = program.outputs(value)
    shape = [-1] + [1] * (len(graph.inputs[0].shape) - 1)
    found = Owners(graph, lattice or Samples(N), {graph.inputs[0]: np.arange(N).reshape(shape)})
    of = np.broadcast_to(found.of(value), value.shape)
    return of.reshape(value.shape[0], -1)[:, 0].tolist()


def facts(program: Program, value: Value) -> list[int]:
    """Of the elements of a value of rank 1."""
    graph = program.outputs(value)
    found = Owners(graph, Samples(N), {graph.inputs[0]: np.arange(N)})
    return np.broadcast_to(found._of(value).facts, value.shape).tolist()


def test_a_join_of_samples() -> None:
    lattice = Samples(N)
    one, other = np.array([-1, -1, 0, 0, 3]), np.array([-1, 1, 1, 0, 2])
    assert lattice.join(one, other).tolist() == [-1, 1, SEVERAL, 0, SEVERAL]
    assert lattice.join_along(np.array([[0, -1, 0], [0, 1, 0]]), [1]).tolist() == [[0], [SEVERAL]]


def test_a_join_of_steps() -> None:
    assert Steps(N).join(np.array([-1, 2, 0]), np.array([-1, 1, 1])).tolist() == [-1, 2, 1]


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (Window(1), [0, 1, 2]),
        (Window(2), [1, 2, 2]),
        (Window(2, before=1), [0, 1, 2]),
        (Window(3, before=1), [1, 2, 2]),
        (Window(2, dilation=2, before=2), [0, 1, 2]),
        (Window(2, stride=2), [1, 2, -1]),
        (Window(1, spread=2), [0, -1, 1]),
        (Scan(), [0, 1, 2]),
        (Scan(reverse=True), [2, 2, 2]),
    ],
)
def test_what_a_window_sees(window: Window | Scan, expected: list[int]) -> None:
    program = Program()
    x = program.input(N)
    rule = Labels({0: dims("a")}, (dims("a"),), {"a": window})
    y = program.one("windowed", Role.RUNNING, rule, [x], lambda a: a)
    assert owners(program, y, Steps(N)) == expected


def test_a_longer_operand_is_cut_and_a_diagonal_is_not_guessed() -> None:
    program = Program()
    x = program.input(N, N)
    rule = Labels({0: dims("ab")}, (dims("ab"),))
    assert owners(program, program.one("cut", Role.OTHER, rule, [x], lambda a: a[:2])) == [0, 1]
    diagonal = Labels({0: dims("aa")}, (dims("a"),))
    y = program.one("diagonal", Role.OTHER, diagonal, [x], np.diagonal)
    assert owners(program, y) == [SEVERAL] * N  # a rule that does not fit: nothing is known


def test_what_is_not_live_is_nobodys() -> None:
    program = Program()
    x = program.input(N, 2)
    assert owners(program, program.fixed(x, np.zeros_like)) == [NOBODY] * N
    assert owners(program, program.mul(x, np.array([[1.0, 0], [0, 1], [0, 0]]))) == [0, -1, -1]


def test_zeros_that_are_learned_may_change() -> None:
    program = Program()
    x = program.input(N, 2)
    gate = program.constant(np.zeros(2), "gate")
    assert owners(program, program.mul(x, gate)) == [0, 1, 2]
    assert owners(program, program.mul(x, np.zeros(2))) == [NOBODY] * N


def test_numbers_that_are_drawn_are_no_mask() -> None:
    program = Program()
    x = program.input(N, 2)
    drawn = program.fixed(x, lambda a: np.array([[0.0, 1], [1, 0], [1, 1]]))
    assert owners(program, program.mul(x, drawn)) == [0, 1, 2]
    # and an operator that draws by itself may give a zero for a one
    dropped = program.elementwise("dropout", Role.MULTIPLY, np.zeros_like, x)
    assert owners(program, dropped) == [0, 1, 2]


def test_what_is_padded_is_not_what_is_zero() -> None:
    program = Program()
    x = program.input(N, 2)
    ones = program.pad(program.mul(x, 0.0), [(0, 0), (1, 0)], 1.0)
    total = program.matmul(ones, program.matmul(np.ones((3, N)), x))
    assert owners(program, total) == [SEVERAL] * N
    zeros = program.pad(program.mul(x, 0.0), [(0, 0), (1, 0)], 0.0)
    total = program.matmul(zeros, program.matmul(np.ones((3, N)), x))
    assert owners(program, total) == [NOBODY] * N


def test_a_move_that_depends_on_an_input() -> None:
    program = Program()
    x = program.input(N, N)
    index = program.cast(program.slice(x, slice(None), 0), "int64")
    rows = program.take(x, index, axis=1)
    assert owners(program, rows) == [0, SEVERAL, SEVERAL]  # column 0 is chosen by sample 0
    rule = Move((0,), lambda arrays: [arrays[0]])
    y = program.one("reorder", Role.MOVE, rule, [x, index], lambda a, i: a)
    assert owners(program, y) == [SEVERAL] * N


def test_a_scatter() -> None:
    program = Program()
    x = program.input(N, 2)
    assert owners(program, program.put(None, x, [2, 0, 1])) == [1, 2, 0]
    assert owners(program, program.put(x, x, [1, 1, 1])) == [0, SEVERAL, 2]
    ones = program.constant(np.ones((N, 2)))
    assert owners(program, program.put(x, ones, [0, 0, 0])) == [NOBODY, 1, 2]
    assert owners(program, program.put(x, ones, [0, 0, 0], adds=True)) == [0, 1, 2]


def test_branches() -> None:
    inner = Program()
    same = inner.outputs(inner.input(N, 2))
    other = Program()
    turned = other.outputs(other.flip(other.input(N, 2), 0))
    program = Program()
    x = program.input(N, 2)
    for bodies, expected in (([same, same], [0, 1, 2]), ([same, turned], [SEVERAL, 1, SEVERAL])):
        (y,) = program.branch(program.constant(np.array(0)), bodies, x)
        assert owners(program, y) == expected
    chosen = program.cast(program.slice(x, 1, 0), "int64")
    (y,) = program.branch(chosen, [same, same], x)
    assert owners(program, y) == [SEVERAL, 1, SEVERAL]


def running_sum() -> Program:
    body = Program()
    state, part = body.input(2), body.input(2)
    total = body.add(state, part)
    body.outputs(total, body.mul(total, 2.0))
    return body


def test_a_loop_round_by_round() -> None:
    program = Program()
    x = program.input(N, 2)
    end, rows = program.repeat(running_sum().graph, [], [np.zeros(2)], [x])
    assert owners(program, rows, Steps(N)) == [0, 1, 2]
    assert owners(program, rows) == [0, SEVERAL, SEVERAL]
    assert owners(program, program.reshape(end, 1, 2), Steps(N)) == [2]
    _, rows = program.repeat(running_sum().graph, [], [np.zeros(2)], [x], reverse=True)
    assert owners(program, rows, Steps(N)) == [2, 2, 2]


def test_a_loop_whose_rounds_are_not_known() -> None:
    body = Program()
    count, one, other = body.input(), body.input(N, 2), body.input(N, 2)
    inner = body.outputs(body.add(count, 1.0), other, body.flip(one, 0))
    asked = Program()
    again = asked.outputs(asked.greater(3.0, asked.input()))
    asked.input(N, 2), asked.input(N, 2)
    program = Program()
    x = program.input(N, 2)
    one = program.repeat(inner, [], [0.0, x, x], condition=again)[1]
    assert owners(program, one) == [SEVERAL, 1, SEVERAL]
    start = program.slice(x, 0, 0)
    one = program.repeat(inner, [], [start, program.mul(x, 1.0), x], condition=again)[1]
    assert owners(program, one) == [SEVERAL] * N


def test_a_mask_that_a_loop_gets_as_a_constant() -> None:
    """Inside it is a value like any other; but its numbers may be infinite."""
    low = np.where(np.tri(N) > 0, 0.0, -np.inf)

    def looped(bias: Array) -> list[int]:
        body = Program()
        constant, state = body.input(N, N), body.input(N, N)
        weights = body.softmax(body.add(body.add(state, constant), low), -1)
        inner = body.outputs(body.matmul(weights, state))
        asked = Program()
        asked.input(N, N), asked.input(N, N)
        never = asked.outputs(asked.constant(np.array(False)))
        program = Program()
        (found,) = program.repeat(inner, [bias], [program.input(N, N)], condition=never)
        return owners(program, found, Steps(N))

    assert looped(np.zeros((N, N))) == [0, 1, 2]
    assert looped(np.full((N, N), -np.inf)) == [2, 2, 2]


FINE, ZERO, LOW, WILD = Fact
MASK = np.array([0.0, -np.inf, -1e30])
KNOWN: dict[str, tuple[Callable[[Program, Value], Value], list[Fact]]] = {
    "input": (lambda p, x: x, [FINE, FINE, FINE]),
    "masked": (lambda p, x: p.add(x, MASK), [FINE, LOW, LOW]),
    "masked, turned": (lambda p, x: p.flip(p.add(x, MASK), 0), [LOW, LOW, FINE]),
    "subtracted": (lambda p, x: p.sub(x, MASK), [FINE, WILD, WILD]),
    "chosen": (lambda p, x: p.where(MASK == 0, x, -np.inf), [FINE, LOW, LOW]),
    "chosen by an input": (lambda p, x: p.where(p.greater(x, 0.0), x, -np.inf), [WILD, WILD, WILD]),
    "multiplied": (lambda p, x: p.mul(p.add(x, MASK), 2.0), [FINE, WILD, WILD]),
    "times zero": (lambda p, x: p.mul(x, np.array([0.0, 1.0, 0.0])), [ZERO, FINE, ZERO]),
    "times zero, infinite": (lambda p, x: p.mul(p.add(x, MASK), 0.0), [ZERO, WILD, WILD]),
    "zero by": (lambda p, x: p.div(p.mul(x, [0.0, 1, 1]), x), [ZERO, FINE, FINE]),
    "by zero": (lambda p, x: p.div(x, p.mul(x, [0.0, 1, 1])), [WILD, FINE, FINE]),
    "a power of zero": (lambda p, x: p.rsqrt(p.mul(x, [0.0, 1, 1])), [WILD, FINE, FINE]),
    "exponential": (lambda p, x: p.exp(p.add(x, MASK)), [FINE, ZERO, ZERO]),
    "sigmoid": (lambda p, x: p.sigmoid(p.add(x, MASK)), [FINE, ZERO, ZERO]),
    "tanh": (lambda p, x: p.tanh(p.add(x, MASK)), [FINE, FINE, FINE]),
    "relu": (lambda p, x: p.relu(p.add(x, MASK)), [FINE, ZERO, ZERO]),
    "limited": (lambda p, x: p.maximum(p.add(x, MASK), -5.0), [FINE, FINE, FINE]),
    "softmax": (lambda p, x: p.softmax(p.add(x, MASK), 0), [FINE, ZERO, ZERO]),
    "softmax, all masked": (lambda p, x: p.softmax(p.add(x, -1e30), 0), [FINE, FINE, FINE]),
    "maximum": (lambda p, x: p.expand(p.max(p.add(x, MASK), [0]), 3), [FINE, FINE, FINE]),
    "maximum, all masked": (
        lambda p, x: p.expand(p.max(p.add(x, -1e30), [0]), 3),
        [WILD, WILD, WILD],
    ),
    "mean": (lambda p, x: p.expand(p.mean(p.add(x, MASK), [0]), 3), [WILD, WILD, WILD]),
    "padded": (lambda p, x: p.pad(p.mean(x, [0]), [(1, 1)], -np.inf), [LOW, FINE, LOW]),
    "padded by zeros": (lambda p, x: p.slice(p.pad(x, [(1, 0)]), slice(0, 3)), [ZERO, FINE, FINE]),
    "unknown": (lambda p, x: p.opaque(lambda a: a, p.add(x, MASK)), [WILD, WILD, WILD]),
    "joined": (lambda p, x: p.concat([p.slice(x, slice(1)), MASK[:2]], 0), [FINE, ZERO, LOW]),
}


@pytest.mark.parametrize("name", KNOWN)
def test_what_is_known_of_numbers(name: str) -> None:
    build, expected = KNOWN[name]
    program = Program()
    assert facts(program, build(program, program.input(N))) == expected
