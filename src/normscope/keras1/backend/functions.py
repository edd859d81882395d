"""Functions from arrays to arrays, made of symbolic tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from normscope.errors import SpecError
from normscope.keras1.backend.settings import LearningPhase

__all__ = ["Function", "function"]


class Function:
    """A function of a list of arrays to a list of arrays; see `function`."""

    def __init__(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        self.phases = [isinstance(one, LearningPhase | int) for one in inputs]
        tensors = [one for one, is_phase in zip(inputs, self.phases, strict=True) if not is_phase]
        for one in (*tensors, *outputs):
            if not isinstance(one, keras.KerasTensor):
                raise SpecError(
                    "function takes symbolic tensors, such as model.input and layer.output, not a "
                    f"{type(one).__name__}"
                )
        if not tensors:
            raise SpecError("function takes at least one input besides learning_phase()")
        self.model = keras.Model(tensors if len(tensors) > 1 else tensors[0], list(outputs))

    def __call__(self, inputs: Sequence[Any]) -> list[npt.NDArray[Any]]:
        """The outputs for a list of arrays, and 0 or 1 for learning_phase()."""
        if len(inputs) != len(self.phases):
            raise SpecError(f"expected a list of {len(self.phases)} inputs, got {len(inputs)}")
        pairs = list(zip(inputs, self.phases, strict=True))
        arrays = [np.asarray(one) for one, is_phase in pairs if not is_phase]
        training = any(bool(one) for one, is_phase in pairs if is_phase)
        found = self.model(arrays if len(arrays) > 1 else arrays[0], training=training)
        return [ops.convert_to_numpy(one) for one in keras.tree.flatten(found)]


def function(
    inputs: Sequence[Any], outputs: Sequence[Any], updates: Sequence[Any] = (), **options: Any
) -> Function:
    """The function from some symbolic tensors to others, as of the layers of a model.

    Args:
        inputs: symbolic tensors, and `learning_phase()` where it is to be told whether it trains.
        outputs: symbolic tensors that follow from them.
        updates: cannot be served.
        **options: not needed.

    Raises:
        SpecError: something is not symbolic, or there are updates.

    >>> x = keras.Input((2,))
    >>> function([x], [x * 2])([[[1.0, 2.0]]])[0].tolist()
    [[2.0, 4.0]]
    """
    if updates:
        raise SpecError(
            "function(updates=...) cannot be served; train with model.train_on_batch, or assign "
            "with set_value after the call"
        )
    return Function(list(inputs), list(outputs))
