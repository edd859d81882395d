"""ONNX models as graphs: what their nodes are, which layers they belong to, what they hold."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import parser

from normscope.frameworks.onnx.tensors import Tensors
from normscope.frameworks.onnx.trace import trace
from normscope.graph.operators import CannotTraceError, Graph, Role
from normscope.graph.replay import known_numbers, replay
from normscope.graph.rules import Fixed, Labels, Move, Opaque

X = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)


def traced(body: str, x: np.ndarray = X, opset: int = 18, more: str = "") -> Graph:
    """The graph of one function of x to y, in the text form of ONNX."""
    kind = {"float32": "float", "int64": "int64"}[x.dtype.name]
    shape = ",".join(map(str, x.shape))
    model = parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : {opset}, "local" : 1, "other" : 1]>'
        f"g ({kind}[{shape}] x) => (float y) {{ {body} }} {more}"
    )
    return trace(model, {"x": x}, Tensors())


def test_shapes_roles_and_rules() -> None:
    graph = traced(
        """axes = Constant <value_ints = [1]> ()
        mean = ReduceMean (x, axes)
        c = Sub (x, mean)
        shape = Constant <value_ints = [2, 12]> ()
        y = Reshape (c, shape)"""
    )
    assert [node.role for node in graph.nodes] == [Role.STATISTIC, Role.SHIFT, Role.MOVE]
    mean, sub, reshape = graph.nodes
    assert isinstance(mean.rule, Labels)
    assert mean.rule.operands[0][1] is None
    assert isinstance(reshape.rule, Move)
    assert reshape.results[0].shape == (2, 12)
    (y,) = replay(graph, graph.outputs, {graph.inputs[0]: X})
    np.testing.assert_allclose(y, (X - X.mean(1, keepdims=True)).reshape(2, 12), atol=1e-6)
    assert sub.operands[0] is graph.inputs[0]


def test_what_follows_from_shapes_is_known() -> None:
    graph = traced(
        """shape = Shape (x)
        zero = Constant <value_ints = [0]> ()
        batch = Gather (shape, zero)
        rest = Constant <value_ints = [3, -1]> ()
        target = Concat <axis = 0> (batch, rest)
        y = Reshape (x, target)"""
    )
    assert graph.outputs[0].shape == (4, 3, 2)
    assert isinstance(graph.nodes[0].rule, Fixed)
    target = graph.nodes[-1].operands[1]
    assert not target.live
    assert known_numbers(graph, target).tolist() == [4, 3, -1]


def test_an_operator_that_nobody_knows_is_opaque() -> None:
    graph = traced("y = other.Strange (x)")
    assert isinstance(graph.nodes[0].rule, Opaque)
    assert graph.nodes[0].run is None  # what is not known is not run
    assert "the shape that Strange gives is not known" in graph.notes[0]
    assert isinstance(traced("y = Unique (x)").nodes[0].rule, Opaque)


def test_functions_are_written_out() -> None:
    more = """<opset_import: ["" : 18], domain: "local"> Half <by> (a) => (b) {
        f = Constant <value_float: float = @by> () b = Mul (a, f) }"""
    graph = traced("y = local.Half <by = 0.5> (x)", more=more)
    assert [node.operator for node in graph.nodes] == ["Mul"]
    assert graph.nodes[0].call.type == "Half"
    (y,) = replay(graph, graph.outputs, {graph.inputs[0]: X})
    np.testing.assert_allclose(y, X / 2)


@pytest.mark.parametrize("opset", [13, 17, 18])
def test_axes_are_attributes_or_operands(opset: int) -> None:
    if opset < 18:
        graph = traced("y = ReduceMean <axes = [0], keepdims = 0> (x)", opset=opset)
    else:
        graph = traced(
            "a = Constant <value_ints = [0]> () y = ReduceMean <keepdims = 0> (x, a)", opset=opset
        )
    rule = graph.nodes[-1].rule
    assert isinstance(rule, Labels)
    assert rule.results == (("b",),)
