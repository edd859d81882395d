"""Proofs on graphs by hand: what is apart, where it meets, and what is not known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from budget import budget
from normscope.graph.labels import elementwise
from normscope.graph.operators import Role, Value
from normscope.graph.proof import Proof, Verdict, causal, samples_apart
from normscope.graph.rules import Window
from programs import Program

N, T, D = 4, 5, 6
Build = Callable[[Program, Value], Value]


def samples(build: Build, *shape: int) -> Proof:
    program = Program()
    out = build(program, program.input(*(shape or (N, T, D))))
    return samples_apart(program.outputs(out), [0])


def time(build: Build, *shape: int) -> Proof:
    program = Program()
    out = build(program, program.input(*(shape or (N, T, D))))
    return causal(program.outputs(out), [1])


def attention(p: Program, x: Value, masked: Callable[[Program, Value], Value]) -> Value:
    t = x.shape[1]
    scores = p.div(p.matmul(x, p.transpose(x, 0, 2, 1)), 3.0)
    assert scores.shape[-2:] == (t, t)
    return p.matmul(p.softmax(masked(p, scores), -1), x)


def softmax_by_hand(p: Program, x: Value) -> Value:
    e = p.exp(p.sub(x, p.max(x, [-1])))
    return p.div(e, p.sum(e, [-1]))


LATER = np.triu(np.ones((T, T), bool), 1)
MINUS_INFINITY = np.where(LATER, -np.inf, 0.0)


@pytest.mark.parametrize(
    "build",
    [
        lambda p, x: p.relu(p.add(x, np.ones(D))),
        lambda p, x: p.layer_norm(x, [-1], np.ones(D), np.zeros(D)),
        lambda p, x: p.sub(x, p.mean(x, [1, 2])),
        lambda p, x: p.matmul(x, np.ones((D, 3))),
        lambda p, x: attention(p, x, lambda p, s: s),
        lambda p, x: p.flip(x, 1),
        lambda p, x: p.reshape(p.mul(p.reshape(x, N * T, D), 2.0), N, T, D),
        lambda p, x: p.flip(p.flip(x, 0), 0),
        lambda p, x: p.take(x, np.array([2, 0]), 1),
        lambda p, x: p.concat([p.slice(x, slice(0, 1)), p.slice(x, slice(1, None))], 0),
        lambda p, x: p.put(None, p.flip(x, 0), np.array([3, 2, 1, 0])),
        lambda p, x: p.cumsum(x, 1),
        lambda p, x: p.einsum("bij,bij->b", x, x),
        lambda p, x: p.matmul(
            np.eye(N), p.reshape(p.layer_norm(x, [-1]), N, T * D)
        ),  # a product with zeros
    ],
)
def test_samples_that_stay_apart(build: Build) -> None:
    assert samples(build).verdict is Verdict.APART


@pytest.mark.parametrize(
    ("build", "operator"),
    [
        (lambda p, x: p.sub(x, p.mean(x, [0])), "mean"),
        (lambda p, x: p.layer_norm(x, [0, 1]), "layer_norm"),
        (lambda p, x: attention(p, p.transpose(x, 1, 0, 2), lambda p, s: s), "matmul"),
        (lambda p, x: p.relu(p.flip(x, 0)), "flip"),
        (lambda p, x: p.cumsum(x, 0), "cumsum"),
        (lambda p, x: p.softmax(x, 0), "softmax"),
        (
            lambda p, x: p.add(x, p.concat([p.slice(x, slice(1, None)), np.zeros((1, T, D))], 0)),
            "add",
        ),
        (lambda p, x: p.put(x, x, np.array([0, 0, 1, 2]), adds=True), "put"),
        (lambda p, x: p.sort(x, 0)[0], "sort"),
    ],
)
def test_samples_that_meet(build: Build, operator: str) -> None:
    program = Program()
    x = program.input(N, T, D)
    out = build(program, x)
    graph = program.outputs(program.transpose(out, 1, 0, 2) if out.shape[0] == T else out)
    proof = samples_apart(graph, [0])
    assert proof.verdict is Verdict.MEET
    assert proof.node is not None
    assert proof.node.operator == operator


@pytest.mark.parametrize(
    "build",
    [
        lambda p, x: p.layer_norm(x, [-1]),
        lambda p, x: p.cumsum(x, 1),
        lambda p, x: p.flip(p.cumsum(p.flip(x, 1), 1, reverse=True), 1),
        lambda p, x: attention(p, x, lambda p, s: p.add(s, MINUS_INFINITY)),
        lambda p, x: attention(p, x, lambda p, s: p.add(s, np.where(LATER, -1e30, 0.0))),
        lambda p, x: attention(p, x, lambda p, s: p.add(s, np.where(LATER, -1e9, 0.0))),
        lambda p, x: attention(p, x, lambda p, s: p.where(LATER, -np.inf, s)),
        lambda p, x: attention(p, x, lambda p, s: p.where(~LATER, s, -1e38)),
        lambda p, x: p.matmul(
            softmax_by_hand(p, p.where(LATER, -np.inf, p.matmul(x, p.transpose(x, 0, 2, 1)))), x
        ),
        lambda p, x: p.matmul(p.mul(p.matmul(x, p.transpose(x, 0, 2, 1)), 1.0 * ~LATER), x),
        lambda p, x: p.add(
            x, p.slice(p.pad(x, [(0, 0), (2, 0), (0, 0)]), slice(None), slice(0, T))
        ),
        lambda p, x: p.conv1d(p.transpose(x, 0, 2, 1), np.ones((7, D, 3)), Window(3, before=2)),
        lambda p, x: p.conv1d(
            p.pad(p.transpose(x, 0, 2, 1), [(0, 0), (0, 0), (2, 0)]), np.ones((7, D, 3)), Window(3)
        ),
    ],
)
def test_programs_that_are_causal(build: Build) -> None:
    assert time(build).verdict is Verdict.APART


@pytest.mark.parametrize(
    ("build", "operator"),
    [
        (lambda p, x: p.flip(x, 1), "flip"),
        (lambda p, x: p.sub(x, p.mean(x, [1])), "mean"),
        (lambda p, x: attention(p, x, lambda p, s: s), "matmul"),
        (lambda p, x: attention(p, x, lambda p, s: p.add(s, -1e4 * LATER)), "matmul"),
        (lambda p, x: attention(p, x, lambda p, s: p.where(LATER, s, -np.inf)), "softmax"),
        (lambda p, x: attention(p, x, lambda p, s: p.sub(s, MINUS_INFINITY)), "matmul"),
        (lambda p, x: p.cumsum(x, 1, reverse=True), "cumsum"),
        (lambda p, x: p.relu(p.flip(p.layer_norm(x, [-1]), 1)), "flip"),
    ],
)
def test_programs_that_see_what_comes_later(build: Build, operator: str) -> None:
    proof = time(build)
    assert proof.verdict is Verdict.MEET
    assert proof.node is not None
    assert proof.node.operator == operator


def test_a_row_that_may_be_masked_wholly_sees_everything() -> None:
    """An input says what is padding; the first step has only itself, and may be that."""

    def masked(p: Program, scores: Value) -> Value:
        seen = p.where(p.greater(scores, 0.0), scores, -1e30)
        return p.where(LATER, -1e30, seen)

    assert time(lambda p, x: attention(p, x, masked)).verdict is not Verdict.APART
    strictly = np.where(np.tri(T, T, -1) > 0, 0.0, -1e30)  # the first row is masked wholly
    assert time(lambda p, x: attention(p, x, lambda p, s: p.add(s, strictly))).verdict is not (
        Verdict.APART
    )


def test_zero_times_what_may_be_infinite() -> None:
    def build(p: Program, x: Value) -> Value:
        rows = p.reshape(x, N, T * D)
        return p.matmul(np.eye(N), p.div(rows, p.mul(rows, 0.0)))

    assert samples(build).verdict is not Verdict.APART


def test_what_leaves_it_open() -> None:
    def routed(p: Program, x: Value) -> Value:
        order = p.sort(p.slice(x, slice(None), 0, 0), 0)[1]
        return p.add(x, p.take(x, order, 0))

    found = samples(routed)
    assert (found.verdict, found.node and found.node.operator) == (Verdict.UNKNOWN, "sort")
    assert "an order, a count" in found.why
    found = samples(lambda p, x: p.opaque(lambda a: a * 2, x))
    assert (found.verdict, found.why) == (Verdict.UNKNOWN, "of mystery, nobody knows it")


def test_a_number_that_the_program_reads() -> None:
    for read, verdict in (("sample", Verdict.UNKNOWN), ("nothing", Verdict.APART)):
        program = Program()
        x, scale = program.input(N, D), program.input(name="scale")
        program.host(program.mean(x, [0, 1]) if read == "sample" else scale)
        proof = samples_apart(program.outputs(program.mul(x, 2.0)), [0, None])
        assert proof.verdict is verdict


def test_nothing_is_proved_on_a_blind_graph() -> None:
    program = Program()
    graph = program.outputs(program.mul(program.input(N, D), 2.0))
    graph.blind = "it was run with numbers"
    assert samples_apart(graph, [0]) == Proof(Verdict.UNKNOWN, None, "it was run with numbers")


def test_what_inputs_and_outputs_must_be() -> None:
    def asked(build: Build, *shape: int, axis: int = 0) -> str:
        program = Program()
        proof = samples_apart(program.outputs(build(program, program.input(*shape))), [axis])
        assert proof.verdict is Verdict.UNKNOWN
        return proof.why

    assert asked(lambda p, x: x, 1, D) == "no input holds two samples"
    assert "has no axis of the 4 samples" in asked(lambda p, x: p.mean(x, [0, 1], False), N, D)
    assert "no output depends on them" in asked(lambda p, x: p.mul(x, 0.0), N, D)
    assert "axis 0 is as long" in asked(lambda p, x: p.transpose(x, 1, 0), N, N)
    program = Program()
    x, y = program.input(4, D), program.input(3, D)
    proof = samples_apart(program.outputs(program.add(x, program.mean(y, [0]))), [0, 0])
    assert proof.why == "inputs hold 3 samples and 4 samples"


def test_an_output_without_samples_is_left_out() -> None:
    program = Program()
    x = program.input(N, D)
    loss = program.mean(x, [0, 1], keeps=False)
    proof = samples_apart(program.outputs(program.mul(x, 2.0), loss), [0])
    assert proof.verdict is Verdict.APART
    assert "left out: output[1]" in proof.why


def test_a_meeting_inside_of_a_loop_is_named() -> None:
    body = Program()
    state, part = body.input(N, D), body.input(N, D)
    inner = body.outputs(body.add(state, body.sub(part, body.mean(part, [0]))))
    program = Program()
    x = program.input(T, N, D)
    (end,) = program.repeat(inner, [], [np.zeros((N, D))], [x])
    proof = samples_apart(program.outputs(end), [1])
    assert proof.verdict is Verdict.MEET
    assert proof.node is not None
    assert proof.node.operator == "mean"


def test_ten_thousand_operators_take_seconds() -> None:
    program = Program()
    graph, x = program.graph, program.input(4, 64, 56, 56)
    bias = program.constant(np.zeros((1, 64, 1, 1)))
    rule = elementwise([4, 4], 4)
    for _ in range(10_000):
        x = graph.add("add", Role.SHIFT, rule, [x, bias], [(x.shape, "float64")], None).results[0]
    with budget():  # 1 s on an idle machine
        assert samples_apart(program.outputs(x), [0]).verdict is Verdict.APART
