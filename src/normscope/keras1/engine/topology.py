"""`keras.engine.topology` of Keras 1.2.2."""

import keras

from normscope.keras1.absent import refusing
from normscope.keras1.live.layers.layer import Layer
from normscope.keras1.live.layers.merge import Merge, merge
from normscope.keras1.live.models import Input, InputLayer

InputSpec = keras.layers.InputSpec
get_source_inputs = keras.utils.get_source_inputs

__all__ = ["Input", "InputLayer", "InputSpec", "Layer", "Merge", "get_source_inputs", "merge"]

__getattr__ = refusing(
    "engine.topology",
    {
        "Node": "use the inputs and outputs of the layers",
        "Container": "use Model(input=..., output=...)",
    },
)
