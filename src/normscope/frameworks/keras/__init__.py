"""Keras 2 and 3, on any backend."""
