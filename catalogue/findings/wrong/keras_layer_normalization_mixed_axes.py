"""Keras: LayerNormalization(axis=[1, -1]) gives gamma and beta to the wrong elements.

On: keras
Link: https://keras.io/api/layers/normalization_layers/layer_normalization/
Documented: "gamma and beta will span the axes of inputs specified in axis."
Found: The axes are sorted as written, -1 before 1, so gamma is of shape (last, axis 1); it is
    then reshaped, not transposed, to the order of the input. gamma[0, 0] and gamma[0, 1] end up
    along the last axis.
Hurts: Everyone who sets, reads, regularizes or ports these weights; axis=[1, 2] of the same input
    is right.
"""

import keras

layer = keras.layers.LayerNormalization(axis=[1, -1], beta_initializer="ones")
layer.build((4, 2, 3))
layer.gamma.assign([[0, 0], [1, 1], [1, 1]])  # 0 for index 0 of the last axis, it seems
assert keras.ops.all(layer(keras.random.normal((4, 2, 3)))[:, 0, :2] == 1)  # not [:, :, 0]
