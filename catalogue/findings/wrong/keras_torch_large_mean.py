"""Keras on torch: BatchNormalization and GroupNormalization fail where the mean is large.

On: keras on torch
Link: https://keras.io/api/layers/normalization_layers/batch_normalization/
Documented: "a transformation that maintains the mean output close to 0 and the output standard
    deviation close to 1."
Found: The variance is the mean square minus the square of the mean, in float32. At mean 20000 and
    standard deviation 1 it comes out negative in some channels, and the output is NaN. JAX and
    TensorFlow are right here.
Hurts: Sensor data, timestamps, prices, any feature with an offset, if it reaches the layer
    unscaled.
"""

import keras
import numpy as np

x = np.random.default_rng(0).normal(20000, 1, (64, 8, 8, 4)).astype("float32")
y = keras.ops.convert_to_numpy(keras.layers.BatchNormalization()(x, training=True))
assert np.isnan(y).any() or abs(y).max() > 20  # right: standard deviation 1
