"""`keras.layers.embeddings` of Keras 1.2.2."""

from normscope.keras1.live.layers.embedding import Embedding

__all__ = ["Embedding"]
