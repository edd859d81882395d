"""`Calls`: the calls of one model, each of which finds the model as it was at first."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.frameworks.arrays import Values, all_values
from normscope.frameworks.inputs import Inputs
from normscope.frameworks.live import Live
from normscope.frameworks.recorder import Recorder, Step
from normscope.frameworks.trees import Array

Outputs = dict[str, Values]
"""The arrays in the output of a call, by name."""


class Calls:
    """Calls a model with its inputs, of which some may be given other values.

    Attributes:
        count: of the calls so far.
    """

    def __init__(self, model: Live, inputs: Inputs) -> None:
        self.model = model
        self.inputs = inputs
        self.count = 0

    def outputs(
        self, training: bool, changed: dict[int, Array] | None = None, stream: int | None = 0
    ) -> Outputs:
        """The outputs of a call; `changed` holds other values of inputs by their numbers."""
        arguments, named = self._prepared(changed, stream)
        with np.errstate(all="ignore"):
            return all_values(self.model.call(arguments, named, training), "output")

    def steps(self, training: bool, changed: dict[int, Array], stream: int) -> list[Step]:
        """What happens inside the model in such a call."""
        recorder = Recorder()
        arguments, named = self._prepared(changed, stream)
        with self.model.watched(recorder), np.errstate(all="ignore"):
            recorder.enter("", self.model.kind, (arguments, named))
            recorder.leave(self.model.call(arguments, named, training))
        return recorder.steps

    def _prepared(
        self, changed: dict[int, Array] | None, stream: int | None
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        self.model.put_back(stream)
        self.count += 1
        return self.inputs.arguments(self.model.leaf, changed)
