"""Equinox: RMSNorm has a bias by default.

On: equinox
Link: https://docs.kidger.site/equinox/api/nn/normalisation/
Documented: "use_bias: Whether the module has learnable affine shift", default True.
Found: A bias that neither the paper nor PyTorch, Keras, Flax, Haiku or ONNX have.
Hurts: Who ports Llama-like weights: parameters without a counterpart, which training moves.
"""

import equinox as eqx

assert eqx.nn.RMSNorm(4).bias.shape == (4,)
