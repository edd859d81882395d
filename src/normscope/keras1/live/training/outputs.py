"""What `compile` of Keras 1.2.2 is given for each output of a model: losses, metrics, weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from normscope.errors import SpecError
from normscope.keras1.live.layers.base import Tensor
from normscope.keras1.live.training import data, objectives
from normscope.wording import counted


class Outputs:
    """The outputs of a model, and how a setting is given for each of them.

    >>> x = keras.Input((2,))
    >>> a, b = (keras.layers.Dense(1, name=name)(x) for name in "ab")
    >>> Outputs(keras.Model(x, [a, b])).each("loss", {"b": "mse"})
    [None, 'mse']
    """

    def __init__(self, model: Any) -> None:
        self.tensors: list[Tensor] = keras.tree.flatten(model.outputs)
        self.names: list[str] = [tensor._keras_history[0].name for tensor in self.tensors]

    def each(self, kind: str, given: Any) -> list[Any]:
        """A setting for each output: one for all, a list, or a dict by the names of the outputs.

        Raises:
            SpecError: a name that no output has, or a list that is too short or too long.
        """
        if isinstance(given, Mapping):
            for name in given:
                if name not in self.names:
                    raise SpecError(
                        f"{kind} names the output {name!r}; the outputs are {self.names}"
                    )
            return [given.get(name) for name in self.names]
        if isinstance(given, list | tuple):
            if len(given) != len(self.tensors):
                raise SpecError(
                    f"{kind} has {counted(len(given), 'item')} for "
                    f"{counted(len(self.tensors), 'output')}"
                )
            return list(given)
        return [given] * len(self.tensors)

    def weights(self, given: Any) -> list[float] | None:
        """The weight of each loss, 1 for outputs that are not named; None for none given."""
        weights = self.each("loss_weights", given)
        if given is None:
            return None
        return [1.0 if weight is None else float(weight) for weight in weights]

    def metrics(self, given: Any, losses: Sequence[Any]) -> list[Any] | None:
        """The metrics of Keras 3 for each output; a flat list for a single output."""
        if not given:
            return None
        found = [
            [objectives.metric(one, loss, tensor.shape[-1]) for one in metrics]
            for metrics, loss, tensor in zip(
                self._metrics_of_each(given), losses, self.tensors, strict=True
            )
        ]
        return found if len(found) > 1 else found[0]

    def metrics_names(self, given: Any, losses: Sequence[Any]) -> list[str]:
        """The names of what `evaluate` gives, in its order."""
        of_each = [
            [objectives.metric_name(one) for one in metrics]
            for metrics in self._metrics_of_each(given)
        ]
        if len(self.names) == 1:
            return ["loss", *of_each[0]]
        names = ["loss"]
        for name, loss in zip(self.names, losses, strict=True):
            names += [f"{name}_loss"] if loss is not None else []
        for name, metrics in zip(self.names, of_each, strict=True):
            names += [f"{name}_{metric}" for metric in metrics]
        return names

    def slots(self, losses: Sequence[Any]) -> list[data.Slot]:
        """The labels that each output is compared with."""
        return [
            data.Slot(name, _labels_shape(tensor.shape, loss))
            for name, tensor, loss in zip(self.names, self.tensors, losses, strict=True)
        ]

    def _metrics_of_each(self, given: Any) -> list[list[Any]]:
        """The metrics of each output, as they were given."""
        chosen = self.each("metrics", given) if isinstance(given, Mapping) else None
        return [
            [
                one
                for one in (list(metrics) if isinstance(metrics, list | tuple) else [metrics])
                if one is not None
            ]
            for metrics in (chosen or [given] * len(self.names))
        ]


def _labels_shape(shape: Sequence[int | None], loss: Any) -> tuple[int | None, ...] | None:
    """The shape that Keras 1 wants the labels to have; None for a loss of one's own."""
    if loss is objectives.sparse_categorical_crossentropy:
        return (*shape[:-1], 1)
    return tuple(shape) if loss in objectives.OBJECTIVES.values() else None
