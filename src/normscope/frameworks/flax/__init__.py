"""Flax, both Linen and NNX."""
