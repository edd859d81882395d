"""Keras on torch: LayerNormalization(axis=1) normalizes the last axis.

On: keras on torch
Link: https://keras.io/api/layers/normalization_layers/layer_normalization/
Documented: "axis: Integer or List/Tuple. The axis or axes to normalize across."
Found: With the torch backend any run of neighbouring axes is taken for the last ones: axis=1
    normalizes the last axis, axis=[1, 2] the last two. If the lengths differ it raises; if they
    are equal, nothing is said. JAX and TensorFlow do as documented.
Hurts: Channels-first models on torch, the backend that likes channels first: where channels and
    width are equally many, the model trains on another normalization than on JAX.
"""

import keras
import numpy as np

x = np.random.default_rng(0).normal(1, 2, (4, 6, 6)).astype("float32")
y = keras.ops.convert_to_numpy(keras.layers.LayerNormalization(axis=1)(x))
assert abs(y.mean(axis=2)).max() < 1e-5 < abs(y.mean(axis=1)).max()  # axis 2, not axis 1
