"""If, Loop and Scan: followed, and run the same as by onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest

from frameworks.onnx.programs import X, by_runtime, coupled, model_of, outputs
from normscope.frameworks.onnx import evaluation
from normscope.frameworks.onnx.tensors import Tensors
from normscope.frameworks.onnx.trace import trace
from normscope.graph.operators import CannotTraceError, Graph
from normscope.graph.proof import Verdict, samples_apart
from normscope.graph.replay import CannotReplayError
from normscope.graph.rules import Branch, Opaque, Repeat

IF = """m = ReduceMax <keepdims = 0> ({of}) z = Constant <value_float = 0.0> ()
c = Greater (m, z)
y = If (c) <then_branch = t () => (float[4,6] a) {{ a = Mul (x, x) }},
  else_branch = e () => (float[4,6] b) {{ b = Neg (x) }}>"""

CUMULATIVE = """n = Constant <value_int = 6> () t = Constant <value: tensor = bool {1}> ()
h = Constant <value: tensor = float[4] {0.0, 0.0, 0.0, 0.0}> ()
last, st = Loop (n, t, h) <body = b (int64 i, bool ci, float[4] h0) => (bool co, float[4] hn,
  float[4] s) { co = Identity (ci) xi = Gather <axis = 1> (x, i) hn = Add (h0, xi)
  s = Identity (hn) }>
