"""What is proved of ONNX models holds when it is measured; programs made to fool the proof."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import defs

from frameworks.onnx.programs import X, coupled, model_of, traced
from normscope.frameworks.onnx.operators.table import OPERATORS
from normscope.frameworks.onnx.sequences import OPERATORS as SEQUENCES
from normscope.graph.proof import Verdict, samples_apart

INTS = np.random.default_rng(0).integers(0, 4, (4, 6))
IMAGES = np.random.default_rng(0).normal(size=(4, 3, 6, 6)).astype(np.float32)
SQUARE = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)

_SIX = "six = Constant <value_floats = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]> () "
_ZERO = "zero = Constant <value_ints = [0]> () "
_ONE = "one = Constant <value_ints = [1]> () "
_SWAP = "p = Constant <value_ints = [3, 2, 1, 0]> () "
_SAME = "p = Constant <value_ints = [0, 1, 2, 3]> () "

APART = {
    "softmax": "y = Softmax <axis = 1> (x)",
    "mean": _ONE + "m = ReduceMean (x, one) y = Sub (x, m)",
    "there and back": "t = Transpose (x) y = Transpose (t)",
    "swap twice": _SWAP + "a = Gather (x, p) y = Gather (a, p)",
    "gather all": _SAME + "y = Gather <axis = 0> (x, p)",
    "split and join": "a, b = Split <axis = 0, num_outputs = 2> (x) y = Concat <axis = 0> (a, b)",
    "reshape": "s = Constant <value_ints = [2, 2, 6]> () r = Reshape (x, s) "
    "q = Constant <value_ints = [4, 6]> () y = Reshape (r, q)",
    "norm of rows": "y = LpNormalization <axis = 1> (x)",
    "batch norm": "c = Constant <value_floats = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]> () "
    "y = BatchNormalization (x, c, c, c, c)",
    "sorted rows": "k = Constant <value_ints = [3]> () y, i = TopK <axis = 1> (x, k)",
    "running along rows": _ONE + "y = CumSum (x, one)",
    "einsum of rows": 'y = Einsum <equation = "bi,bi->b"> (x, x)',
    "outer of rows": 'y = Einsum <equation = "...i,...j->...ij"> (x, x)',
    "flip and back": "s = Constant <value_ints = [-1]> () e = Constant <value_ints = [-9]> () "
    "m = Constant <value_ints = [-1]> () " + _ZERO + "a = Slice (x, s, e, zero, m) "
    "y = Slice (a, s, e, zero, m)",
    "pad and cut": "p = Constant <value_ints = [1, 0, 1, 0]> () a = Pad (x, p) "
    "s = Constant <value_ints = [1]> () e = Constant <value_ints = [5]> () "
    + _ZERO
    + "y = Slice (a, s, e, zero)",
    "times zero": "z = Constant <value_float = 0.0> () r = ReduceSum (x) t = Mul (r, z) "
    "w = Constant <value_ints = [0]> () y = Identity (x)",
    "shape of all": "s = Size (x) f = Cast <to = 1> (s) y = Div (x, f)",
    "like ones": "s = Shape (x) o = ConstantOfShape (s) y = Add (x, o)",
    "scatter in place": "p = Constant <value: tensor = int64[4,1] {0,1,2,3}> () "
    "z = Constant <value_float = 0.0> () n = Mul (x, z) y = ScatterND (n, p, x)",
    "gather elements": "a = Constant <value: tensor = int64[4,2] {0,1,2,3,4,5,0,1}> () "
    "y = GatherElements <axis = 1> (x, a)",
    "choice in rows": _ONE + "k = Constant <value_ints = [1]> () v, i = TopK <axis = 1> (x, k) "
    "y = GatherElements <axis = 1> (x, i)",
    "recurrent": "s = Unsqueeze (x, zero_) y_, y = RNN <hidden_size = 2> (s, w, r)",
    "clip by itself": "a = Constant <value_float = 0.5> () y = Min (x, a)",
    "diagonal": "e = EyeLike (x) m = Mul (x, e) y = ReduceSum <keepdims = 0> (m, one_)",
}
APART["recurrent"] = (
    "zero_ = Constant <value_ints = [0]> () "
    "w = Constant <value: tensor = float[1,2,6] {1,2,3,4,5,6,1,2,3,4,5,6}> () "
    "r = Constant <value: tensor = float[1,2,2] {1,2,3,4}> () " + APART["recurrent"] + " "
).replace("y_, y = RNN", "y_, h = RNN") + "y = Squeeze (h, zero_)"
APART["diagonal"] = "one_ = Constant <value_ints = [1]> () " + APART["diagonal"]

MEET = {
    "flip": "s = Constant <value_ints = [-1]> () e = Constant <value_ints = [-9]> () "
    "m = Constant <value_ints = [-1]> () " + _ZERO + "y = Slice (x, s, e, zero, m)",
    "swap": _SWAP + "y = Gather (x, p)",
    "mean of samples": _ZERO + "m = ReduceMean (x, zero) y = Sub (x, m)",
    "mean of all": "m = ReduceMean (x) y = Sub (x, m)",
    "training": _SIX + "y, m, v = BatchNormalization <training_mode = 1> (x, six, six, six, six)",
    "softmax of samples": "y = Softmax <axis = 0> (x)",
    "sorted samples": "k = Constant <value_ints = [4]> () y, i = TopK <axis = 0> (x, k)",
    "running over samples": _ZERO + "y = CumSum (x, zero)",
    "gram": "t = Transpose (x) g = MatMul (x, t) y = MatMul (g, x)",
    "gram by einsum": 'y = Einsum <equation = "bi,ci->bc"> (x, x)',
    "gram by gemm": "y = Gemm <transB = 1> (x, x)",
    "mixing reshape": "s = Constant <value_ints = [6, 4]> () r = Reshape (x, s) t = Transpose (r) "
    "y = Identity (t)",
    "rolled": "a = Constant <value_ints = [1]> () n = Constant <value_ints = [9]> () "
    + _ZERO
    + "h = Slice (x, a, n, zero) t = Slice (x, zero, a, zero) y = Concat <axis = 0> (h, t)",
    "reflected": 'p = Constant <value_ints = [1, 0, 0, 0]> () a = Pad <mode = "reflect"> (x, p) '
    "s = Constant <value_ints = [0]> () e = Constant <value_ints = [4]> () "
    + _ZERO
    + "y = Slice (a, s, e, zero)",
    "scatter elsewhere": "p = Constant <value: tensor = int64[4,1] {3,2,1,0}> () "
    "y = ScatterND (x, p, x)",
    "scatter and add": "p = Constant <value: tensor = int64[4,1] {0,0,2,3}> () "
    'y = ScatterND <reduction = "add"> (x, p, x)',
    "scatter by data": "z = Constant <value_float = 0.0> () c = Greater (x, z) "
    "i = Cast <to = 7> (c) y = ScatterElements <axis = 0> (x, i, x)",
    "rows chosen by data": _ZERO + "i = ArgMax <axis = 0, keepdims = 0> (x) r = Gather (x, i) "
    "s = Constant <value_ints = [4]> () e = Slice (r, zero, s, zero) y = Add (x, e)",
    "counted": "z = Constant <value_float = 0.0> () c = Greater (x, z) n = NonZero (c) "
    "s = Size (n) f = Cast <to = 1> (s) y = Mul (x, f)",
    "length of what is chosen": "z = Constant <value_float = 0.0> () c = Greater (x, z) "
    "f = Flatten <axis = 0> (c) a = Constant <value_ints = [-1]> () v = Reshape (c, a) "
    "w = Reshape (x, a) k = Compress (w, v) n = Shape (k) g = Cast <to = 1> (n) y = Mul (x, g)",
    "unique": "f = Floor (x) u = Unique (f) n = Shape (u) g = Cast <to = 1> (n) y = Mul (x, g)",
    "quantized": "q, s, p = DynamicQuantizeLinear (x) y = DequantizeLinear (q, s, p)",
    "branch by all": "m = ReduceMax <keepdims = 0> (x) z = Constant <value_float = 2.5> () "
    "c = Greater (m, z) y = If (c) <then_branch = t () => (float[4,6] a) { a = Neg (x) }, "
    "else_branch = e () => (float[4,6] b) { b = Relu (x) }>",
    "shape by data": "z = Constant <value_float = 0.0> () c = Greater (x, z) n = NonZero (c) "
    "s = Shape (n) l = Gather (s, one_) q = ConstantOfShape (s) r = Cos (q) t = ReduceSum (r) "
    "y = Add (x, t)",
    "scale by all": "n = ReduceL2 (x) y = Div (x, n)",
    "sequence of samples": "s = SplitToSequence <axis = 0> (x) i = Constant <value_int = 3> () "
    "a = SequenceAt (s, i) y = Add (x, a)",
    "range by data": "m = ReduceMax <keepdims = 0> (x) z = Constant <value_float = 0.0> () "
    "d = Constant <value_float = 1.0> () a = Abs (m) b = Add (a, d) r = Range (z, b, d) "
    "s = ReduceSum (r) y = Add (x, s)",
    "expand by data": "z = Constant <value_float = 0.0> () c = Greater (x, z) n = NonZero (c) "
    "s = Shape <start = 1> (n) o = Constant <value_float = 1.0> () e = Expand (o, s) "
    "t = ReduceSum (e) y = Add (x, t)",
}
MEET["shape by data"] = "one_ = Constant <value_ints = [1]> () " + MEET["shape by data"]


@pytest.mark.parametrize("name", APART)
def test_what_is_apart_is_proved(name: str) -> None:
    x = SQUARE if name == "diagonal" else X
    graph = traced(APART[name], x=x)
    assert not coupled(model_of(APART[name], x=x), x)
    assert samples_apart(graph, [0]).verdict is Verdict.APART, samples_apart(graph, [0]).why


@pytest.mark.parametrize("name", MEET)
def test_what_meets_is_never_proved_apart(name: str) -> None:
    graph = traced(MEET[name])
    assert coupled(model_of(MEET[name]), X)
    assert samples_apart(graph, [0]).verdict is not Verdict.APART


PICTURES = {
    "convolution": ("w = Constant <value: tensor = float[1,3,1,1] {1,2,3}> () y = Conv (x, w)", 0),
    "groups": (
        "g = Constant <value_floats = [1.0, 2.0, 3.0]> () "
        "y = GroupNormalization <num_groups = 3> (x, g, g)",
        0,
    ),
    "pool": ("y = MaxPool <kernel_shape = [2, 2]> (x)", 0),
    "resize": ("s = Constant <value_floats = [1.0, 1.0, 2.0, 2.0]> () y = Resize (x, , s)", 0),
    "depth": (
        "s = Constant <value_ints = [4, 12, 3, 3]> () a = Reshape (x, s) "
        "y = DepthToSpace <blocksize = 2> (a)",
        0,
    ),
    "moved batch": (
        "t = Transpose <perm = [1, 0, 2, 3]> (x) i = InstanceNormalization (t, c, c) "
        "y = Transpose <perm = [1, 0, 2, 3]> (i)",
        0,
    ),
    "batch as positions": (
        "t = Transpose <perm = [3, 1, 2, 0]> (x) d = Constant <value_floats = "
        "[1.0, 2.0, 3.0]> () i = InstanceNormalization (t, d, d) "
        "y = Transpose <perm = [3, 1, 2, 0]> (i)",
        1,
    ),
    "upsampled batch": (
        "s = Constant <value_floats = [0.5, 1.0, 1.0, 1.0]> () "
        'y = Resize <mode = "nearest"> (x, , s)',
        1,
    ),
}
PICTURES["moved batch"] = (
    "c = Constant <value_floats = [1.0, 2.0, 3.0, 4.0]> () " + PICTURES["moved batch"][0],
    0,
)


@pytest.mark.parametrize("name", PICTURES)
def test_pictures(name: str) -> None:
    body, meets = PICTURES[name]
    opset = 21 if name == "groups" else 18
    graph = traced(body, x=IMAGES, opset=opset)
    assert coupled(model_of(body, x=IMAGES, opset=opset), IMAGES) is bool(meets)
    apart = samples_apart(graph, [0]).verdict is Verdict.APART
    assert apart is not bool(meets)


def test_embeddings_by_numbers_that_come() -> None:
    body = "t = Constant <value: tensor = float[4,2] {1,2,3,4,5,6,7,8}> () y = Gather (t, x)"
    graph = traced(body, x=INTS)
    assert not coupled(model_of(body, x=INTS), INTS)
    assert samples_apart(graph, [0]).verdict is Verdict.APART


# What has no rule, is not written out as a function, and is opaque wherever it occurs.
WITHOUT_RULE = {
    "ImageDecoder",
    "MaxRoiPool",
    "MaxUnpool",
    "MelWeightMatrix",
    "Multinomial",
    "NonMaxSuppression",
    "NonZero",
    "RegexFullMatch",
    "StringNormalizer",
    "StringSplit",
    "Unique",
}


def test_operators_without_a_rule_are_known_by_name() -> None:
    """A new version of ONNX brings new operators: give each a rule, or add it to the list."""
    followed = {"If", "Loop", "Scan", "Constant", "CastLike"} | SEQUENCES
    missing = set()
    for schema in defs.get_all_schemas():
        written_out = schema.has_function or schema.has_context_dependent_function
        if schema.domain == "" and not schema.deprecated and not written_out:
            missing.add(schema.name)
    missing -= set(OPERATORS[""]) | followed
    assert missing == WITHOUT_RULE
