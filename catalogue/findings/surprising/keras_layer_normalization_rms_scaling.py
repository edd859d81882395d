"""Keras: LayerNormalization(rms_scaling=True) does not divide by the RMS.

On: keras
Link: https://keras.io/api/layers/normalization_layers/layer_normalization/
Documented: The argument is no longer documented; a warning says that it scales by the variance.
Found: x is divided by the standard deviation around the mean, without subtracting the mean. There
    is no bias then.
Hurts: Models that took it for RMS normalization: for [10, 11, 12, 13] the output is ten times
    that of RMSNormalization.
"""

import keras

x = keras.ops.convert_to_tensor([[10.0, 11.0, 12.0, 13.0]])
y = keras.layers.LayerNormalization(rms_scaling=True)(x)
assert keras.ops.all(y > 8)  # by the RMS: about 1
