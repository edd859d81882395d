"""Keras: SpectralNormalization does nothing until the first training step.

On: keras
Link: https://keras.io/api/layers/normalization_layers/spectral_normalization/
Documented: "This wrapper controls the Lipschitz constant of the weights of a layer by
    constraining their spectral norm."
Found: The weights are normalized in training calls only, and overwritten; until the first one,
    inference uses them as they are. PyTorch's spectral_norm normalizes in both modes.
Hurts: Who wraps a trained layer and evaluates it.
"""

import keras

layer = keras.layers.SpectralNormalization(keras.layers.Dense(4, kernel_initializer="ones"))
assert keras.ops.all(layer(keras.ops.eye(3)) == 1)  # right: 0.29, for the norm is 3.46
