"""Keras 3: the layer `Norm`, and the formula that it runs in `keras.ops`, on any backend."""

from normscope.errors import missing_package

try:
    import keras as _keras  # noqa: F401  # with a backend, which may be what is missing
except ImportError as error:
    raise missing_package(error, "normscope.layers.keras") from error

from normscope.layers.keras.formula import Moments, moments, normalize, normalized
from normscope.layers.keras.norm import Norm

__all__ = ["Moments", "Norm", "moments", "normalize", "normalized"]
