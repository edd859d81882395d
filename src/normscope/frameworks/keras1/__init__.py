"""Keras 1, whose layers are data: configurations in files."""
