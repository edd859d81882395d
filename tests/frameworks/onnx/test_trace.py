"""ONNX models as graphs: what their nodes are, which layers they belong to, what they hold."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from frameworks.onnx.programs import X, by_runtime, model_of, outputs, traced
from normscope.frameworks.onnx.names import paths_of, source_of
from normscope.frameworks.onnx.tensors import Tensors
from normscope.frameworks.onnx.trace import trace
from normscope.graph.operators import CannotTraceError, Role
from normscope.graph.replay import known_numbers
from normscope.graph.rules import Fixed, Labels, Move, Opaque


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
    (y,) = outputs(graph, X)
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
    assert graph.nodes[0].rule == Fixed(drawn=False)
    target = graph.nodes[-1].operands[1]
    assert not target.live
    assert known_numbers(graph, target).tolist() == [4, 3, -1]


def test_a_shape_that_depends_on_numbers_is_seen_in_a_run() -> None:
    graph = traced("p = Relu (x) y = NonZero (p)")
    assert graph.outputs[0].shape == (2, np.count_nonzero(X > 0))
    assert isinstance(graph.nodes[-1].rule, Opaque)


def test_an_operator_that_nobody_knows_is_opaque() -> None:
    graph = traced("z = other.Strange (x) y = Relu (z)")
    assert graph.unknown_operators == {"other.Strange": 1}
    assert graph.nodes[0].run is None  # what is not known is not run
    assert "the shape that Strange gives is not known" in graph.notes[0]


def test_functions_are_written_out() -> None:
    more = """<opset_import: ["" : 18], domain: "local"> Half <by> (a) => (b) {
        f = Constant <value_float: float = @by> () b = Mul (a, f) }"""
    graph = traced("z = local.Half <by = 0.5> (x) y = local.Half <by = 0.25> (z)", more=more)
    assert [node.operator for node in graph.nodes] == ["Mul", "Mul"]
    assert graph.nodes[0].call.type == "Half"
    np.testing.assert_allclose(outputs(graph, X)[0], X / 8)


def test_an_optional_input_of_a_function_may_be_missing() -> None:
    more = """<opset_import: ["" : 18], domain: "local"> Norm (a, s, b) => (c) {
        c = LayerNormalization (a, s, b) }"""
    body = "s = Constant <value_floats = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]> () "
    graph = traced(body + "y = local.Norm (x, s)", more=more)
    assert len(graph.nodes[0].operands) == 2


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


OLD = {
    "Slice 1": ("y = Slice <starts = [1], ends = [3], axes = [1]> (x)", 9),
    "Pad 2": ("y = Pad <pads = [0, 1, 0, 2]> (x)", 10),
    "Clip 6": ("y = Clip <min = -0.5, max = 0.5> (x)", 9),
    "Squeeze 1": ("z = Unsqueeze <axes = [0]> (x) y = Squeeze <axes = [0]> (z)", 11),
    "Split 2": ("y, z = Split <axis = 1, split = [2, 4]> (x)", 11),
    "Split 11": ("y, z = Split <axis = 1> (x)", 11),
    "Dropout 7": ("y = Dropout <ratio = 0.5> (x)", 9),
    "Softmax 11": ("y = Softmax <axis = 1> (x)", 11),
    "ReduceSum 11": ("y = ReduceSum <axes = [1]> (x)", 11),
    "Upsample 9": (
        "s = Constant <value: tensor = float[2] {1.0, 2.0}> () y = Upsample (x, s)",
        9,
    ),
    "TopK 10": ("k = Constant <value: tensor = int64[1] {2}> () y, i = TopK <axis = 1> (x, k)", 10),
    "Scatter 9": (
        "i = Constant <value: tensor = int64[4,1] {1,0,2,3}> () "
        "u = Slice <starts = [0], ends = [1], axes = [1]> (x) y = Scatter <axis = 1> (x, i, u)",
        9,
    ),
}


@pytest.mark.parametrize("name", OLD)
def test_old_forms_of_operators_compute_the_same(name: str) -> None:
    body, opset = OLD[name]
    model = model_of(body, opset=opset)
    graph = trace(model, {"x": X}, Tensors())
    assert not graph.unknown_operators
    (wanted,) = by_runtime(model, {"x": X})
    assert graph.outputs[0].shape == wanted.shape
    np.testing.assert_allclose(outputs(graph, X)[0], wanted, rtol=1e-5, atol=1e-6)


FUSED = {
    "SkipLayerNormalization": "s = Abs (x) g = Constant <value_floats = [1.0, 2.0, 3.0, 4.0, 5.0, "
    "6.0]> () y = com.microsoft.SkipLayerNormalization <epsilon = 1e-5> (x, s, g)",
    "SkipSimplifiedLayerNormalization": "s = Abs (x) g = Constant <value_floats = [1.0, 2.0, 3.0, "
    "4.0, 5.0, 6.0]> () y = com.microsoft.SkipSimplifiedLayerNormalization (x, s, g)",
    "SimplifiedLayerNormalization": "g = Constant <value_floats = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]> "
    "() y = SimplifiedLayerNormalization (x, g)",
    "FusedMatMul": "y = com.microsoft.FusedMatMul <transB = 1, alpha = 0.5> (x, x)",
    "BiasGelu": "g = Constant <value_floats = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]> () "
    "y = com.microsoft.BiasGelu (x, g)",
    "QuickGelu": "y = com.microsoft.QuickGelu (x)",
}


@pytest.mark.parametrize("name", FUSED)
def test_what_onnxruntime_fuses_is_known(name: str) -> None:
    x = np.stack([X, X + 1]) if "Normalization" in name else X
    model = model_of(FUSED[name], x=x)
    graph = trace(model, {"x": x}, Tensors())
    assert not graph.unknown_operators
    (wanted,) = by_runtime(model, {"x": x})
    np.testing.assert_allclose(outputs(graph, x)[0], wanted, rtol=1e-3, atol=1e-3)
    if "Normalization" in name:
        assert Role.NORMALIZATION in [node.role for node in graph.nodes]


def test_normalizations_say_what_shares() -> None:
    """Operand 0 is x, result 0 is y, and None stands along the axes of a set."""
    x = np.random.default_rng(0).normal(size=(2, 4, 3, 3)).astype(np.float32)
    v = "c = Constant <value_floats = [1.0, 2.0, 3.0, 4.0]> () "
    w = "c = Constant <value_floats = [1.0, 2.0, 3.0]> () "
    wanted = {
        v + "y = BatchNormalization (x, c, c, c, c)": ("a", "b", "c", "d"),
        v + "y, m, n = BatchNormalization <training_mode = 1> (x, c, c, c, c)": (
            *(None, "b", None, None),
        ),
        v + "y = InstanceNormalization (x, c, c)": ("a", "b", None, None),
        v + "y = GroupNormalization <num_groups = 2> (x, c, c)": ("a", None, None, None),
        w + "y = LayerNormalization (x, c)": ("a", "b", "c", None),
        w + "y = RMSNormalization (x, c)": ("a", "b", "c", None),
        "y = LpNormalization <axis = 1> (x)": ("a", None, "c", "d"),
        "y = MeanVarianceNormalization (x)": (None, "b", None, None),
        "y = LRN <size = 3> (x)": ("a", None, "c", "d"),
    }
    for body, labels in wanted.items():
        (node,) = traced(body, x=x, opset=23).nodes
        assert node.role is Role.NORMALIZATION, body
        assert isinstance(node.rule, Labels)
        assert node.rule.operands[0] == node.rule.results[0] == labels, body


def test_sequences_are_followed() -> None:
    graph = traced(
        """s = SplitToSequence <axis = 1, keepdims = 0> (x)
        last = Constant <value_int = -1> ()
        a = SequenceAt (s, last)
        more = SequenceInsert (s, a)
        y = ConcatFromSequence <axis = 1, new_axis = 1> (more)"""
    )
    np.testing.assert_array_equal(outputs(graph, X)[0], np.concatenate([X, X[:, -1:]], 1))
    assert not graph.unknown_operators


def test_layers_are_told_from_the_names_of_both_exporters() -> None:
    assert paths_of("/layers/layers.1/norm/Mul_1") == ["layers", "layers.1", "layers.1.norm"]
    old = helper.make_node("Relu", ["x"], ["h"], name="/body/body.0/act/Relu")
    new = helper.make_node("Tanh", ["h"], ["y"], name="node_tanh")
    for key, value in {
        "name_scopes": "['', 'body', 'body.1', 'tanh']",
        "class_hierarchy": "['net.Net', 'torch.nn.Sequential', 'torch.nn.Tanh', 'aten.tanh']",
        "stack_trace": 'File "/home/me/net.py", line 12, in forward\n    return self.body(x)\n'
        'File "/lib/site-packages/torch/nn/modules/act.py", line 9, in forward\n',
    }.items():
        new.metadata_props.add(key=f"pkg.torch.onnx.{key}", value=value)
    assert source_of(new) == "net.py:12"
    info = helper.make_tensor_value_info
    graph_proto = helper.make_graph(
        [old, new], "g", [info("x", 1, [2, 3])], [info("y", TensorProto.FLOAT, [2, 3])]
    )
    model = helper.make_model(graph_proto, opset_imports=[helper.make_opsetid("", 18)])
    x = np.ones((2, 3), np.float32)
    graph = trace(model, {"x": x}, Tensors())
    relu, tanh = graph.nodes
    assert (relu.path, tanh.path, tanh.call.type) == ("body.0.act", "body.1", "Tanh")
    assert graph.calls[0].type == "Net"
    assert relu.call.inputs == tuple(graph.inputs)
    assert tanh.call.outputs == tuple(graph.outputs)
    assert tanh.source == "net.py:12"


def test_weights_keep_their_names_where_a_file_copies_them() -> None:
    """Equal weights are kept once, and copied to their other names."""
    weight = numpy_helper.from_array(np.ones(3, np.float32), "a.weight")
    info = helper.make_tensor_value_info
    graph_proto = helper.make_graph(
        [
            helper.make_node("Identity", ["a.weight"], ["b.weight"]),
            helper.make_node("Mul", ["x", "b.weight"], ["y"]),
        ],
        "g",
        [info("x", 1, [2, 3])],
        [info("y", 1, [2, 3])],
        [weight],
    )
    model = helper.make_model(graph_proto, opset_imports=[helper.make_opsetid("", 18)])
    (node,) = trace(model, {"x": np.ones((2, 3), np.float32)}, Tensors()).nodes
    assert node.operands[1].name == "b.weight"
    assert node.operands[1].is_parameter


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("y = Add (x, nothing)", "nothing makes 'nothing'"),
        ("a = Add (x, b) b = Relu (a) y = Relu (b)", "wait for each other"),
        ("s = Constant <value_ints = [5]> () y = Reshape (x, s)", "24 elements do not make"),
        ("c = Constant <value_ints = [1, 2]> () y = Slice (x, c)", "Slice"),
        ("y = Softmax <axis = 7> (x)", "Softmax does not fit"),
        ("y = Concat (x, x)", "Concat"),
    ],
)
def test_a_damaged_model_is_one_clear_line(body: str, said: str) -> None:
    with pytest.raises(CannotTraceError, match=said) as raised:
        traced(body)
    assert "\n" not in str(raised.value)


def test_an_array_that_nobody_can_hold_is_refused() -> None:
    with pytest.raises(CannotTraceError, match="25000000000000 elements, which is too many"):
        traced("s = Constant <value_ints = [5000000, 5000000]> () y = ConstantOfShape (s)")
