"""The table: what each operator of ONNX does, by its domain and its name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from normscope.frameworks.onnx.operators import (
    elementwise,
    fused,
    moves,
    normalizations,
    products,
    reductions,
)
from normscope.frameworks.onnx.operators.applied import Applied, Meaning
from normscope.graph.operators import Role
from normscope.graph.rules import Fixed

Says = Callable[[Applied], Meaning]


def _fixed(node: Applied) -> Meaning:
    return Meaning(Role.OTHER, Fixed(node.kind.startswith("Random")))


_STANDARD: dict[str, Says] = {
    **{
        name: partial(elementwise.pointwise, role)
        for role, names in elementwise.ROLES.items()
        for name in names.split()
    },
    "Pow": elementwise.power,
    "Min": elementwise.extreme_of_two,
    "Max": elementwise.extreme_of_two,
    "Dropout": elementwise.dropout,
    "QuantizeLinear": elementwise.quantized,
    "DequantizeLinear": elementwise.quantized,
    # shapes, and random numbers
    **dict.fromkeys(
        [
            "Shape",
            "Size",
            "ConstantOfShape",
            "EyeLike",
            "RandomNormal",
            "RandomNormalLike",
            "RandomUniform",
            "RandomUniformLike",
        ],
        _fixed,
    ),
    # several elements
    **dict.fromkeys(reductions.STATISTICS, partial(reductions.reduce, Role.STATISTIC)),
    **dict.fromkeys(reductions.EXTREMES, partial(reductions.reduce, Role.EXTREME)),
    "ReduceProd": partial(reductions.reduce, Role.STATISTIC),
    **dict.fromkeys(("ArgMax", "ArgMin"), reductions.reduce_index),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), reductions.softmax),
    "TopK": reductions.sorted_along,
    **dict.fromkeys(("CumSum", "CumProd"), reductions.cumulative),
    "AveragePool": partial(reductions.pool, Role.RUNNING),
    "LpPool": partial(reductions.pool, Role.RUNNING),
    "MaxPool": partial(reductions.pool, Role.OTHER),
    "GlobalAveragePool": partial(reductions.pool_all, Role.STATISTIC),
    "GlobalLpPool": partial(reductions.pool_all, Role.STATISTIC),
    "GlobalMaxPool": partial(reductions.pool_all, Role.EXTREME),
    "OneHot": reductions.one_hot,
    **dict.fromkeys(("RNN", "GRU", "LSTM"), reductions.recurrent),
    **dict.fromkeys(
        ("Col2Im", "STFT", "GridSample", "AffineGrid"),
        partial(reductions.per_sample, Role.OTHER),
    ),
    "Range": reductions.counted,
    "TfIdfVectorizer": partial(reductions.along_rows, Role.OTHER),
    "TensorScatter": reductions.written_into,
    "RoiAlign": reductions.of_regions,
    "Det": reductions.determinant,
    "DFT": reductions.fourier,
    # products
    "MatMul": products.matmul,
    "Gemm": products.gemm,
    "Einsum": reductions.einsum,
    "Conv": products.convolved,
    "ConvTranspose": products.convolved_transposed,
    **dict.fromkeys(("ConvInteger", "QLinearConv", "DeformConv"), products.per_sample_product),
    **dict.fromkeys(("MatMulInteger", "QLinearMatMul"), products.quantized_matmul),
    # moves
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), moves.reshaped),
    "Expand": moves.expanded,
    "Transpose": moves.transposed,
    "Concat": moves.joined,
    "Split": moves.split,
    **dict.fromkeys(("Tile", "DepthToSpace", "SpaceToDepth", "Compress"), moves.as_run),
    "Slice": moves.sliced,
    "Pad": moves.padded,
    "Trilu": moves.triangle,
    "Gather": moves.gathered,
    "GatherElements": moves.gathered_elements,
    "GatherND": moves.gathered_parts,
    "ReverseSequence": moves.reversed_sequences,
    **dict.fromkeys(("Resize", "Upsample"), moves.resized),
    **dict.fromkeys(("Scatter", "ScatterElements"), moves.scattered_elements),
    "ScatterND": moves.scattered_parts,
    # normalizations
    **dict.fromkeys(
        ("LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization"),
        normalizations.over_last_axes,
    ),
    "InstanceNormalization": normalizations.over_positions,
    "GroupNormalization": normalizations.over_groups,
    "BatchNormalization": normalizations.over_batch,
    "LpNormalization": normalizations.by_length,
    "MeanVarianceNormalization": normalizations.by_mean_and_variance,
    "LRN": normalizations.over_neighbours,
}

_MACHINE_LEARNING: dict[str, Says] = {
    **dict.fromkeys(
        ["Binarizer", "Imputer", "LabelEncoder", "CategoryMapper"],
        partial(elementwise.pointwise, Role.POINTWISE),
    ),
    "Scaler": partial(elementwise.pointwise, Role.POINTWISE),
    "ArrayFeatureExtractor": reductions.features,
    "Normalizer": normalizations.of_rows,
    **dict.fromkeys(
        [
            "LinearClassifier",
            "LinearRegressor",
            "SVMClassifier",
            "SVMRegressor",
            "TreeEnsemble",
            "TreeEnsembleClassifier",
            "TreeEnsembleRegressor",
            "OneHotEncoder",
        ],
        partial(reductions.along_rows, Role.OTHER),
    ),
}

OPERATORS: dict[str, dict[str, Says]] = {
    "": _STANDARD,
    "ai.onnx": _STANDARD,
    "ai.onnx.ml": _MACHINE_LEARNING,
    fused.DOMAIN: fused.MEANINGS,
}
"""By domain, then by name."""
