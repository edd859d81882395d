"""What the operators of TensorFlow are: a role and a rule for each, by type."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from normscope.frameworks.tensorflow import movements, products
from normscope.frameworks.tensorflow.applied import Applied, names
from normscope.graph.labels import along, elementwise, labels, normalization, reduction, scan
from normscope.graph.operators import Role
from normscope.graph.replay import CannotReplayError
from normscope.graph.rules import Fixed, Labels, Opaque, Rule, Window


@dataclass(frozen=True)
class Meaning:
    """What one operator means.

    Attributes:
        role: for a normalization.
        rule: what it does with its elements.
        channel_axis: of its result, where it makes channels with learned numbers.
    """

    role: Role
    rule: Rule
    channel_axis: int | None = None


def meaning(op: Applied) -> Meaning:
    """What an operator means; opaque if that is not known, or an operand that tells it is live."""
    try:
        return _meaning(op)
    except CannotReplayError:
        return Meaning(Role.OTHER, Opaque("what says its axes depends on an input"))


def _meaning(op: Applied) -> Meaning:
    if op.type in _FIXED:
        return Meaning(Role.OTHER, Fixed(drawn=False))
    if op.type in _RANDOM and not any(op.live):
        return Meaning(Role.OTHER, Fixed())
    role = _elementwise_role(op)
    if role is not None:
        return Meaning(role, _elementwise(op))
    if op.type in _REDUCTIONS:
        return Meaning(_REDUCTIONS[op.type], _reduction(op))
    if op.type in movements.MOVES:
        return Meaning(Role.MOVE, movements.move(op))
    if op.type in movements.SCATTERS:
        return Meaning(Role.MOVE, movements.scatter(op))
    if op.type in products.PRODUCTS:
        return _product(op)
    if op.type in _OTHERS:
        other, rule = _OTHERS[op.type]
        return Meaning(other, rule(op))
    return Meaning(Role.OTHER, Opaque())


# --- elementwise ----------------------------------------------------------------------------------

_ELEMENTWISE: dict[Role, str] = {
    Role.SHIFT: "Add AddV2 Sub AddN BiasAdd",
    Role.MULTIPLY: "Mul MulNoNan Neg",
    Role.DIVIDE: "RealDiv Div DivNoNan",
    Role.ROOT: "Sqrt",
    Role.POWER: "Square Abs ComplexAbs",
    Role.INVERSE: "Rsqrt Reciprocal Inv",
    Role.LIMIT: "ClipByValue",
    Role.EXPONENTIAL: "Exp Expm1 Cosh Sinh",
    Role.SQUASH: "Sigmoid Tanh Softsign Erf Atan",
    Role.ACTIVATION: "Relu Relu6 Elu Selu LeakyRelu Softplus",
    Role.SELECT: "Select SelectV2",
    Role.COMPARE: "Greater GreaterEqual Less LessEqual Equal NotEqual LogicalAnd LogicalOr "
    "LogicalNot ApproximateEqual IsNan IsInf IsFinite",
    Role.COPY: "Cast Snapshot Bitcast DeepCopy",
    Role.POINTWISE: "Log Log1p Sign Floor Ceil Round Rint Sin Cos Tan Asin Acos Asinh Acosh Atanh "
    "Atan2 Erfc Erfinv Ndtri Lgamma Digamma Polygamma Zeta Igamma Igammac Betainc BesselI0 "
    "BesselI0e BesselI1 BesselI1e Xlogy Xlog1py Xdivy FloorDiv FloorMod Mod TruncateDiv "
    "TruncateMod NextAfter Invert BitwiseAnd BitwiseOr BitwiseXor LeftShift RightShift "
    "PopulationCount Real Imag Conj Angle Complex Bucketize SigmoidGrad TanhGrad ReluGrad "
    "Relu6Grad EluGrad SeluGrad LeakyReluGrad SoftplusGrad SoftsignGrad RsqrtGrad SqrtGrad "
    "ReciprocalGrad MatrixBandPart FakeQuantWithMinMaxArgs LookupTableFindV2 StringLower AsString "
    "StringToNumber",
}
_ROLES = {name: role for role, names in _ELEMENTWISE.items() for name in names.split()}


def _elementwise_role(op: Applied) -> Role | None:
    match op.type:
        case "Pow":
            exponent = op.constant(1)
            if exponent is None:
                return Role.POINTWISE
            if exponent < 0:
                return Role.INVERSE
            return Role.ROOT if exponent == 0.5 else Role.POWER
        case "Maximum" | "Minimum":
            return Role.LIMIT if not all(op.live) else Role.POINTWISE
    return _ROLES.get(op.type)


def _elementwise(op: Applied) -> Labels:
    rank = len(op.results[0])
    if op.type == "Select" and op.ranks[0] == 1 < rank:  # it chooses whole rows
        every = labels(rank)
        return Labels({0: every[:1], 1: every, 2: every}, (every,))
    if op.type == "BiasAdd" and op.attributes["data_format"] == b"NCHW":
        every = labels(rank)
        return Labels({0: every, 1: every[1:2]}, (every,))
    if op.type == "MatrixBandPart":
        return elementwise(op.ranks[:1], rank)
    if op.type == "Bitcast" and op.ranks[0] != rank:
        shorter = min(op.ranks[0], rank)
        every = labels(shorter)
        operand, result = (every + (None,) * (n - shorter) for n in (op.ranks[0], rank))
        return Labels({0: operand}, (result,))
    return elementwise(op.ranks, rank)


# --- reductions, and what else sees several elements ----------------------------------------------

_REDUCTIONS = {
    **dict.fromkeys(("Sum", "Mean", "EuclideanNorm"), Role.STATISTIC),
    **dict.fromkeys(("Max", "Min", "ArgMax", "ArgMin", "All", "Any"), Role.EXTREME),
    "Prod": Role.OTHER,
}


def _reduction(op: Applied) -> Labels:
    axes = op.integers(1)
    return reduction(op.ranks[0], axes, bool(op.attributes.get("keep_dims", False)))


def _product(op: Applied) -> Meaning:
    rule, made = products.PRODUCTS[op.type](op)
    learned = len(op.live) > 1 and sum(op.live[:2]) < 2
    return Meaning(Role.PRODUCT, rule, made if learned else None)


def _last(op: Applied) -> Labels:
    return along(op.ranks[0], {-1}, len(op.results))


def _cumulative(op: Applied) -> Labels:
    (axis,) = op.integers(1)
    return scan(op.ranks[0], axis, bool(op.attributes["reverse"]))


def _batch_norm(op: Applied) -> Labels:
    rank = op.ranks[0]
    channels = 1 if op.attributes["data_format"] in (b"NCHW", b"NCDHW") else rank - 1
    sets = set(range(rank)) - {channels} if op.attributes["is_training"] else set()
    own = labels(rank)[channels]
    others = tuple((own if len(shape) == 1 else None,) * len(shape) for shape in op.results[1:])
    return normalization(op.ranks, sets, channels, others)


def _local_response(op: Applied) -> Labels:
    radius = int(op.attributes["depth_radius"])
    every = labels(4)
    return Labels({0: every}, (every,), {"d": Window(2 * radius + 1, before=radius)})


def _images(op: Applied) -> Labels:
    """Images that are resized or warped: positions may see all positions."""
    rank = op.ranks[0]
    every = labels(rank, {rank - 3, rank - 2})
    return Labels({0: every}, (every,))


def _warped(op: Applied) -> Labels:
    per_image = "a" if op.shapes[1][0] == op.shapes[0][0] else None
    every = ("a", None, None, "d")
    return Labels({0: every, 1: (per_image, None)}, (every,))


def _last_two(op: Applied) -> Labels:
    """Matrices in the last two axes, each on its own."""
    batch = labels(op.ranks[0] - 2)
    results = tuple(batch + (None,) * (len(shape) - len(batch)) for shape in op.results)
    operands = {n: (*batch, None, None) for n, rank in enumerate(op.ranks) if rank == op.ranks[0]}
    return Labels(operands, results)


def _fourier(axes: int) -> Callable[[Applied], Labels]:
    def rule(op: Applied) -> Labels:
        rank = op.ranks[0]
        every = labels(rank, range(rank - axes, rank))
        return Labels({0: every}, (every,))

    return rule


def _one_hot(op: Applied) -> Labels:
    rank = len(op.results[0])
    axis = int(op.attributes["axis"]) % rank
    every = labels(rank)
    return Labels({0: (*every[:axis], *every[axis + 1 :]), 2: (), 3: ()}, (every,))


def _filled(op: Applied) -> Labels:
    return Labels({1: ()}, (labels(len(op.results[0])),))


def _counted(op: Applied) -> Labels:
    """How often each number occurs in each row."""
    row: tuple[str | None, ...] = ("a",) if op.ranks[0] == 2 else ()
    operands = {n: (*row, None) for n in (0, 2) if op.ranks[n] == op.ranks[0]}
    return Labels(operands, ((*row, None),))


def _drawn(op: Applied) -> Labels:
    return Labels({0: ("a", None)}, (("a", None),))


def _list_item(op: Applied) -> Labels:
    every = labels(len(op.results[0]))
    return Labels({0: (None, *every)}, (every,))


def _list_with_item(op: Applied) -> Labels:
    every = labels(len(op.results[0]))
    return Labels({0: every, 2: every[1:]}, (every,))


_OTHERS: dict[str, tuple[Role, Callable[[Applied], Rule]]] = {
    "Softmax": (Role.SOFTMAX, _last),
    "LogSoftmax": (Role.SOFTMAX, _last),
    "TopKV2": (Role.ORDER, _last),
    "TopK": (Role.ORDER, _last),
    "RGBToHSV": (Role.OTHER, _last),
    "HSVToRGB": (Role.OTHER, _last),
    "AdjustHue": (Role.OTHER, _last),
    "AdjustSaturation": (Role.OTHER, _last),
    "AdjustContrastv2": (Role.OTHER, _images),
    "Cumsum": (Role.RUNNING, _cumulative),
    "Cumprod": (Role.OTHER, _cumulative),
    "CumulativeLogsumexp": (Role.OTHER, _cumulative),
    "AvgPool": (Role.RUNNING, products.pooled),
    "AvgPool3D": (Role.RUNNING, products.pooled),
    "MaxPool": (Role.OTHER, products.pooled),
    "MaxPool3D": (Role.OTHER, products.pooled),
    "L2Loss": (Role.STATISTIC, lambda op: reduction(op.ranks[0], range(op.ranks[0]), keeps=False)),
    "LRN": (Role.NORMALIZATION, _local_response),
    "FusedBatchNorm": (Role.NORMALIZATION, _batch_norm),
    "FusedBatchNormV2": (Role.NORMALIZATION, _batch_norm),
    "FusedBatchNormV3": (Role.NORMALIZATION, _batch_norm),
    "ResizeBilinear": (Role.OTHER, _images),
    "ResizeBicubic": (Role.OTHER, _images),
    "ResizeArea": (Role.OTHER, _images),
    "ScaleAndTranslate": (Role.OTHER, _images),
    "ImageProjectiveTransformV3": (Role.OTHER, _warped),
    **dict.fromkeys(
        names(
            "Cholesky MatrixInverse MatrixDeterminant LogMatrixDeterminant Qr Svd "
            "SelfAdjointEigV2 Eig MatrixSolve MatrixTriangularSolve MatrixExponential Lu"
        ),
        (Role.OTHER, _last_two),
    ),
    **{name: (Role.OTHER, _fourier(1)) for name in ("FFT", "IFFT", "RFFT", "IRFFT")},
    **{name: (Role.OTHER, _fourier(2)) for name in ("FFT2D", "IFFT2D", "RFFT2D", "IRFFT2D")},
    "OneHot": (Role.OTHER, _one_hot),
    "Fill": (Role.COPY, _filled),
    "DenseBincount": (Role.OTHER, _counted),
    "Multinomial": (Role.OTHER, _drawn),
    "StatelessMultinomial": (Role.OTHER, _drawn),
    "TensorListGetItem": (Role.OTHER, _list_item),
    "TensorListSetItem": (Role.OTHER, _list_with_item),
}

_FIXED = names("Shape ShapeN Size Rank ZerosLike OnesLike BroadcastGradientArgs")
_RANDOM = names(
    "RandomUniform RandomUniformInt RandomStandardNormal TruncatedNormal RandomShuffle "
    "RandomGamma RandomPoissonV2 StatelessRandomUniform StatelessRandomUniformV2 "
    "StatelessRandomUniformIntV2 StatelessRandomNormal StatelessRandomNormalV2 "
    "StatelessTruncatedNormal StatelessTruncatedNormalV2 StatelessRandomBinomial "
    "StatelessRandomGammaV3 StatelessParameterizedTruncatedNormal StatelessShuffle"
)


def is_random(name: str) -> bool:
    """Whether an operator of this type draws numbers."""
    return name in _RANDOM
