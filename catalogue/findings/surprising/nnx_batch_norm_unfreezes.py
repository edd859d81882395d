"""Flax NNX: model.train() unfreezes BatchNorm(use_running_average=True).

On: flax nnx
Link: https://flax.readthedocs.io/en/latest/api_reference/flax.nnx/nn/normalization.html
Documented: "use_running_average: if True, the stored batch statistics will be used instead of
    computing the batch statistics on the input."
Found: The attribute is the mode: train() sets it to False in every layer, so what the constructor
    was told is forgotten and the statistics learn again.
Hurts: Fine-tuning with frozen batch normalization.
"""

import numpy as np
from flax import nnx

layer = nnx.BatchNorm(1, use_running_average=True, rngs=nnx.Rngs(0))
layer.train()
assert abs(layer(np.ones((4, 1), "float32"))).max() < 1e-3  # by the stored statistics: 1
