"""The layers of Keras 1.2.2 that compute no more than a function, a shape or a mask."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import keras
from keras import ops

from normscope.errors import ShapeError, SpecError
from normscope.keras1.live.layers import activations, phase, regularizers
from normscope.keras1.live.layers.base import Keras1Layer, Shape, Tensor, registered
from normscope.keras1.live.layers.layer import run_as_written


@registered
class Activation(Keras1Layer):
    """A function of each value; softmax along the last axis.

    Example:
        >>> Activation("hard_sigmoid").get_config()["activation"]
        'hard_sigmoid'
    """

    masks_pass: ClassVar[bool] = True
    settings: ClassVar[tuple[str, ...]] = ("activation",)

    def __init__(self, activation: activations.Given, **common: Any) -> None:
        super().__init__(**common)
        self.activation = activations.get(activation)

    def call(self, x: Tensor) -> Tensor:
        """The output."""
        return self.activation(x)


@registered
class ActivityRegularization(Keras1Layer):
    """The input itself, and a penalty l1 * sum(abs(x)) + l2 * sum(x**2) on it."""

    masks_pass: ClassVar[bool] = True
    settings: ClassVar[tuple[str, ...]] = ("l1", "l2")

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **common: Any) -> None:
        penalty = regularizers.L1L2Regularizer(l1, l2)
        super().__init__(activity_regularizer=penalty, **common)
        self.l1 = l1
        self.l2 = l2

    def call(self, x: Tensor) -> Tensor:
        """The input."""
        return x


@registered
class Flatten(Keras1Layer):
    """All axes but the first become one, in the order in which they stand."""

    def __init__(self, **common: Any) -> None:
        super().__init__(**common)
        self.input_spec = keras.layers.InputSpec(min_ndim=3)

    def call(self, x: Tensor) -> Tensor:
        """The output."""
        if any(size is None for size in x.shape[1:]):
            raise ShapeError(f"{self.name}: the sizes to flatten must be known", None, x.shape)
        return ops.reshape(x, (-1, math.prod(x.shape[1:])))


@registered
class Reshape(Keras1Layer):
    """Another shape; `target_shape` is without the batch and may hold one -1."""

    settings: ClassVar[tuple[str, ...]] = ("target_shape",)

    def __init__(self, target_shape: Sequence[int], **common: Any) -> None:
        super().__init__(**common)
        self.target_shape = tuple(target_shape)

    def create_weights(self, input_shape: Shape) -> None:
        """No weights; the shape is checked."""
        self._target(input_shape[1:])

    def call(self, x: Tensor) -> Tensor:
        """The output."""
        return ops.reshape(x, (-1, *self._target(x.shape[1:])))

    def _target(self, sizes: Shape) -> tuple[int, ...]:
        """The shape without -1.

        Raises:
            ShapeError: the number of values would change, or is not known.
        """
        known = math.prod(size for size in self.target_shape if size != -1)
        open_ends = self.target_shape.count(-1)
        if open_ends == 0 and None in sizes:
            return self.target_shape
        total = None if None in sizes else math.prod(size or 0 for size in sizes)
        if total is None or open_ends > 1 or (total % known if open_ends else total != known):
            raise ShapeError(
                f"{self.name}: cannot be given the shape {self.target_shape}", None, sizes
            )
        return tuple(total // known if size == -1 else size for size in self.target_shape)


@registered
class Permute(Keras1Layer):
    """The axes in another order; `dims` counts from 1, without the batch."""

    settings: ClassVar[tuple[str, ...]] = ("dims",)

    def __init__(self, dims: Sequence[int], **common: Any) -> None:
        super().__init__(**common)
        self.dims = tuple(dims)

    def call(self, x: Tensor) -> Tensor:
        """The output."""
        return ops.transpose(x, (0, *self.dims))


@registered
class RepeatVector(Keras1Layer):
    """A vector, n times: (batch, features) -> (batch, n, features)."""

    settings: ClassVar[tuple[str, ...]] = ("n",)

    def __init__(self, n: int, **common: Any) -> None:
        super().__init__(**common)
        self.n = n
        self.input_spec = keras.layers.InputSpec(ndim=2)

    def call(self, x: Tensor) -> Tensor:
        """The output."""
        return ops.repeat(ops.expand_dims(x, 1), self.n, axis=1)


@registered
class Masking(Keras1Layer):
    """Marks the steps of a sequence whose values are all `mask_value`, and sets them to 0."""

    settings: ClassVar[tuple[str, ...]] = ("mask_value",)
    masks_pass: ClassVar[bool] = True

    def __init__(self, mask_value: float = 0.0, **common: Any) -> None:
        super().__init__(**common)
        self.mask_value = mask_value

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor | None = None) -> Tensor:
        """True where a step counts."""
        return ops.any(ops.not_equal(inputs, self.mask_value), axis=-1)

    def call(self, x: Tensor) -> Tensor:
        """The input, 0 in the steps that do not count."""
        counts = ops.any(ops.not_equal(x, self.mask_value), axis=-1, keepdims=True)
        return x * ops.cast(counts, x.dtype)


@registered
class Lambda(Keras1Layer):
    """A function of one's own, of `keras.ops`.

    Args:
        function: of the input, or of a list of inputs; it may take `mask`.
        output_shape: not needed, the function is traced; must agree where it is given.
        arguments: more keyword arguments of the function.
        **common: see `Keras1Layer`.

    Raises:
        SpecError: `function` is not a function. A file of Keras 1 holds code in its place, which is
            never run.

    Example:
        >>> layer = Lambda(lambda x, by: x * by, arguments={"by": 3})
        >>> float(layer(ops.ones((1, 1)))[0, 0])
        3.0
    """

    settings: ClassVar[tuple[str, ...]] = ("function", "arguments")

    def __init__(
        self,
        function: Callable[..., Tensor],
        output_shape: Any = None,
        arguments: Mapping[str, Any] | None = None,
        **common: Any,
    ) -> None:
        if not callable(function):
            raise SpecError(
                "the code of a Lambda layer is not run from a file; "
                "build the model anew with Lambda(function), then load the weights"
            )
        super().__init__(**common)
        self.function = function
        self.declared_output_shape = output_shape
        self.arguments = dict(arguments or {})
        self.supports_masking = takes_mask(function)
        self.seed_generator = keras.random.SeedGenerator()

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor | None = None) -> None:
        """No mask: a function that takes one has used it up."""

    def call(self, x: Tensor, mask: Tensor | None = None, training: bool | None = None) -> Tensor:
        """The output of the function."""
        masks = {"mask": mask} if takes_mask(self.function) else {}
        with phase.calling(training, self.seed_generator):
            return run_as_written(self.function, x, **self.arguments, **masks)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Lambda:
        """The layer, if its function is registered with Keras under its name.

        Raises:
            SpecError: it is not.
        """
        name = config.get("function")
        function = keras.saving.get_registered_object(name) if isinstance(name, str) else name
        return cls(**{**config, "function": function})


def takes_mask(function: Callable[..., Any]) -> bool:
    """Whether a function has an argument `mask`.

    >>> takes_mask(lambda x, mask: x), takes_mask(lambda x: x)
    (True, False)
    """
    return "mask" in inspect.signature(function).parameters
