"""Haiku: LayerNorm and RMSNorm have their scale along the last axis, whatever axis they normalize.

On: haiku
Link: https://dm-haiku.readthedocs.io/en/latest/api.html#normalization
Documented: "the shape of the scale/offset parameters are controlled by the param_axis argument",
    which is the last axis by default. "Other libraries set this to the same as the reduction
    axis."
Found: hk.LayerNorm((1, 2, 3), True, True) has one scale per channel; PyTorch's and Keras's layer
    normalization have one per element.
Hurts: Who ports weights of channels-first or multi-axis layer normalization.
"""

import haiku as hk
import jax

function = hk.transform(lambda x: hk.LayerNorm(1, True, True)(x))
params = function.init(jax.random.key(0), jax.numpy.ones((4, 6, 5)))
assert params["layer_norm"]["scale"].shape == (5,)
