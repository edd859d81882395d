"""The classes of Keras that a file may name: a fixed list, each of which is Keras's own.

Not among them is what runs or loads something that the file brings or names: `Lambda`, wrappers of
other frameworks, and layers that read a vocabulary from a path.
"""

from __future__ import annotations

from typing import Any

import keras

_LAYERS = """
ActivityRegularization Activation AdaptiveAveragePooling1D AdaptiveAveragePooling2D
AdaptiveAveragePooling3D AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D Add
AdditiveAttention AlphaDropout Attention Average AveragePooling1D AveragePooling2D
AveragePooling3D BatchNormalization Bidirectional CategoryEncoding CenterCrop Concatenate Conv1D
Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose ConvLSTM1D ConvLSTM2D ConvLSTM3D
Cropping1D Cropping2D Cropping3D Dense DepthwiseConv1D DepthwiseConv2D Discretization Dot Dropout
ELU EinsumDense Embedding Flatten GRU GRUCell GaussianDropout GaussianNoise
GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D GlobalMaxPooling1D
GlobalMaxPooling2D GlobalMaxPooling3D GroupNormalization GroupQueryAttention HashedCrossing
Identity InputLayer LSTM LSTMCell LayerNormalization LeakyReLU Masking MaxPooling1D MaxPooling2D
MaxPooling3D Maximum MelSpectrogram Minimum MultiHeadAttention Multiply Normalization PReLU Permute
RMSNormalization RNN RandomBrightness RandomColorJitter RandomContrast RandomCrop RandomFlip
RandomGaussianBlur RandomGrayscale RandomHeight RandomHue RandomPosterization RandomRotation
RandomSaturation RandomSharpness RandomShear RandomTranslation RandomWidth RandomZoom ReLU
RepeatVector Rescaling Reshape Resizing STFTSpectrogram SeparableConv1D SeparableConv2D SimpleRNN
SimpleRNNCell Softmax Solarization SpatialDropout1D SpatialDropout2D SpatialDropout3D
SpectralNormalization StackedRNNCells Subtract TimeDistributed UnitNormalization UpSampling1D
UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D
"""
_INITIALIZERS = """
Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity LecunNormal LecunUniform Ones
Orthogonal OrthogonalInitializer RandomNormal RandomUniform TruncatedNormal VarianceScaling Zeros
"""
_REGULARIZERS = "L1 L2 L1L2 OrthogonalRegularizer"
_CONSTRAINTS = "MaxNorm MinMaxNorm NonNeg UnitNorm"
_POLICIES = "DTypePolicy FloatDTypePolicy QuantizedDTypePolicy QuantizedFloat8DTypePolicy"

_HOMES = {
    "keras.layers": _LAYERS,
    "keras.initializers": _INITIALIZERS,
    "keras.regularizers": _REGULARIZERS,
    "keras.constraints": _CONSTRAINTS,
    "keras.dtype_policies": _POLICIES,
}

_APPLICATIONS = """
keras.src.applications.convnext.LayerScale keras.src.applications.convnext.StochasticDepth
keras.src.applications.inception_resnet_v2.CustomScaleLayer
"""
"""Layers of the models that come with Keras. They are no public classes, so that others may have
their names: they are known where the file names their module too."""


def _of_applications() -> dict[str, Any]:
    found = {}
    for place in _APPLICATIONS.split():
        *_, module, name = place.split(".")
        layer = getattr(getattr(keras.src.applications, module, None), name, None)
        if layer is not None:
            found[place] = layer
    return found


LAYERS: dict[str, Any] = {
    name: getattr(keras.layers, name) for name in _LAYERS.split() if hasattr(keras.layers, name)
} | _of_applications()

MODELS = ("Functional", "Sequential", "Model")

OLDER_NAMES = {
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
    "LSTMV2": "LSTM",
    "GRUV2": "GRU",
    "LSTMCellV2": "LSTMCell",
    "GRUCellV2": "GRUCell",
    "CuDNNLSTM": "LSTM",
    "CuDNNGRU": "GRU",
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "GlorotUniformV2": "GlorotUniform",
    "GlorotNormalV2": "GlorotNormal",
    "HeNormalV2": "HeNormal",
    "HeUniformV2": "HeUniform",
    "LecunNormalV2": "LecunNormal",
    "LecunUniformV2": "LecunUniform",
    "ConstantV2": "Constant",
    "OnesV2": "Ones",
    "ZerosV2": "Zeros",
    "IdentityV2": "Identity",
    "RandomNormalV2": "RandomNormal",
    "RandomUniformV2": "RandomUniform",
    "TruncatedNormalV2": "TruncatedNormal",
    "OrthogonalV2": "Orthogonal",
    "VarianceScalingV2": "VarianceScaling",
}
"""What Keras 2 called them; those of cuDNN have other weights, but the same axes."""

_OF_OPERATIONS = ("numpy", "nn", "math", "core", "image", "linalg", "einops")
_TAKE_FUNCTIONS = (
    "AssociativeScan Cond CustomGradient ForiLoop Map Scan Switch VectorizedMap WhileLoop"
)


def _operations() -> dict[str, dict[str, Any]]:
    """The operations of `keras.ops` by the module that a file names, and their class."""
    found: dict[str, dict[str, Any]] = {}
    for name in _OF_OPERATIONS:
        module = getattr(keras.src.ops, name)
        found[f"keras.src.ops.{name}"] = {
            key: value
            for key, value in vars(module).items()
            if isinstance(value, type)
            and issubclass(value, keras.Operation)
            and value.__module__ == module.__name__
            and key not in _TAKE_FUNCTIONS.split()
        }
    return found


OPERATIONS = _operations()


def home_of(name: str) -> str | None:
    """The public module of Keras that has a class of this name; None if it is none of the list.

    >>> home_of("Dense"), home_of("Lambda")
    ('keras.layers', None)
    """
    return next((home for home, names in _HOMES.items() if name in names.split()), None)
