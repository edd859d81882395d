"""Keras 1: its model files, read as data, and the shapes of its layers."""
