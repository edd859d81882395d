"""`normscope convert`: a Keras 1 file becomes a `.keras` file of Keras 3, and that is checked."""

from normscope.keras1.convert.conversion import Conversion, convert, random_inputs

__all__ = ["Conversion", "convert", "random_inputs"]
