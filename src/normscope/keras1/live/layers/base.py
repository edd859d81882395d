"""What every Keras 1 layer has in common: its arguments, its weights in order, its config.

A layer here holds its weights as Keras 1.2.2 held them (same order, names, shapes, layouts), so
that those of a file are set by position: `layer.set_weights(arrays)`. Source: Keras 1.2.2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar, TypeAlias, TypeVar

import keras
import numpy as np

from normscope.errors import ShapeError, SpecError
from normscope.keras1.live.layers import activations, constraints, initializers, phase, regularizers

Tensor: TypeAlias = Any
"""An array of whichever backend Keras runs on, or a symbolic one."""

Shape: TypeAlias = tuple[int | None, ...]

PACKAGE = "normscope.keras1"
ORIGINS = ("tensorflow", "theano", "theano<0.9")

_Class = TypeVar("_Class", bound=type)


def registered(cls: _Class) -> _Class:
    """Class decorator: a model with such a layer can be saved as `.keras` and loaded again."""
    decorator: Callable[[_Class], _Class] = keras.saving.register_keras_serializable(PACKAGE)
    return decorator(cls)


_LIMIT: ContextVar[list[int] | None] = ContextVar("limit", default=None)


@contextmanager
def weights_limited(most: int) -> Iterator[None]:
    """Within, layers make at most so many weights: a small file can ask for any number of them."""
    token = _LIMIT.set([most, most])
    try:
        yield
    finally:
        _LIMIT.reset(token)


class Keras1Layer(keras.layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """Base of all layers: takes the common arguments of Keras 1, makes weights, writes the config.

    A subclass names its settings in `settings` and keeps each as the attribute of that name,
    overrides `create_weights` if it has weights, and computes in `call` with `keras.ops` only.

    Args:
        weights: arrays to start from, in the order of `get_weights()`.
        origin: by which backend's conventions the layer computes, "tensorflow", "theano" or
            "theano<0.9": how border_mode="same" pads, what the running_std of a batch
            normalization holds.
            The kernels are those of a cross-correlation with either.
        activity_regularizer: a penalty on the output, summed over the batch as Keras 1 did.
        name: default `<class>_<number>` in lower case, as Keras 1 counted.
        trainable: whether the weights are trained.
        input_shape, batch_input_shape: of a first layer, without or with the axis of the batch.
        input_dtype: of a first layer.
        dtype: dtype or policy of Keras 3.

    Raises:
        TypeError: an argument that the layer does not have.
        SpecError: a value that is not among those allowed.
    """

    settings: ClassVar[tuple[str, ...]] = ()
    """The keys of the config that are this class's own, each also an attribute."""

    flips_kernels: ClassVar[bool] = False
    """Whether Theano turned the kernels by 180 degrees: a loader turns those of its files back."""

    masks_pass: ClassVar[bool] = False
    """Whether a mask of the input is passed on (`supports_masking` of Keras 1)."""

    def __init__(
        self,
        *,
        weights: Sequence[Any] | None = None,
        origin: str = "tensorflow",
        activity_regularizer: regularizers.Given = None,
        name: str | None = None,
        trainable: bool = True,
        input_shape: Sequence[int | None] | None = None,
        batch_input_shape: Sequence[int | None] | None = None,
        input_dtype: str | None = None,
        dtype: Any = None,
        **unknown: Any,
    ) -> None:
        self._refuse(unknown)
        penalty = regularizers.get(activity_regularizer)
        super().__init__(
            name=name or automatic_name(type(self).__name__),
            trainable=trainable,
            dtype=dtype,
            activity_regularizer=None if penalty is None else regularizers.OnActivity(penalty),
        )
        self.origin = one_of("origin", origin, ORIGINS)
        self.initial_weights = weights
        self.supports_masking = self.masks_pass
        if batch_input_shape is None and input_shape is not None:
            batch_input_shape = (None, *input_shape)
        self.batch_input_shape: Shape | None = (
            None if batch_input_shape is None else tuple(batch_input_shape)
        )
        self.declared_input_dtype = input_dtype

    def __call__(self, *args: Any, **options: Any) -> Any:
        """The output; symbolic ones know their `_keras_shape`, as in Keras 1."""
        if phase.forced() is not None and self._call_has_training_arg:
            options["training"] = phase.forced()
        return with_keras_shapes(super().__call__(*args, **options))

    @property
    def input_shape(self) -> Any:
        """The shape of the input; a list of shapes for several."""
        return shapes_of(self.input)

    @property
    def output_shape(self) -> Any:
        """The shape of the output; a list of shapes for several."""
        return shapes_of(self.output)

    def get_input_at(self, node_index: int) -> Any:
        """The input of the call of that number."""
        return _single(self._inbound_nodes[node_index].input_tensors)

    def get_output_at(self, node_index: int) -> Any:
        """The output of the call of that number."""
        return _single(self._inbound_nodes[node_index].output_tensors)

    def get_input_shape_at(self, node_index: int) -> Any:
        """The shape of the input of the call of that number."""
        return shapes_of(self.get_input_at(node_index))

    def get_output_shape_at(self, node_index: int) -> Any:
        """The shape of the output of the call of that number."""
        return shapes_of(self.get_output_at(node_index))

    def get_output_shape_for(self, input_shape: Any) -> Any:
        """The output shape, by the name that Keras 1 has for it."""
        return self.compute_output_shape(input_shape)

    def create_weights(self, input_shape: Any) -> None:
        """Make the weights with `weight`, in the order of Keras 1."""

    def build(self, input_shape: Any) -> None:
        """Make the weights, and fill in those given at the start."""
        self.create_weights(input_shape)
        if self.initial_weights is not None:
            self.set_weights([np.asarray(array) for array in self.initial_weights])
            self.initial_weights = None

    def weight(
        self,
        name: str,
        shape: Sequence[int | None],
        init: initializers.Given,
        *,
        regularizer: regularizers.Given = None,
        constraint: constraints.Given = None,
        trainable: bool = True,
        autocast: bool = True,
        dim_ordering: str = "th",
    ) -> Tensor:
        """One weight, called `<layer>_<name>` in the files of Keras 1.

        Args:
            name: as in Keras 1, without the name of the layer.
            shape: all sizes must be known.
            init: an initialization by name, or a function of the shape.
            regularizer, constraint: on this weight.
            trainable: False for running statistics.
            autocast: False to keep full precision where the layer computes in half precision.
            dim_ordering: which axes of a kernel are its inputs and outputs, for the scale of
                some initializations.

        Raises:
            ShapeError: a size is not known.
        """
        if any(size is None for size in shape):
            raise ShapeError(
                f"{self.name}: the weight {name} needs a size that the input does not tell",
                None,
                shape,
                "give the input that size (Input(shape=...), input_shape=...)",
            )
        return self.add_weight(
            name=name,
            shape=tuple(shape),
            initializer=initializers.get(init, dim_ordering),
            regularizer=regularizers.get(regularizer),
            constraint=constraints.get(constraint),
            trainable=trainable,
            autocast=autocast,
        )

    def add_weight(self, shape: Any = None, *args: Any, **kwargs: Any) -> Any:
        """A weight of Keras, counted where their number is limited."""
        limit = _LIMIT.get()
        if limit is not None:
            limit[0] -= math.prod(shape or ())
            if limit[0] < 0:
                raise SpecError(
                    f"it asks for weights of the shape {tuple(shape)}; with those of the layers "
                    f"before, these are more than the file holds (about {limit[1]:,})"
                )
        return super().add_weight(shape, *args, **kwargs)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """The symbolic output, found by tracing `call`."""
        return keras.Operation.compute_output_spec(self, *args, **kwargs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The output shape, found by tracing `call`; makes the weights first if there are none."""
        if not self.built:
            self.build(input_shape)
        output = self.compute_output_spec(_symbolic(input_shape))
        return keras.tree.map_structure(lambda tensor: tensor.shape, output)

    def get_config(self) -> dict[str, Any]:
        """The config that Keras 1.2.2 wrote, and `origin`."""
        config: dict[str, Any] = {"name": self.name, "trainable": self.trainable}
        if self.batch_input_shape is not None:
            config["batch_input_shape"] = self.batch_input_shape
            config["input_dtype"] = self.declared_input_dtype or keras.config.floatx()
        if self.dtype_policy.name != "float32":
            config["dtype"] = self.dtype_policy.name
        for key in self.settings:
            config[key] = plain(getattr(self, key))
        return {**config, "origin": self.origin}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Keras1Layer:
        """The layer of a config; keys that are null stand for the default, as Keras 1 wrote."""
        return cls(**config)

    def _refuse(self, unknown: Mapping[str, Any]) -> None:
        for key in unknown:
            raise TypeError(
                f"{type(self).__name__}() of Keras 1 has no argument {key!r}; "
                f"its own are {', '.join(self.settings) or 'none'}"
            )


def with_keras_shapes(tensors: Any) -> Any:
    """The tensors, each with its shape as `_keras_shape` if it is symbolic.

    >>> with_keras_shapes(keras.Input((3,)))._keras_shape
    (None, 3)
    """
    for tensor in keras.tree.flatten(tensors):
        if isinstance(tensor, keras.KerasTensor):
            tensor._keras_shape = tuple(tensor.shape)
    return tensors


def shapes_of(tensors: Any) -> Any:
    """The shape of a tensor, or the shapes of a list of them."""
    if isinstance(tensors, list | tuple):
        return [tuple(tensor.shape) for tensor in tensors]
    return tuple(tensors.shape)


def _single(tensors: Sequence[Tensor]) -> Any:
    return tensors[0] if len(tensors) == 1 else list(tensors)


def automatic_name(class_name: str) -> str:
    """The name that Keras 1 gives to a layer without one: `convolution2d_1`."""
    prefix = class_name.lower()
    return f"{prefix}_{keras.backend.get_uid(prefix)}"


def one_of(argument: str, value: object, choices: Sequence[str]) -> str:
    """A value that must be among some texts.

    Raises:
        SpecError: it is not.
    """
    if isinstance(value, str) and value in choices:
        return value
    raise SpecError(f"{argument} is one of {', '.join(map(repr, choices))}, not {value!r}")


def plain(value: Any) -> Any:
    """A setting as it stands in a config: objects by their config, functions by their name."""
    if isinstance(value, regularizers.OnActivity):
        return plain(value.penalty)
    if isinstance(value, regularizers.Regularizer | constraints.Constraint):
        return value.get_config()
    if hasattr(value, "get_config"):  # an object of Keras 3
        return keras.saving.serialize_keras_object(value)
    if callable(value):
        return activations.name_of(value)
    if isinstance(value, list | tuple):
        return tuple(plain(item) for item in value)
    return value


def _symbolic(shape: Any) -> Any:
    if isinstance(shape, list) or (shape and isinstance(shape[0], list | tuple)):
        return [_symbolic(one) for one in shape]
    return keras.KerasTensor(tuple(shape))
