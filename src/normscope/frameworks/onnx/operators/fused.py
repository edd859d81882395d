"""Operators that ONNX Runtime makes of several: written out again, or said as one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from onnx import parser

from normscope.frameworks.onnx.operators.applied import Applied, Made, Meaning
from normscope.frameworks.onnx.operators.elementwise import pointwise
from normscope.frameworks.onnx.operators.products import learned
from normscope.graph.labels import labels
from normscope.graph.operators import Role, Value
from normscope.graph.rules import Dims, Labels

DOMAIN = "com.microsoft"

Attributes = Mapping[str, Any]
Ranks = Sequence[int | None]
"""Of the operands, by place; None for one that is left out."""


def body_of(node: Any, attributes: Attributes, places: Sequence[Value | None]) -> Any | None:
    """The operators that a fused one stands for, as a function; None for those that are not.

    ONNX Runtime has some of its own in the domain of ONNX too.
    """
    make = _BODIES.get(node.op_type)
    if make is None:
        return None
    ranks = [None if value is None else len(value.shape) for value in places] + [None] * 9
    try:
        steps = make(ranks, attributes, len(node.output))
    except ValueError:  # a form that is not written out
        return None
    inputs = ", ".join(f"i{n}" for n in range(len(node.input)))
    outputs = ", ".join(f"o{n}" for n in range(len(node.output)))
    return parser.parse_function(
        f'<domain: "{DOMAIN}", opset_import: ["": 23]> '
        f"{node.op_type} ({inputs}) => ({outputs}) {{ {steps} }}"
    )


def _after_sum(simple: bool, ranks: Ranks, attributes: Attributes, outputs: int) -> str:
    """X + skip (+ bias), normalized; the sum is the last result."""
    eps = float(attributes.get("epsilon", 1e-12 if not simple else 1e-5))
    bias = 3 if simple else 4
    steps = "s = Add (i0, i1) "
    steps += f"e = Add (s, i{bias}) " if ranks[bias] is not None else "e = Identity (s) "
    if simple:
        steps += f"o0 = RMSNormalization <axis = -1, epsilon = {eps:e}> (e, i2) "
    else:
        shift = ", i3" if ranks[3] is not None else ""
        makes = ", ".join(["o0", "o1", "o2"][: min(outputs, 3)])
        steps += f"{makes} = LayerNormalization <axis = -1, epsilon = {eps:e}> (e, i2{shift}) "
    return steps + ("o3 = Identity (e)" if outputs > 3 else "")


def _normalized(kind: str, ranks: Ranks, attributes: Attributes, outputs: int) -> str:
    """What ONNX has by this name since a later version, or by another."""
    eps, axis = float(attributes.get("epsilon", 1e-5)), int(attributes.get("axis", -1))
    if outputs > 1:
        raise ValueError("the statistics of a normalization are not followed")
    shift = ", i2" if ranks[2] is not None else ""
    return f"o0 = {kind} <axis = {axis}, epsilon = {eps:e}> (i0, i1{shift})"


def _product(ranks: Ranks, attributes: Attributes, outputs: int) -> str:
    steps, names = "", ["i0", "i1"]
    for number, side in enumerate("AB"):
        rank = ranks[number] or 0
        if attributes.get(f"trans{side}") and rank > 1:
            order = [*range(rank - 2), rank - 1, rank - 2]
            steps += f"t{number} = Transpose <perm = {order}> ({names[number]}) "
            names[number] = f"t{number}"
    if attributes.get("transBatchA") or attributes.get("transBatchB"):
        raise ValueError("turned batches of a fused product are not followed")
    alpha = float(attributes.get("alpha", 1.0))
    if alpha == 1:
        return steps + f"o0 = MatMul ({names[0]}, {names[1]})"
    steps += f"p = MatMul ({names[0]}, {names[1]}) "
    return (
        steps + f"a0 = Constant <value_float = {alpha:e}> () a = CastLike (a0, p) o0 = Mul (p, a)"
    )


def _gelu_of_sum(ranks: Ranks, attributes: Attributes, outputs: int) -> str:
    return "s = Add (i0, i1) o0 = Gelu (s)" if ranks[1] is not None else "o0 = Gelu (i0)"


def _embedded(ranks: Ranks, attributes: Attributes, outputs: int) -> str:
    """Rows of tables for words, places and segments, added and normalized."""
    eps = float(attributes.get("epsilon", 1e-12))
    steps = "w = Gather <axis = 0> (i2, i0) "
    if ranks[8] is not None:
        steps += "p = Gather <axis = 0> (i3, i8) "
    else:  # the first rows, as many as there are words
        steps += (
            "n = Shape <start = 1, end = 2> (i0) zero = Constant <value_ints = [0]> () "
            "p = Slice (i3, zero, n, zero) "
        )
    steps += "s = Add (w, p) "
    if ranks[1] is not None and ranks[4] is not None:
        steps += "g = Gather <axis = 0> (i4, i1) e = Add (s, g) "
    else:
        steps += "e = Identity (s) "
    steps += f"o0 = LayerNormalization <axis = -1, epsilon = {eps:e}> (e, i5, i6) "
    if outputs > 2:
        raise ValueError("the sum of an embedding is not followed")
    if outputs > 1 and ranks[7] is not None:
        steps += "l = Constant <value_ints = [1]> () o1 = ReduceSum <keepdims = 0> (i7, l)"
    elif outputs > 1:
        steps += "c = Shape <end = 1> (i0) h = ConstantOfShape (c) o1 = Cast <to = 6> (h)"
    return steps


def _groups(skip: bool, ranks: Ranks, attributes: Attributes, outputs: int) -> str:
    """Groups of channels, which stand last unless it is said otherwise; perhaps x * sigmoid(x)."""
    eps, groups = float(attributes.get("epsilon", 1e-5)), int(attributes["groups"])
    steps = "x = Add (i0, i3) " if skip else "x = Identity (i0) "
    if skip and (ranks[4] is not None or outputs > 1):
        raise ValueError("the sum of a group normalization is not followed")
    last = attributes.get("channels_last", 1)
    rank = ranks[0] or 4
    first = [0, rank - 1, *range(1, rank - 1)]
    back = [0, *range(2, rank), 1]
    steps += f"f = Transpose <perm = {first}> (x) " if last else "f = Identity (x) "
    steps += f"n = GroupNormalization <epsilon = {eps:e}, num_groups = {groups}> (f, i1, i2) "
    steps += f"b = Transpose <perm = {back}> (n) " if last else "b = Identity (n) "
    if attributes.get("activation"):
        return steps + "g = Sigmoid (b) o0 = Mul (b, g)"
    return steps + "o0 = Identity (b)"


_BODIES: dict[str, Callable[[Ranks, Attributes, int], str]] = {
    "SkipLayerNormalization": partial(_after_sum, False),
    "SkipSimplifiedLayerNormalization": partial(_after_sum, True),
    "LayerNormalization": partial(_normalized, "LayerNormalization"),
    "SimplifiedLayerNormalization": partial(_normalized, "RMSNormalization"),
    "GroupNorm": partial(_groups, False),
    "SkipGroupNorm": partial(_groups, True),
    "FusedMatMul": _product,
    "TransposeMatMul": _product,
    "EmbedLayerNormalization": _embedded,
    **dict.fromkeys(("BiasGelu", "FastGelu", "Gelu"), _gelu_of_sum),
}


# --- those that are said as one -----------------------------------------------------------------


def attends(node: Applied) -> Meaning:
    """An attention: samples apart; within one, each place may see all."""
    batch = node.shape()[:1]

    def of(shape: tuple[int, ...], own: bool) -> Dims:
        first = "n" if own and shape[:1] == batch else None
        return (first, *[None] * (len(shape) - 1))[: len(shape)]

    operands = {n: of(value.shape, value.live) for n, value in enumerate(node.operands)}
    return Meaning(Role.OTHER, Labels(operands, tuple(of(s, True) for s, _ in node.results)))


def turned(node: Applied) -> Meaning:
    """RotaryEmbedding: along the last axis, by angles that the place says."""
    rank = node.rank()
    own = labels(rank, {-1})
    place = own[0], own[1 if rank == 3 else 2]
    places: Dims = place if node.rank(1) == 2 else (None,) * node.rank(1)
    tables = {n: (None,) * r for n, r in enumerate(node.ranks) if n > 1}
    return Meaning(Role.OTHER, Labels({0: own, 1: places, **tables}, (own,)))


def packed_product(node: Applied) -> Meaning:
    """MatMulNBits: the matrix is packed."""
    rank = len(node.results[0][0])
    operands: dict[int, Dims] = {n: (None,) * r for n, r in enumerate(node.ranks)}
    operands[0] = (*labels(rank)[:-1], None)
    return Meaning(
        Role.PRODUCT,
        Labels(operands, (labels(rank),)),
        channel_axis=rank - 1,
        adds_bias=learned(node.at(5)),
    )


MEANINGS: dict[str, Callable[[Applied], Meaning]] = {
    "QuickGelu": partial(pointwise, Role.ACTIVATION),
    "BiasAdd": partial(pointwise, Role.SHIFT),
    "RotaryEmbedding": turned,
    "MatMulNBits": packed_product,
    **dict.fromkeys(("Attention", "MultiHeadAttention", "GroupQueryAttention"), attends),
}


# --- shapes -------------------------------------------------------------------------------------


def is_told(node: Any) -> bool:
    """Whether `made_by` knows an operator, for most of its forms."""
    return node.domain == DOMAIN and node.op_type in _TOLD


_TOLD = frozenset({"QuickGelu", "BiasAdd", "RotaryEmbedding", "MatMulNBits", "GroupQueryAttention"})


def made_by(
    kind: str, attributes: Attributes, places: Sequence[Value | None], outputs: int
) -> list[Made] | None:
    """The shapes and dtypes that a fused operator gives; None where that is not known here."""
    x = places[0]
    if x is None:
        return None
    match kind:
        case "QuickGelu" | "BiasAdd" | "RotaryEmbedding":
            return [(x.shape, x.dtype)]
        case "MatMulNBits":
            return [((*x.shape[:-1], int(attributes["N"])), x.dtype)]
        case "MultiHeadAttention" if outputs == 1 and len(x.shape) == 3:
            value = places[2] if len(places) > 2 else None
            if value is not None and len(value.shape) == 3:
                return [((*x.shape[:2], value.shape[2]), x.dtype)]
        case "Attention" if outputs == 1 and "qkv_hidden_sizes" not in attributes:
            weight = places[1]
            if weight is not None:
                return [((*x.shape[:2], weight.shape[1] // 3), x.dtype)]
        case "GroupQueryAttention":
            return _of_grouped_attention(attributes, places, outputs)
    return None


def _of_grouped_attention(
    attributes: Attributes, places: Sequence[Value | None], outputs: int
) -> list[Made] | None:
    """The result, and the keys and values so far."""
    x, value = places[0], places[2]
    if x is None:
        return None
    heads, own = int(attributes["num_heads"]), int(attributes["kv_num_heads"])
    batch, steps, width = x.shape
    size = width // (heads if value is not None else heads + 2 * own)
    past = places[3] if len(places) > 3 else None
    before = past.shape[2] if past is not None else 0
    present = (batch, own, before + steps, size)
    return [((batch, steps, heads * size), x.dtype), *[(present, x.dtype)] * 2][:outputs]
