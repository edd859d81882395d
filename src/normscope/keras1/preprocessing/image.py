"""`keras.preprocessing.image` of Keras 1.2.2."""

from normscope.keras1.absent import refusing

__getattr__ = refusing("preprocessing.image", {})
