"""`keras.engine.training` of Keras 1.2.2."""

from normscope.keras1.live.models import Model

__all__ = ["Model"]