y = Transpose (st)"""

OVER_SAMPLES = CUMULATIVE.replace("axis = 1", "axis = 0").replace("value_int = 6", "value_int = 4")
OVER_SAMPLES = OVER_SAMPLES.replace("float[4]", "float[6]").replace(
    "{0.0, 0.0, 0.0, 0.0}", "{0.0, 0.0, 0.0, 0.0, 0.0, 0.0}"
)
OVER_SAMPLES = OVER_SAMPLES.replace("y = Transpose (st)", "y = Identity (st)")

UNTIL = """t = Constant <value: tensor = bool {1}> ()
y = Loop (, t, x) <body = b (int64 i, bool ci, float[4,6] h) => (bool co, float[4,6] hn) {
  two = Constant <value_float = 2.0> () hn = Div (h, two) m = ReduceMax <keepdims = 0> (hn)
  e = Constant <value_float = 0.1> () co = Greater (m, e) }>"""

GROWING = """n = Constant <value_int = 2> () t = Constant <value: tensor = bool {1}> ()
y = Loop (n, t, x) <body = b (int64 i, bool ci, float[k,6] h) => (bool co, float[k2,6] hn) {
  co = Identity (ci) hn = Concat <axis = 0> (h, h) }>"""

SCAN = """h = Constant <value: tensor = float[4] {{0.0, 0.0, 0.0, 0.0}}> ()
last, y = Scan <num_scan_inputs = 1, scan_input_axes = [1], scan_output_axes = [1],
  scan_input_directions = [{way}], scan_output_directions = [{way}],
  body = b (float[4] h0, float[4] v) => (float[4] hn, float[4] o) {{
    hn = Add (h0, v) o = Identity (hn) }}> (h, x)"""


def followed(body: str) -> Graph:
    """The graph, which computes what onnxruntime does."""
    model = model_of(body)
    graph = trace(model, {"x": X}, Tensors())
    (wanted,) = by_runtime(model, {"x": X})
    assert graph.outputs[0].shape == wanted.shape
    np.testing.assert_allclose(outputs(graph, X)[0], wanted, rtol=1e-5, atol=1e-6)
    return graph


def test_a_branch_that_depends_on_an_input() -> None:
    graph = followed(IF.format(of="x"))
    (node,) = [node for node in graph.nodes if isinstance(node.rule, Branch)]
    negative, square = node.rule.bodies
    assert [n.operator for n in (*negative.nodes, *square.nodes)] == ["Neg", "Mul"]
    assert samples_apart(graph, [0]).verdict is not Verdict.APART


def test_a_branch_that_does_not_is_the_one_that_is_taken() -> None:
    graph = followed(
        IF.format(of="k").replace("m =", "k = Constant <value_floats = [1.0]> () m =", 1)
    )
    assert [node.operator for node in graph.nodes if node.live] == ["Mul"]
    assert samples_apart(graph, [0]).verdict is Verdict.APART


@pytest.mark.parametrize(
    ("body", "apart"), [(CUMULATIVE, True), (OVER_SAMPLES, False)], ids=["time", "samples"]
)
def test_a_loop_is_a_repetition(body: str, apart: bool) -> None:
    graph = followed(body)
    (node,) = [node for node in graph.nodes if isinstance(node.rule, Repeat)]
    assert node.rule.condition is None
    assert coupled(model_of(body), X) is not apart
    assert (samples_apart(graph, [0]).verdict is Verdict.APART) is apart


def test_a_loop_until_something_is_reached_has_a_condition() -> None:
    graph = followed(UNTIL)
    (node,) = [node for node in graph.nodes if isinstance(node.rule, Repeat)]
    assert node.rule.condition is not None
    assert samples_apart(graph, [0]).verdict is not Verdict.APART  # all stop at once


@pytest.mark.parametrize("where", ["first", "later"])
def test_a_loop_of_one_round_at_most_is_opaque(where: str) -> None:
    body = GROWING.replace("hn = Concat <axis = 0> (h, h)", "hn = Neg (h)")
    if where == "first":
        body = body.replace("bool {1}", "bool {0}")
    else:
        body = body.replace("co = Identity (ci)", "co = Not (ci)")
    (node,) = followed(body).nodes
    assert isinstance(node.rule, Opaque)


def test_what_grows_in_a_loop_is_opaque() -> None:
    graph = followed(GROWING)
    (node,) = graph.nodes
    assert isinstance(node.rule, Opaque)
    assert "changes its shape" in node.rule.why


@pytest.mark.parametrize("way", [0, 1])
def test_a_scan_is_a_repetition(way: int) -> None:
    graph = followed(SCAN.format(way=way))
    (node,) = [node for node in graph.nodes if isinstance(node.rule, Repeat)]
    assert node.rule.reverse is bool(way)
    assert samples_apart(graph, [0]).verdict is Verdict.APART


ENDLESS = """t = Constant <value: tensor = bool {1}> ()
y = Loop (, t, x) <body = b (int64 i, bool ci, float[4,6] h) => (bool co, float[4,6] hn) {
  hn = Abs (h) m = ReduceMax <keepdims = 0> (hn) e = Constant <value_float = -1.0> ()
  co = Greater (m, e) }>"""


def test_a_loop_that_does_not_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "SECONDS", 0.5)
    graph = trace(model_of(ENDLESS), {"x": X}, Tensors())
    with pytest.raises(CannotReplayError, match=r"Loop cannot be run: .*terminate"):
        outputs(graph, X)
    plain = ENDLESS.replace("co = Greater (m, e)", "co = Identity (ci)")
    with pytest.raises(CannotTraceError, match="the shapes that Loop gives are not known"):
        trace(model_of(plain), {"x": X}, Tensors())


_THREE = (
    "n = Constant <value_int = 3> () t = Constant <value: tensor = bool {1}> () "
    "w = Constant <value_float = 2.0> () z0 = Constant <value_ints = [0]> () "
)

INSIDE = {
    "a branch in a loop": """y = Loop (n, t, x) <body = b (int64 i, bool ci, float[4,6] h) =>
      (bool co, float[4,6] hn) { co = Identity (ci) one = Constant <value_int = 1> ()
      g = Greater (i, one) hn = If (g) <then_branch = t1 () => (float[4,6] a) { a = Mul (h, w) },
      else_branch = e1 () => (float[4,6] b1) { b1 = Add (h, x) }> }>""",
    "a function in a loop": """y = Loop (n, t, x) <body = b (int64 i, bool ci, float[4,6] h) =>
      (bool co, float[4,6] hn) { co = Identity (ci) hn = local.Centred (h) }>""",
    "slices by the number of the round": """o, s = Loop (n, t, x) <body = b (int64 i, bool ci,
      float[4,6] h) => (bool co, float[4,6] hn, float[4,1] part) { co = Identity (ci)
      hn = Identity (h) ax = Constant <value_ints = [1]> () one = Constant <value_int = 1> ()
      j = Add (i, one) i1 = Unsqueeze (i, z0) j1 = Unsqueeze (j, z0)
      part = Slice (x, i1, j1, ax) }> y = Transpose <perm = [1, 0, 2]> (s)""",
    "a count in a loop": """y = Loop (n, t, x) <body = b (int64 i, bool ci, float[4,6] h) =>
      (bool co, float[4,6] hn) { co = Identity (ci) r = Relu (h) nz = NonZero (r) s = Shape (nz)
      f = Cast <to = 1> (s) m = ReduceSum <keepdims = 0> (f) hn = Mul (h, m) }>""",
    "a mean of samples in a scan": """h = Constant <value: tensor = float[4] {0.0, 0.0, 0.0, 0.0}>
      () last, y = Scan <num_scan_inputs = 1, scan_input_axes = [1], scan_output_axes = [1],
      body = b (float[4] h0, float[4] v) => (float[4] hn, float[4] o) { hn = Add (h0, v)
      m = ReduceMean (hn) o = Sub (hn, m) }> (h, x)""",
}

CENTRED = """<opset_import: ["" : 18], domain: "local"> Centred (a) => (c) {
    ax = Constant <value_ints = [1]> () q = ReduceMean (a, ax) c = Sub (a, q) }"""


@pytest.mark.parametrize("name", INSIDE)
def test_what_stands_inside_of_a_loop(name: str) -> None:
    model = model_of(_THREE + INSIDE[name], more=CENTRED)
    graph = trace(model, {"x": X}, Tensors())
    assert not graph.unknown_operators
    (wanted,) = by_runtime(model, {"x": X})
    np.testing.assert_allclose(outputs(graph, X)[0], wanted, rtol=1e-4, atol=1e-5)
    apart = samples_apart(graph, [0]).verdict is Verdict.APART
    assert apart is not coupled(model, X)
