"""Flax NNX: GroupNorm(reduction_axes=...) subtracts the means of other elements.

On: flax nnx
Link: https://flax.readthedocs.io/en/latest/api_reference/flax.nnx/nn/normalization.html
Documented: "reduction_axes: List of axes used for computing normalization statistics. This list
    must include the final dimension."
Found: The statistics of the groups are spread along axis 1, which is the axis of the groups only
    if all axes but the first are reduced. Otherwise each element gets the mean and variance of
    other places. GroupNorm of Flax Linen is right.
Hurts: Video, audio and any input with two leading axes, for which the argument was made. The
    shapes fit, so nothing is said.
"""

import numpy as np
from flax import nnx

x = np.random.default_rng(0).normal(size=(4, 6, 6, 6)).astype("float32")
y = nnx.GroupNorm(6, 3, reduction_axes=(2, 3), rngs=nnx.Rngs(0))(x)
assert abs(y.reshape(4, 6, 6, 3, 2).mean((2, 4))).max() > 0.1  # right: 0
