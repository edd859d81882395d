"""`keras.engine` of Keras 1.2.2."""

from normscope.keras1.engine.topology import (
    Input,
    InputLayer,
    InputSpec,
    Layer,
    Merge,
    get_source_inputs,
    merge,
)
from normscope.keras1.engine.training import Model

__all__ = [
    "Input",
    "InputLayer",
    "InputSpec",
    "Layer",
    "Merge",
    "Model",
    "get_source_inputs",
    "merge",
]
