"""A state carried along a sequence, and the base of the layers that do so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeAlias

import keras
from keras import ops

from normscope.errors import ShapeError, SpecError
from normscope.keras1.live.layers.base import Keras1Layer, Shape, Tensor

States: TypeAlias = tuple[Tensor, ...]
Step: TypeAlias = Callable[[Tensor, States], States]


def recur(
    step: Step, x: Tensor, states: States, mask: Tensor | None, *, unroll: bool
) -> tuple[Tensor, States]:
    """Carry states along a sequence; where the mask is false, all of them stay as they were.

    Args:
        step: of (input of one time, states before) the states after; the first is the output.
        x: (b, t, ...).
        states: each (b, ...).
        mask: bool (b, t), or None.
        unroll: one copy of the step for each time, in place of a loop.

    Returns:
        the outputs (b, t, ...), and the states after the last time.

    >>> import numpy as np
    >>> add = lambda x, states: (states[0] + x,)
    >>> outputs, _ = recur(add, np.ones((1, 4, 1)), (np.zeros((1, 1)),), None, unroll=False)
    >>> ops.convert_to_numpy(outputs)[0, :, 0].tolist()
    [1.0, 2.0, 3.0, 4.0]
    """
    if mask is not None:  # beside the features, as TensorFlow scans one sequence of unknown length
        shape = (*ops.shape(mask), *(1,) * (len(x.shape) - 2))
        kept = ops.reshape(ops.cast(mask, x.dtype), shape)
        x = ops.concatenate([x, ops.broadcast_to(kept, (*ops.shape(x)[:-1], 1))], axis=-1)
    sequence = ops.swapaxes(x, 0, 1)

    def advance(before: States, now: Tensor) -> tuple[States, States]:
        if mask is None:
            after = step(now, before)
            return after, after
        after = step(now[..., :-1], before)
        kept = now[..., -1:] > 0
        after = tuple(ops.where(kept, new, old) for new, old in zip(after, before, strict=True))
        return after, after

    if not unroll:
        last, history = ops.scan(advance, states, sequence)
        return ops.swapaxes(history[0], 0, 1), tuple(last)
    outputs = []
    for time in range(x.shape[1]):
        states, _ = advance(states, sequence[time])
        outputs.append(states[0])
    return ops.stack(outputs, axis=1), states


class Recurrence(Keras1Layer):
    """Base of the layers that carry states along the axis 1, the time: what Keras 1 shares there.

    A subclass says how many states it has and of what shape, and makes them step.

    Args:
        return_sequences: give the output of each time, not of the last alone.
        go_backwards: begin with the last time; the outputs come in the order computed.
        stateful: begin with the states in which the last batch ended; `reset_states` clears them.
        unroll: one copy of the step for each time, in place of a loop.
    """

    state_count: ClassVar[int] = 1
    """The first state is the output."""

    def __init__(
        self,
        *,
        return_sequences: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.return_sequences = return_sequences
        self.go_backwards = go_backwards
        self.stateful = stateful
        self.unroll = unroll
        self.supports_masking = True
        self.states: list[Tensor] = []
        # XLA of TensorFlow has no gradient of a loop whose length is not fixed.
        self.supports_jit = unroll or keras.backend.backend() != "tensorflow"

    # what a subclass says

    def state_shape(self, input_shape: Shape) -> Shape:
        """The shape of each state, with the axis of the batch."""
        raise NotImplementedError  # each kind of cell says it

    def project(self, x: Tensor, training: bool) -> Tensor:
        """What of each input does not depend on the states, for all times at once."""
        raise NotImplementedError  # each kind of cell says it

    def stepper(self, x: Tensor, training: bool) -> Step:
        """The step from (projected input, states) to the next states."""
        raise NotImplementedError  # each kind of cell says it

    # what follows from it

    def build(self, input_shape: Any) -> None:
        """Make the weights and, for a stateful layer, the states."""
        if self.unroll and input_shape[1] is None:
            raise ShapeError(
                f"{self.name}: unroll=True needs an input of a known number of times",
                None,
                input_shape,
                "give the input its length, or write unroll=False",
            )
        if self.stateful:
            shape = self.state_shape(input_shape)
            if None in shape:
                raise ShapeError(
                    f"{self.name}: a stateful layer needs an input of a known size of the batch",
                    None,
                    input_shape,
                    "write batch_input_shape=(samples, times, features) in the first layer, "
                    "or Input(batch_shape=...)",
                )
            self.states = [
                self.add_weight(
                    name=f"state_{k}", shape=shape, initializer="zeros", trainable=False
                )
                for k in range(self.state_count)
            ]
        super().build(input_shape)

    @property
    def weights(self) -> list[Tensor]:
        """The weights as Keras 1 counts them: the states of a stateful layer are none."""
        states = {id(state) for state in self.states}
        return [weight for weight in super().weights if id(weight) not in states]

    def reset_states(self) -> None:
        """Set the states of a stateful layer to zero."""
        if not self.stateful:
            raise SpecError(f"{self.name} has no states to reset; make it with stateful=True")
        for state in self.states:
            state.assign(ops.zeros(state.shape, dtype=state.dtype))

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """(b, t, ...) with return_sequences, else (b, ...)."""
        batch, *features = self.state_shape(input_shape)
        return (batch, *([input_shape[1]] if self.return_sequences else []), *features)

    def compute_output_spec(self, x: Tensor, **kwargs: Any) -> Any:
        """The symbolic output, from the shapes alone: no loop is traced."""
        return keras.KerasTensor(self.compute_output_shape(x.shape), dtype=self.compute_dtype)

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor | None = None) -> Tensor | None:
        """The mask of the input where there is an output of each time."""
        return previous_mask if self.return_sequences else None

    def call(self, x: Tensor, mask: Tensor | None = None, training: bool = False) -> Tensor:
        """The outputs of all times, or the last."""
        begin = self.initial_states(x)
        projected = self.project(x, training)
        if self.go_backwards:
            projected = ops.flip(projected, axis=1)
            mask = None if mask is None else ops.flip(mask, axis=1)
        outputs, end = recur(self.stepper(x, training), projected, begin, mask, unroll=self.unroll)
        for state, value in zip(self.states, end, strict=False):
            state.assign(ops.cast(value, state.dtype))
        if mask is not None and self.stateful and self._hides_states():
            seen = ops.reshape(
                ops.cumsum(ops.cast(mask, "int32"), axis=1) > 0,
                (*ops.shape(mask), *(1,) * (len(outputs.shape) - 2)),
            )
            outputs = ops.where(seen, outputs, ops.zeros_like(outputs))
        return outputs if self.return_sequences else outputs[:, -1]

    def initial_states(self, x: Tensor) -> States:
        """Zeros, or where the last batch ended."""
        if self.stateful:  # a copy: the states are written before the gradients are computed
            return tuple(ops.copy(ops.cast(state, x.dtype)) for state in self.states)
        features = self.state_shape(x.shape)[1:]
        if None in features:
            raise ShapeError(f"{self.name}: the sizes of an image must be known", None, x.shape)
        zeros = ops.zeros((ops.shape(x)[0], *features), dtype=x.dtype)
        return (zeros,) * self.state_count

    def _hides_states(self) -> bool:
        """Whether the output before the first time that is not masked is 0, not the old state."""
        return self.origin != "tensorflow" or self.unroll

    def draws(self, *rates: float) -> None:
        """Prepare to draw masks of dropout, if one of the rates has an effect."""
        self.seed_generator = keras.random.SeedGenerator() if any(rates) else None

    def dropped(self, shape: Sequence[Any], rate: float, like: Tensor) -> Tensor:
        """A mask of dropout: 0, or 1 / (1 - rate)."""
        return keras.random.dropout(ops.ones(shape, like.dtype), rate, seed=self.seed_generator)
