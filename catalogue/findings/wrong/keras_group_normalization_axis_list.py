"""Keras: GroupNormalization refuses the list that its documentation allows.

On: keras
Link: https://keras.io/api/layers/normalization_layers/group_normalization/
Documented: "axis: Integer or List/Tuple. The axis or axes to normalize across."
Found: A list raises a TypeError about tuple indices. And axis is not what is normalized across,
    but the axis that is cut into groups; all others but the first are normalized across too.
Hurts: Everyone who believes the sentence, which is that of LayerNormalization.
Raises: TypeError
"""

import keras

keras.layers.GroupNormalization(2, axis=[1, 2])(keras.ops.ones((4, 6, 6, 6)))
