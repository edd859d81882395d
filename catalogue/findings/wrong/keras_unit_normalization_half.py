"""Keras: UnitNormalization in float16 turns vectors into zeros.

On: keras
Link: https://keras.io/api/layers/normalization_layers/unit_normalization/
Documented: "Normalize a batch of inputs so that each input in the batch has a L2 norm equal to
    1."
Found: The squares are summed in float16, where 65504 is the largest number: a vector of length
    256 or more has an infinite norm, and becomes zero. LayerNormalization, RMSNormalization and
    the others compute in float32.
Hurts: Retrieval and face models under the policy mixed_float16: embeddings vanish without a
    warning.
"""

import keras

x = keras.ops.full((1, 4), 200, dtype="float16")
y = keras.layers.UnitNormalization(dtype="float16")(x)
assert not keras.ops.any(y)  # right: 0.5 everywhere
