"""`keras.utils` of Keras 1.2.2."""

from normscope.keras1.utils import generic_utils, np_utils

__all__ = ["generic_utils", "np_utils"]
