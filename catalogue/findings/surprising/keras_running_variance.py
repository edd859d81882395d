"""Keras: the running variance is the biased one; PyTorch keeps the unbiased one.

On: keras
Link: https://keras.io/api/layers/normalization_layers/batch_normalization/
Documented: "moving_var = moving_var * momentum + var(batch) * (1 - momentum)"
Found: Keras, Flax, Haiku, Equinox and ONNX divide by N, PyTorch by N - 1 for what it stores and
    by N for what it normalizes with.
Hurts: Who ports small-batch training between them and compares outputs at inference.
"""

import keras

layer = keras.layers.BatchNormalization(momentum=0.0)
layer(keras.ops.convert_to_tensor([[-1.0], [1.0]]), training=True)
assert keras.ops.convert_to_numpy(layer.moving_variance) == 1  # PyTorch: 2
