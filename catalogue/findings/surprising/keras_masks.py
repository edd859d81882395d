"""Keras: GroupNormalization passes masks on, and normalizes with the masked steps.

On: keras
Link: https://keras.io/api/layers/normalization_layers/group_normalization/
Documented: Nothing; the layer says supports_masking = True. BatchNormalization leaves masked
    steps out of its statistics.
Found: Padding enters mean and variance, so a sample's output depends on how far its batch was
    padded. LayerNormalization over several axes does the same.
Hurts: Sequences of different lengths.
"""

import keras
import numpy as np

x = np.pad(np.random.default_rng(0).normal(5, 1, (2, 3, 4)), [(0, 0), (0, 3), (0, 0)])
y = keras.Sequential([keras.layers.Masking(), keras.layers.GroupNormalization(1)])(x)
assert keras.ops.mean(y[:, :3]) > 0.5  # without the masked steps: 0
