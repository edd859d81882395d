"""Flax: LayerNorm turns [40000, 40001, 40002, 40003] into +-1500 by default.

On: flax nnx
Link: https://flax.readthedocs.io/en/latest/api_reference/flax.nnx/nn/normalization.html
Documented: "use_fast_variance: If true, use a faster, but less numerically stable, calculation
    for the variance." The default is True.
Found: Mean square minus square of the mean, in float32, cut off at 0: what is left is divided by
    sqrt(1e-6). At mean 1000 and standard deviation 1 the result is still 1 to 2 % off. All
    normalizations of NNX and Linen that subtract a mean do so.
Hurts: Data with an offset, and deep residual streams with a large common component.
"""

import numpy as np
from flax import nnx

x = np.array([[40000, 40001, 40002, 40003]], "float32")
assert abs(nnx.LayerNorm(4, rngs=nnx.Rngs(0))(x)).max() > 1000  # right: 1.34
