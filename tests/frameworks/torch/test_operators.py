"""What each operator is said to do is what it does, for every kind of layer of PyTorch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from frameworks.torch.layers import LAYERS
from normscope.frameworks.registry import live_of
from normscope.graph.operators import Graph, Node, Value
from normscope.graph.replay import replay
from normscope.graph.rules import NOTHING, Fixed, Host, Labels, Move, Opaque, Scan, Scatter, Window

UNKNOWN = {
    "_ctc_loss": "CTCLoss",
    "linalg_lstsq": "least squares",
    "poisson": "random",
    "rrelu_with_noise": "RReLU",
}
"""Operators of which nothing is known, with a layer: the answer is weaker where they occur."""

BLIND = {"CTCLoss", "least squares"}
"""Those of which nothing can be proved, as they read numbers that depend on an input."""


@cache
def traced(name: str, training: bool) -> tuple[Graph, dict[Value, Any]]:
    """The graph of a layer, and the numbers of all its values for the inputs as given."""
    layer, given = LAYERS[name]
    live = live_of(layer, lambda live: live.inputs(given).arguments(live.leaf), "")
    inputs = live.inputs(given)
    with live.kept():
        live.put_back()
        graph = live.trace(inputs, training)
    leaves = list(given) if isinstance(given, tuple) else [given]
    known = {v: leaf.detach() for v, leaf in zip(graph.inputs, leaves, strict=True)}
    with torch.no_grad():
        for node in graph.nodes:
            if node.run is not None:
                operands = [v for v in node.operands if v not in known]
                known |= dict(zip(operands, replay(graph, operands, known), strict=True))
                known |= dict(
                    zip(node.results, node.run([known[v] for v in node.operands]), strict=True)
                )
    return graph, known


def array(tensor: torch.Tensor) -> Any:
    tensor = tensor.resolve_conj().resolve_neg()
    return (
        tensor.float().numpy()
        if tensor.dtype in (torch.bfloat16, torch.float16)
        else tensor.numpy()
    )


def sees(relation: Window | Scan | None, here: int, there: int) -> bool:
    """Whether index `here` of a result may depend on index `there` of an operand."""
    match relation:
        case Window(size, stride, dilation, before, spread):
            steps = (here * stride - before + j * dilation for j in range(size))
            return any(step == there * spread for step in steps)
        case Scan(reverse):
            return there >= here if reverse else there <= here
    return here == there


def allowed(
    rule: Labels, number: int, at: Sequence[int], shape: Sequence[int], out: Any, result: int
) -> Any:
    """Which elements of a result, `out`, may depend on the element `at` of an operand."""
    dims = rule.operands.get(number)
    if dims is None:
        return np.zeros(out.shape, bool)
    mask = np.ones(out.shape, bool)
    for axis, label in enumerate(dims):
        named = rule.results[result]
        if label is None or label not in named or shape[axis] == 1:
            continue
        to = named.index(label)
        relation = rule.relations.get(label)
        along = [sees(relation, here, at[axis]) for here in range(out.shape[to])]
        mask &= np.reshape(along, [-1 if d == to else 1 for d in range(out.ndim)])
    return mask


def check_labels(node: Node, rule: Labels, operands: list[Any], rng: np.random.Generator) -> None:
    """Other numbers in one place of an operand change results where the labels allow it, only."""
    assert node.run is not None
    operands = [o.clone(memory_format=torch.contiguous_format) for o in operands]
    torch.manual_seed(0)
    before = [array(r) for r in node.run(operands)]
    for result, dims in zip(before, rule.results, strict=True):
        assert result.ndim == len(dims), f"{node.operator}: {result.shape} is not {dims}"
    for number, dims in rule.operands.items():
        assert operands[number].dim() == len(dims), f"{node.operator}: operand {number}"
    for number, operand in enumerate(operands):
        if not operand.numel():
            continue
        for _ in range(4):
            flat = int(rng.integers(operand.numel()))
            at = np.unravel_index(flat, tuple(operand.shape))
            changed = operand.clone(memory_format=torch.contiguous_format)
            place = changed.view(-1)
            place[flat] = other(place[flat], node, number)
            torch.manual_seed(0)
            try:
                after = [
                    array(r)
                    for r in node.run([*operands[:number], changed, *operands[number + 1 :]])
                ]
            except (IndexError, RuntimeError):
                continue
            for k, (a, b) in enumerate(zip(before, after, strict=True)):
                differs = ~((a == b) | ((a != a) & (b != b)))
                wrong = np.argwhere(differs & ~allowed(rule, number, at, operand.shape, a, k))
                assert not len(wrong), (
                    f"{node.operator}: result {k} at {wrong[0]} saw operand {number} at {at}: "
                    f"{rule}"
                )


def other(value: torch.Tensor, node: Node, number: int) -> Any:
    if value.dtype == torch.bool:
        return ~value
    return value * 0 + (1 if value.dtype in (torch.int64, torch.int32, torch.uint8) else 0.731)


def names_of(rule: Move | Scatter, operands: list[Any]) -> Iterator[Any]:
    data = rule.data if isinstance(rule, Move) else ()
    start = itertools.count(0, 10**6)
    for number, operand in enumerate(operands):
        if number in data:
            yield np.arange(operand.numel()).reshape(tuple(operand.shape)) + next(start)
        else:
            yield array(operand)


def check_move(node: Node, rule: Move, operands: list[Any]) -> None:
    """What a result holds is what the operand of that name holds."""
    assert node.run is not None
    every = [array(operands[number]).reshape(-1) for number in rule.data]
    for names, result in zip(
        rule.replay(list(names_of(rule, operands))), node.run(operands), strict=True
    ):
        numbers = array(result)
        assert names.shape == numbers.shape, node.operator
        assert names.dtype == np.int64
        names, numbers = names.reshape(-1), numbers.reshape(-1)
        for which, one in enumerate(every):
            of_it = (names != NOTHING) & (names // 10**6 == which)
            expected = one[names[of_it] % 10**6]
            same = (expected == numbers[of_it]) | (expected != expected)
            assert same.all(), node.operator
        assert ((names == NOTHING) | (names // 10**6 < len(every))).all(), node.operator


def check_scatter(node: Node, rule: Scatter, operands: list[Any]) -> None:
    """What is put where nothing else is put is there; what is nowhere put is as it was."""
    assert node.run is not None
    assert rule.target is not None
    known = [None if n in (rule.target, rule.source) else array(o) for n, o in enumerate(operands)]
    places = rule.places(known)
    source = array(operands[rule.source])
    assert places.shape == source.shape
    result = array(node.run(operands)[0]).reshape(-1)
    target = array(operands[rule.target]).reshape(-1)
    untouched = np.setdiff1d(np.arange(result.size), places)
    np.testing.assert_array_equal(result[untouched], target[untouched])
    if not rule.adds:
        unique, first, counts = np.unique(places, return_index=True, return_counts=True)
        alone = first[(counts == 1) & (unique != NOTHING)]
        np.testing.assert_array_equal(result[places.reshape(-1)[alone]], source.reshape(-1)[alone])


@pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])
@pytest.mark.parametrize("name", LAYERS)
def test_each_rule_says_what_its_operator_does(name: str, training: bool) -> None:
    graph, known = traced(name, training)
    assert set(graph.unknown_operators) <= set(UNKNOWN)
    assert not graph.blind or name in BLIND, graph.blind
    rng = np.random.default_rng(0)
    for node in graph.nodes:
        rule = node.rule
        if isinstance(rule, Opaque):
            assert "unforeseen" not in rule.why, f"{node.operator}: {rule.why}"
        if node.run is None or isinstance(rule, Fixed | Host | Opaque):
            continue
        operands = [known[v] for v in node.operands]
        if any(operand.layout is not torch.strided for operand in operands):
            continue
        if isinstance(rule, Labels):
            check_labels(node, rule, operands, rng)
        elif isinstance(rule, Scatter):
            check_scatter(node, rule, operands)
            if rule.otherwise is not None:
                check_labels(node, rule.otherwise, operands, rng)
        else:
            assert isinstance(rule, Move)
            check_move(node, rule, operands)
            if rule.otherwise is not None:
                check_labels(node, rule.otherwise, operands, rng)


@pytest.mark.parametrize("name", LAYERS)
def test_a_graph_computes_what_the_model_does(name: str) -> None:
    layer, given = LAYERS[name]
    graph, known = traced(name, False)
    if name in ("random", "FractionalMaxPool2d"):
        return
    layer.eval()
    leaves = list(given) if isinstance(given, tuple) else [given]
    with torch.no_grad():
        found = flat(layer(*[leaf.clone() for leaf in leaves]))
    assert len(found) == len(graph.outputs)
    for tensor, value in zip(found, graph.outputs, strict=True):
        assert tuple(tensor.shape) == value.shape
        assert str(tensor.dtype) == f"torch.{value.dtype}"
        if value in known:
            torch.testing.assert_close(known[value], tensor, equal_nan=True)


def flat(tree: Any) -> list[torch.Tensor]:
    if isinstance(tree, torch.Tensor):
        return [tree]
    return [leaf for part in tree if part is not None for leaf in flat(part)]


@pytest.mark.parametrize(("operator", "name"), UNKNOWN.items())
def test_operators_without_a_rule(operator: str, name: str) -> None:
    graphs = [traced(name, training)[0] for training in (False, True)]
    assert operator in {unknown for graph in graphs for unknown in graph.unknown_operators}
