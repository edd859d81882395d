"""Flax NNX: InstanceNorm of (batch, features) is zero everywhere.

On: flax nnx
Link: https://flax.readthedocs.io/en/latest/api_reference/flax.nnx/nn/normalization.html
Documented: Nothing about the rank.
Found: Without spatial axes each statistics set holds one value, and that minus its mean is 0.
    PyTorch refuses single values when training; Keras's GroupNormalization(-1) gives zeros too.
Hurts: A head after global pooling: it learns its bias and nothing else.
"""

import numpy as np
from flax import nnx

x = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
assert not nnx.InstanceNorm(6, rngs=nnx.Rngs(0))(x).any()
