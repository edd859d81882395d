"""Keras on torch: RMSNormalization(axis=1) normalizes the last axis.

On: keras on torch
Link: https://keras.io/api/layers/normalization_layers/rms_normalization/
Documented: "axis: int. The axis on which to perform the normalization."
Found: As with LayerNormalization: on torch the last axis is normalized, whatever axis says, or it
    raises because lengths differ.
Hurts: The same channels-first models, and everyone who moves weights between backends.
"""

import keras
import numpy as np

x = np.random.default_rng(0).normal(1, 2, (4, 6, 6)).astype("float32")
y = keras.ops.convert_to_numpy(keras.layers.RMSNormalization(axis=1)(x)) ** 2
assert abs(y.mean(axis=2) - 1).max() < 1e-4 < abs(y.mean(axis=1) - 1).max()
