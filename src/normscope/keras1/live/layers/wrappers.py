"""`TimeDistributed` and `Bidirectional` of Keras 1.2.2. Source: Keras 1.2.2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
from keras import ops

from normscope.errors import ShapeError, SpecError
from normscope.keras1.live.layers.base import (
    PACKAGE,
    Keras1Layer,
    Shape,
    Tensor,
    one_of,
    registered,
)
from normscope.keras1.live.layers.recurrence import Recurrence

MERGE_MODES = ("sum", "mul", "ave", "concat")


def layer_of(config: Mapping[str, Any]) -> keras.layers.Layer:
    """The layer of a config {"class_name": ..., "config": ...}.

    Raises:
        SpecError: Keras 1 has no layer class of that name.

    >>> from normscope.keras1.live.layers.recurrent import SimpleRNN
    >>> layer_of({"class_name": "SimpleRNN", "config": {"name": "r", "output_dim": 3}}).name
    'r'
    """
    cls = keras.saving.get_registered_object(f"{PACKAGE}>{config['class_name']}")
    if cls is None:
        raise SpecError(f"there is no Keras 1 layer class {config['class_name']!r}")
    return cls.from_config(dict(config["config"]))


class Wrapper(Keras1Layer):
    """Base of the layers around another layer, whose weights are theirs."""

    def inside(self) -> keras.layers.Layer:
        """A layer as the one that was given."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """The config with that of the layer inside."""
        layer = self.inside()
        inside = {"class_name": type(layer).__name__, "config": layer.get_config()}
        return {**super().get_config(), "layer": inside}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Wrapper:
        """The layer of a config."""
        return cls(**{**config, "layer": layer_of(config["layer"])})


@registered
class TimeDistributed(Wrapper):
    """Applies a layer to each time of (b, t, ...): to all of them at once, as (b * t, ...).

    Args:
        layer: a layer or a model of one input and one output.
        common: what every layer takes.
    """

    masks_pass = True

    def __init__(self, layer: keras.layers.Layer, **common: Any) -> None:
        super().__init__(**common)
        self.layer = layer
        self.supports_jit = layer.supports_jit

    def inside(self) -> keras.layers.Layer:
        """The layer that was given."""
        return self.layer

    def create_weights(self, input_shape: Any) -> None:
        """Make the weights of the layer inside."""
        if not self.layer.built:
            self.layer.build(self._step_shape(input_shape))

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """The output shape of the layer inside, with the axis of time."""
        batch, *rest = self.layer.compute_output_shape(self._step_shape(input_shape))
        return (batch, input_shape[1], *rest)

    def compute_output_spec(self, x: Tensor, **kwargs: Any) -> Any:
        """The symbolic output, from the shapes alone."""
        return keras.KerasTensor(self.compute_output_shape(x.shape), dtype=self.compute_dtype)

    def _step_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) < 3:
            raise ShapeError(
                f"{self.name}: expected an input of at least 3 axes (samples, times, ...)",
                None,
                input_shape,
            )
        return (input_shape[0], *input_shape[2:])

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """The output of the layer inside for each time."""
        batch, time = ops.shape(x)[:2]
        steps = ops.reshape(x, (batch * time, *ops.shape(x)[2:]))
        y = self.layer(steps, training=training)
        return ops.reshape(y, (batch, time, *ops.shape(y)[1:]))


@registered
class Bidirectional(Wrapper):
    """Two copies of a recurrent layer, of which one goes backwards, and their outputs merged.

    Args:
        layer: a recurrent layer; the copies are called `forward_<name>` and `backward_<name>`.
        merge_mode: "concat", "sum", "mul", "ave", or None for two outputs.
        weights: those of the first copy, then those of the second.
        common: what every layer takes.
    """

    settings: ClassVar[tuple[str, ...]] = ("merge_mode",)

    def __init__(
        self,
        layer: Recurrence,
        merge_mode: str | None = "concat",
        weights: Any = None,
        **common: Any,
    ) -> None:
        if not isinstance(layer, Recurrence):
            raise SpecError(f"Bidirectional takes a recurrent layer, not {type(layer).__name__}")
        super().__init__(weights=weights, **common)
        if merge_mode is not None:
            merge_mode = one_of("merge_mode", merge_mode, MERGE_MODES)
        self.merge_mode = merge_mode
        config = layer.get_config()
        self.forward_layer = type(layer).from_config({**config, "name": f"forward_{layer.name}"})
        backward = {"go_backwards": not layer.go_backwards, "name": f"backward_{layer.name}"}
        self.backward_layer = type(layer).from_config({**config, **backward})
        self.return_sequences = layer.return_sequences
        self.stateful = layer.stateful
        self.supports_masking = True
        self.supports_jit = layer.supports_jit

    def inside(self) -> Recurrence:
        """A layer as the one that was given."""
        name = self.forward_layer.name.removeprefix("forward_")
        return type(self.forward_layer).from_config(
            {**self.forward_layer.get_config(), "name": name}
        )

    def create_weights(self, input_shape: Any) -> None:
        """Make the weights of the layer that goes forward, then those of the other."""
        self.forward_layer.build(input_shape)
        self.backward_layer.build(input_shape)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The output shape of the layer inside, with twice the features if concatenated."""
        shape = self.forward_layer.compute_output_shape(input_shape)
        if self.merge_mode is None:
            return [shape, shape]
        return (*shape[:-1], 2 * shape[-1]) if self.merge_mode == "concat" else shape

    def compute_output_spec(self, x: Tensor, **kwargs: Any) -> Any:
        """The symbolic output, from the shapes alone."""
        shape = self.compute_output_shape(x.shape)
        if self.merge_mode is None:
            return [keras.KerasTensor(one, dtype=self.compute_dtype) for one in shape]
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor | None = None) -> Any:
        """The mask of the input where there is an output of each time."""
        mask = previous_mask if self.return_sequences else None
        return [mask, mask] if self.merge_mode is None else mask

    def call(self, x: Tensor, mask: Tensor | None = None, training: bool = False) -> Any:
        """The two outputs, merged."""
        y = self.forward_layer(x, mask=mask, training=training)
        back = self.backward_layer(x, mask=mask, training=training)
        if self.return_sequences:
            back = ops.flip(back, axis=1)
        match self.merge_mode:
            case "concat":
                return ops.concatenate([y, back], axis=-1)
            case "sum":
                return y + back
            case "ave":
                return (y + back) / 2
            case "mul":
                return y * back
        return [y, back]

    def reset_states(self) -> None:
        """Set the states of both copies of a stateful layer to zero."""
        self.forward_layer.reset_states()
        self.backward_layer.reset_states()
