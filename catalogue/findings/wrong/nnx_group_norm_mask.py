"""Flax NNX: GroupNorm refuses the broadcastable mask that its documentation asks for.

On: flax nnx
Link: https://flax.readthedocs.io/en/latest/api_reference/flax.nnx/nn/normalization.html
Documented: "mask: Binary array of shape broadcastable to inputs tensor, indicating the positions
    for which the mean and variance should be computed."
Found: The mask is reshaped into groups as if it had all channels, which a broadcastable one has
    not. GroupNorm of Flax Linen raises too.
Hurts: Padded sequences and images, whose masks have no channels.
Raises: ValueError
"""

import numpy as np
from flax import nnx

x, mask = np.ones((4, 5, 6), "float32"), np.ones((4, 5, 1), bool)
nnx.GroupNorm(6, 3, rngs=nnx.Rngs(0))(x, mask=mask)
