"""Keras 1: its names on top of Keras 3, its model files read as data, the shapes of its layers.

Four folders hold the code, each above those before it:

    files      the files of Keras 1, read and written as data
    network    the layers of an architecture, their calls, shapes and axis names
    live       the layers, models and optimizers on Keras 3, and live models of files
    convert    a file of Keras 1 made a `.keras` file, and checked

All else here is a public module of Keras 1.2.2 (`layers`, `models`, `backend`, `engine`, ...) under
its own name, which gives the names that it had; `absent` says what to write for those not offered.

    from normscope.keras1 import *

gives old code the names that it imported from keras.layers, keras.models, keras.optimizers,
keras.regularizers and keras.constraints; and `normscope.keras1` in place of `keras` in its imports
is enough for the modules too: `from normscope.keras1.layers.core import Dense`,
`from normscope.keras1 import backend as K`. Keras itself is imported with the first of these
names, so that an audit of a file (`normscope.keras1.files`) needs no framework.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from normscope.errors import MissingPackageError, SpecError, missing_package

# From which module each name comes.
_NAMES = {
    "layers": "Activation ActivityRegularization AtrousConvolution1D AtrousConvolution2D "
    "AveragePooling1D AveragePooling2D AveragePooling3D BatchNormalization Bidirectional "
    "ConvLSTM2D Convolution1D Convolution2D Convolution3D Cropping1D Cropping2D Cropping3D "
    "Deconvolution2D Dense Dropout ELU Embedding Flatten GaussianDropout GaussianNoise "
    "GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D GlobalMaxPooling1D "
    "GlobalMaxPooling2D GlobalMaxPooling3D GRU Highway Input InputLayer InputSpec Lambda Layer "
    "LeakyReLU LocallyConnected1D LocallyConnected2D LSTM Masking MaxoutDense MaxPooling1D "
    "MaxPooling2D MaxPooling3D Merge merge ParametricSoftplus Permute PReLU RepeatVector Reshape "
    "SeparableConvolution2D SimpleRNN SpatialDropout1D SpatialDropout2D SpatialDropout3D SReLU "
    "ThresholdedReLU TimeDistributed TimeDistributedDense UpSampling1D UpSampling2D UpSampling3D "
    "ZeroPadding1D ZeroPadding2D ZeroPadding3D",
    "models": "Model Sequential load_model model_from_config model_from_json save_model",
    "optimizers": "SGD RMSprop Adagrad Adadelta Adam Adamax Nadam",
    "regularizers": "l1 l2 l1l2 activity_l1 activity_l2 activity_l1l2 L1L2Regularizer "
    "EigenvalueRegularizer WeightRegularizer ActivityRegularizer",
    "constraints": "maxnorm nonneg unitnorm MaxNorm NonNeg UnitNorm MinMaxNorm",
    "backend": "image_dim_ordering set_image_dim_ordering",
    "live.running_std": "compare_running_std",
}

_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names.split()}

# What Keras 1.2.2 had as attributes once it was imported itself.
_MODULES = (
    *("activations", "applications", "backend", "callbacks", "constraints", "datasets", "engine"),
    *("initializations", "layers", "metrics", "models", "objectives", "optimizers"),
    *("preprocessing", "regularizers", "utils", "wrappers"),
)

__version__ = "1.2.2"

# As Keras 1.2.2 had them itself.
_SAME = {
    "Conv1D": "Convolution1D",
    "Conv2D": "Convolution2D",
    "Conv3D": "Convolution3D",
    "Deconv2D": "Deconvolution2D",
    "AtrousConv1D": "AtrousConvolution1D",
    "AtrousConv2D": "AtrousConvolution2D",
    "SeparableConv2D": "SeparableConvolution2D",
}

_INSTEAD = {
    "Graph": "Model(input=..., output=...)",
    "AutoEncoder": "two models: Model(input=..., output=...)",
    "LambdaMerge": "merge([a, b], mode=function)",
    "MaskedLayer": "Layer with supports_masking = True",
    "Wrapper": "Layer, which calls the layer inside in its call",
    "Recurrent": "Layer, with K.rnn(step, x, states) in its call",
    "model_from_yaml": "model_from_json; YAML can hold code, and is not read",
}

__all__ = [*sorted(_MODULE_OF), *sorted(_SAME)]


def __getattr__(name: str) -> Any:
    """A public name, from the module that defines it."""
    module = _MODULE_OF.get(_SAME.get(name, name))
    if module is not None:
        try:
            found = import_module(f"{__name__}.{module}")
        except MissingPackageError:
            raise
        except ImportError as error:
            raise missing_package(error, f"{name} of normscope.keras1") from error
        return getattr(found, _SAME.get(name, name))
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name in _INSTEAD:
        raise SpecError(f"{name} of Keras 1 cannot be served; use {_INSTEAD[name]}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__, *_MODULES]
