"""What is trained is decided by `compile`, as in Keras 1, whatever `trainable` is set to later.

So a discriminator goes on to be trained after it was frozen for the model in which it judges a
generator. Keras 3 looks at `trainable` at each step.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras


class WhatIsTrained:
    """The layers and weights of a model that were trainable at a moment."""

    def __init__(self, model: Any) -> None:
        self.layers: list[tuple[keras.layers.Layer, bool]] = [
            (layer, layer.trainable) for layer in model._flatten_layers()
        ]
        self.variables = [(variable, variable.trainable) for variable in model.variables]

    @contextmanager
    def again(self) -> Iterator[None]:
        """Make them trainable as they were, while the body runs.

        >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        >>> then = WhatIsTrained(model)
        >>> model.trainable = False
        >>> with then.again():
        ...     len(model.trainable_variables)
        2
        >>> len(model.trainable_variables)
        0
        """
        layers = [(layer, layer.trainable) for layer, was in self.layers if layer.trainable != was]
        variables = [(one, one.trainable) for one, was in self.variables if one.trainable != was]
        for layer, now in layers:
            layer._trainable = not now
        for variable, now in variables:
            variable.trainable = not now
        try:
            yield
        finally:
            for layer, now in layers:
                layer._trainable = now
            for variable, now in variables:
                variable.trainable = now
