"""`normscope convert`: a Keras 1 file becomes a `.keras` file of Keras 3, and that is checked."""

from normscope.keras1.convert.conversion import convert
from normscope.keras1.convert.report import Conversion

__all__ = ["Conversion", "convert"]
