"""Keras: RMSNormalization(axis=1) has its scale along the last axis.

On: keras
Link: https://keras.io/api/layers/normalization_layers/rms_normalization/
Documented: "axis: int. The axis on which to perform the normalization." The scale has one number
    per index of that axis.
Found: On every backend the scale is multiplied along the last axes, since it is never given the
    shape of axis. If the lengths differ it raises; if they are equal, other elements are scaled.
Hurts: Everyone who normalizes another axis than the last one.
"""

import keras

layer = keras.layers.RMSNormalization(axis=1)
layer.build((4, 6, 6))
layer.scale.assign([0, 1, 1, 1, 1, 1])
assert not keras.ops.any(layer(keras.ops.ones((4, 6, 6)))[:, :, 0])  # not [:, 0, :]
