"""The base of the optimizers of Keras 1.2.2: a rule for one weight, and a state in stored order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from normscope.errors import SpecError
from normscope.keras1.live.layers.base import Tensor
from normscope.wording import counted


class Optimizer(keras.optimizers.Optimizer):  # type: ignore[misc]  # Keras ships no types
    """Base of the optimizers of Keras 1: a rule for one weight, and its state in stored order.

    A subclass names its arguments in `settings`, the arrays that it keeps for each weight in
    `slots`, and writes the rule as `step`.

    Args:
        lr: learning rate.
        decay: of the learning rate: in step t, counted from 1, it is lr / (1 + decay * (t - 1)).
        clipnorm: the largest norm of all gradients together.
        clipvalue: the largest absolute value in a gradient.
        name: default, the class in lower case.
    """

    settings: ClassVar[tuple[str, ...]] = ()
    slots: ClassVar[tuple[str, ...]] = ()

    counts: ClassVar[bool] = False
    """Whether a file of Keras 1 stores the number of steps, in front of the slots."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "get_updates" in vars(cls):
            raise SpecError(
                f"{cls.__name__}.get_updates cannot be served; write the rule for one weight as "
                "step(self, p, g, lr, *slots), with self.assign(p, new), and name the arrays that "
                "it keeps for each weight: slots = ('m',)"
            )

    def __init__(
        self,
        lr: float,
        decay: float = 0.0,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate=lr, global_clipnorm=clipnorm or None, name=name)
        self.decay = decay
        self.largest = clipvalue
        self.slot_variables: list[list[Tensor]] = []

    @property
    def lr(self) -> Tensor:
        """The learning rate, by the name that Keras 1 has for it."""
        return self.learning_rate

    @lr.setter
    def lr(self, rate: Any) -> None:
        self.learning_rate = rate

    def build(self, variables: Sequence[Tensor]) -> None:
        """Make the slots, all zero."""
        if self.built:
            return
        super().build(variables)
        self.slot_variables = [self.add_optimizer_variables(variables, slot) for slot in self.slots]

    def update_step(self, gradient: Tensor, variable: Tensor, learning_rate: Tensor) -> None:
        """Apply the rule to one weight; Keras calls it."""
        rate = ops.cast(learning_rate, variable.dtype)
        gradient = ops.cast(_dense(gradient), variable.dtype)
        if self.largest:
            gradient = ops.clip(gradient, -self.largest, self.largest)
        if self.decay:
            rate = rate / (1 + self.decay * ops.cast(self.iterations, variable.dtype))
        index = self._get_variable_index(variable)
        self.step(variable, gradient, rate, *(slot[index] for slot in self.slot_variables))

    def step(self, p: Tensor, g: Tensor, lr: Tensor, *slots: Tensor) -> None:
        """The rule."""
        raise NotImplementedError  # each optimizer says it

    def count(self, like: Tensor) -> Tensor:
        """The number t of this step."""
        return ops.cast(self.iterations + 1, like.dtype)

    def set_state(self, arrays: Sequence[npt.NDArray[np.generic]], order: Sequence[int]) -> None:
        """Set the state as a file of Keras 1 stores it.

        Args:
            arrays: the number of steps, if this optimizer `counts`; then slot after slot.
            order: for each array of a slot, the index of its weight among those trained.

        Raises:
            SpecError: the arrays are not as many, or not of the shapes, that this optimizer has.
        """
        rest = list(arrays)
        steps = rest.pop(0) if self.counts and rest else np.zeros(())
        targets = [slot[index] for slot in self.slot_variables for index in order]
        shapes = [tuple(target.shape) for target in targets]
        if steps.shape != () or [array.shape for array in rest] != shapes:
            raise SpecError(
                f"the state of {type(self).__name__} has {counted(len(arrays), 'array')}, which do "
                f"not fit the {counted(len(order), 'weight')} of the model"
            )
        self.iterations.assign(int(np.clip(np.nan_to_num(steps), 0, 2**31 - 1)))
        for target, array in zip(targets, rest, strict=True):
            target.assign(array)

    def get_config(self) -> dict[str, Any]:
        """The config that Keras 1.2.2 wrote."""
        config: dict[str, Any] = {"lr": float(ops.convert_to_numpy(self.learning_rate))}
        for key in self.settings:
            config[key] = getattr(self, key)
        if self.global_clipnorm is not None:
            config["clipnorm"] = self.global_clipnorm
        if self.largest is not None:
            config["clipvalue"] = self.largest
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Any = None) -> Optimizer:
        """The optimizer of a config."""
        return cls(**config)


def _dense(gradient: Tensor) -> Tensor:
    """A gradient as a tensor; TensorFlow gives that of an Embedding as some of its rows."""
    if type(gradient).__name__ != "IndexedSlices":
        return gradient
    indices = ops.expand_dims(gradient.indices, -1)
    return ops.scatter(indices, gradient.values, gradient.dense_shape)  # equal ones are summed
