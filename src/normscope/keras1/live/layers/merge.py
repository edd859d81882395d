"""`Merge` and `merge` of Keras 1.2.2: several inputs become one."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

import keras
from keras import ops

from normscope.errors import ShapeError, SpecError
from normscope.keras1.live.layers import phase
from normscope.keras1.live.layers.base import Keras1Layer, Shape, Tensor, plain, registered
from normscope.keras1.live.layers.core import takes_mask
from normscope.keras1.live.layers.layer import run_as_written

Mode: TypeAlias = str | Callable[..., Tensor]

MODES = ("sum", "mul", "concat", "ave", "cos", "dot", "max")
SAME_SHAPES = ("sum", "mul", "ave", "max", "cos")


@registered
class Merge(Keras1Layer):
    """Several inputs become one.

        sum, mul, ave, max   element by element; all shapes alike
        concat               joined along `concat_axis`
        dot                  products summed along `dot_axes`; of vectors, the result is (batch, 1)
        cos                  dot, divided by the norms; with one more axis of size 1 after the batch

    Args:
        layers: models or layers whose outputs are merged, at the head of a `Sequential` only.
        mode: one of the above, or a function of the list of inputs.
        concat_axis, dot_axes: axes, the batch being 0; `dot_axes` is one for both or a pair.
        output_shape: not needed, a function is traced.
        output_mask: of a function: a function of the masks of the inputs.
        arguments: more keyword arguments of a function.
        node_indices, tensor_indices: not needed.
        **common: see `Keras1Layer`.

    Raises:
        SpecError: an unknown mode, or code of a file in its place, which is never run.

    Example:
        >>> Merge(mode="concat")([ops.ones((1, 2)), ops.ones((1, 3))]).shape[1]
        5
    """

    masks_pass: ClassVar[bool] = True
    settings: ClassVar[tuple[str, ...]] = ("mode", "concat_axis", "dot_axes", "arguments")

    def __init__(
        self,
        layers: Sequence[Any] | None = None,
        mode: Mode = "sum",
        concat_axis: int = -1,
        dot_axes: int | Sequence[int] = -1,
        output_shape: Any = None,
        output_mask: Callable[..., Tensor] | None = None,
        arguments: Mapping[str, Any] | None = None,
        node_indices: Any = None,
        tensor_indices: Any = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        if not callable(mode) and mode not in MODES:
            raise SpecError(f"mode is {', '.join(MODES)} or a function, not {mode!r}")
        self.mode = mode
        self.concat_axis = concat_axis
        self.dot_axes = dot_axes
        self.output_mask = output_mask
        self.arguments = dict(arguments or {})
        self.branches = [as_model(layer) for layer in layers or ()]
        if callable(mode):
            self.seed_generator = keras.random.SeedGenerator()

    def create_weights(self, input_shape: Any) -> None:
        """No weights; the shapes are checked.

        Raises:
            ShapeError: the shapes do not fit the mode.
        """
        if not isinstance(input_shape, list) or len(input_shape) < 2:
            raise SpecError(f"{self.name}: merges a list of at least 2 inputs")
        shapes = [tuple(shape) for shape in input_shape]
        if self.mode in SAME_SHAPES and len(set(shapes)) > 1:
            raise ShapeError(f"{self.name}: mode {self.mode!r} needs equal shapes", None, shapes)
        if self.mode in ("dot", "cos"):
            if len(shapes) != 2:
                raise SpecError(f"{self.name}: mode {self.mode!r} merges 2, not {len(shapes)}")
            first, second = self._dot_axes(len(shapes[0]), len(shapes[1]))
            if shapes[0][first] != shapes[1][second]:
                raise ShapeError(
                    f"{self.name}: axes {first} and {second} differ in size", None, shapes
                )
        if self.mode == "concat" and len({self._rest(shape) for shape in shapes}) > 1:
            raise ShapeError(
                f"{self.name}: only axis {self.concat_axis} may differ in size", None, shapes
            )

    def call(self, inputs: list[Tensor], mask: Any = None, training: bool | None = None) -> Tensor:
        """The merged inputs."""
        if callable(self.mode):
            masks = {"mask": mask} if takes_mask(self.mode) else {}
            with phase.calling(training, self.seed_generator):
                return run_as_written(self.mode, inputs, **self.arguments, **masks)
        if self.mode == "concat":
            return ops.concatenate(inputs, axis=self.concat_axis)
        if self.mode == "dot":
            return self._dot(*inputs)
        if self.mode == "cos":
            first, second = inputs
            norms = ops.sqrt(self._dot(first, first) * self._dot(second, second))
            return ops.expand_dims(
                self._dot(first, second) / ops.maximum(norms, keras.config.epsilon()), 1
            )
        return self._element_by_element(inputs)

    def compute_mask(self, inputs: list[Tensor], previous_mask: Any = None) -> Any:
        """The mask of the output, as Keras 1 joined them; None if no input has one."""
        if previous_mask is None or all(mask is None for mask in previous_mask):
            return None
        if callable(self.mode):
            return self.output_mask(previous_mask) if callable(self.output_mask) else None
        if self.mode in ("dot", "cos"):
            return None
        if self.mode == "concat":
            return self._concatenated_mask(inputs, previous_mask)
        masks = [mask for mask in previous_mask if mask is not None]
        return ops.all(ops.stack(masks), axis=0)

    def get_config(self) -> dict[str, Any]:
        """The config that Keras 1.2.2 wrote; branches under `layers`."""
        config = super().get_config()
        config["arguments"] = dict(self.arguments)
        config["mode_type"] = "function" if callable(self.mode) else "raw"
        config |= {"output_shape": None, "output_shape_type": "raw"}
        config |= {"output_mask": plain(self.output_mask), "output_mask_type": "raw"}
        if self.branches:
            config["layers"] = [
                keras.saving.serialize_keras_object(branch) for branch in self.branches
            ]
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Merge:
        """The layer of a config.

        Raises:
            SpecError: the mode is code, or a function that is not registered with Keras.
        """
        settings = {key: value for key, value in config.items() if not key.endswith("_type")}
        if config.get("mode_type", "raw") == "lambda":
            raise SpecError(
                "the code of a Merge layer is not run from a file; build the model anew with "
                "merge(..., mode=function), then load the weights"
            )
        if config.get("mode_type") == "function":
            settings["mode"] = _function(config["mode"])
        if isinstance(config.get("output_mask"), str):
            settings["output_mask"] = _function(config["output_mask"])
        settings["layers"] = [
            keras.saving.deserialize_keras_object(layer) if isinstance(layer, Mapping) else layer
            for layer in config.get("layers") or ()
        ]
        return cls(**settings)

    def _element_by_element(self, inputs: Sequence[Tensor]) -> Tensor:
        merged = inputs[0]
        for other in inputs[1:]:
            if self.mode == "mul":
                merged = merged * other
            elif self.mode == "max":
                merged = ops.maximum(merged, other)
            else:
                merged = merged + other
        return merged / len(inputs) if self.mode == "ave" else merged

    def _dot(self, first: Tensor, second: Tensor) -> Tensor:
        """Products summed along one axis of each, for each sample; at least (batch, 1)."""
        ranks = len(first.shape), len(second.shape)
        axes = self._dot_axes(*ranks)
        letters = iter(string.ascii_lowercase[2:])
        names = [["b", *(next(letters) for _ in range(rank - 1))] for rank in ranks]
        for name, axis in zip(names, axes, strict=True):
            name[axis] = "a"
        rest = [letter for name in names for letter in name[1:] if letter != "a"]
        left, right = ("".join(name) for name in names)
        product = ops.einsum(f"{left},{right}->b{''.join(rest)}", first, second)
        return product if rest else ops.expand_dims(product, 1)

    def _dot_axes(self, first_rank: int, second_rank: int) -> tuple[int, int]:
        axes = self.dot_axes
        first, second = (axes, axes) if isinstance(axes, int) else axes
        return first % first_rank, second % second_rank

    def _rest(self, shape: Shape) -> Shape:
        axis = self.concat_axis % len(shape)
        return shape[:axis] + shape[axis + 1 :]

    def _concatenated_mask(self, inputs: Sequence[Tensor], masks: Sequence[Any]) -> Tensor:
        parts = []
        for x, mask in zip(inputs, masks, strict=True):
            if mask is None:
                part = ops.ones_like(x, dtype="bool")
            elif len(mask.shape) < len(x.shape):
                part = ops.expand_dims(mask, -1)
            else:
                part = mask
            parts.append(ops.broadcast_to(part, ops.shape(x)))
        return ops.all(ops.concatenate(parts, axis=self.concat_axis), axis=-1)


def merge(
    inputs: Sequence[Tensor],
    mode: Mode = "sum",
    concat_axis: int = -1,
    dot_axes: int | Sequence[int] = -1,
    output_shape: Any = None,
    output_mask: Callable[..., Tensor] | None = None,
    arguments: Mapping[str, Any] | None = None,
    name: str | None = None,
) -> Tensor:
    """Merge tensors; the arguments are those of `Merge`.

    Example:
        >>> a = keras.Input((3,))
        >>> merge([a, a], mode="concat").shape
        (None, 6)
    """
    layer = Merge(
        mode=mode,
        concat_axis=concat_axis,
        dot_axes=dot_axes,
        output_shape=output_shape,
        output_mask=output_mask,
        arguments=arguments,
        name=name,
    )
    return layer(list(inputs))


def as_model(layer: Any) -> keras.Model:
    """A branch of a `Merge` as a model with its own inputs.

    Raises:
        SpecError: it is not known what goes into the layer.
    """
    if isinstance(layer, keras.Model) and layer.built:
        return layer
    try:
        return keras.Model(keras.utils.get_source_inputs(layer.output), layer.output)
    except (AttributeError, ValueError):
        raise SpecError(
            f"the input of {getattr(layer, 'name', layer)!r} is not known; give the first layer of "
            "each branch of a Merge its input_shape"
        ) from None


def _function(name: str) -> Callable[..., Tensor]:
    function = keras.saving.get_registered_object(name)
    if function is None:
        raise SpecError(
            f"the function {name!r} is not known; register it with "
            "keras.saving.register_keras_serializable before loading"
        )
    found: Callable[..., Tensor] = function
    return found
