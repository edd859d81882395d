"""What the graph tells of a site that its layer, asked by itself, does not: mode and numbers.

A layer that is asked follows the mode that it is told. Inside of its model it may be told another,
as by `bn(x, training=True)` in every mode; and a layer of Flax Linen outside of its model holds
numbers of its own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.audit.found.answers import Answer
from normscope.audit.found.asked import takes_no_statistics
from normscope.audit.found.matching import Matched
from normscope.graph.extract import parameters_of
from normscope.notation.spec import NormSpec


def specs_in_model(pair: Matched, answer: Answer) -> tuple[NormSpec | None, NormSpec | None, str]:
    """The specs of training and inference, and what differs from what the layer declares."""
    train, infer, differs = answer.train, answer.infer, answer.differs
    if len(pair.by_mode) < 2 or train is None or infer is None or train == infer:
        return train, infer, differs
    stored = {takes_no_statistics(placed) for placed in pair.by_mode.values()}
    if train.pattern is None or infer.pattern is not None or len(stored) > 1:
        return train, infer, differs
    if stored == {True}:
        said = "in training, too, it uses the stored statistics: the model tells it that mode"
        return infer, infer, differs or said
    said = "at inference, too, it takes the statistics of its input: the model tells it that mode"
    return train, replace(train, running=None), differs or said


def numbers_in_model(pair: Matched, path: str, told: NDArray[Any]) -> NDArray[Any]:
    """The numbers of an array of a site as the model holds them; those told if it does not tell."""
    for placed in pair.by_mode.values():
        value = parameters_of(placed.site).get(path)
        if value is None or value.data is None or value.size != told.size:
            continue
        numbers = np.asarray(placed.graph.arrays.to_numpy(value.data()))
        return numbers.reshape(told.shape).astype(told.dtype)
    return told
