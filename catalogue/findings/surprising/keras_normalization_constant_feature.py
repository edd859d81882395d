"""Keras: Normalization multiplies a feature that was constant by ten million.

On: keras
Link: https://keras.io/api/layers/preprocessing_layers/numerical/normalization/
Documented: "(input - mean) / sqrt(var)"
Found: The divisor is at least 1e-7, so a feature without variance in the data that adapt saw
    explodes as soon as it varies. scikit-learn's StandardScaler divides by 1 then.
Hurts: Rare flags and sensors that were silent in the training data.
"""

import keras
import numpy as np

layer = keras.layers.Normalization()
layer.adapt(np.ones((3, 1), "float32"))
assert layer(np.full((1, 1), 2, "float32")) > 9e6
