"""Proofs on graphs by hand: what is apart, where it meets, and what is not known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from normscope.graph.operators import Value
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
