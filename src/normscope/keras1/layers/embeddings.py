"""`keras.layers.embeddings` of Keras 1.2.2."""

from normscope.keras1.live.embedding import Embedding

__all__ = ["Embedding"]
