"""`Layer` of Keras 1.2.2, the base of the layers that a script writes itself.

They are written with `build`, `call(x, mask=None)` and `get_output_shape_for`, make their weights
with `add_weight`, an initialization or `K.variable`, and list them in `trainable_weights`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import keras

from normscope.errors import SpecError
from normscope.keras1.live.layers import constraints, initializers, phase, regularizers
from normscope.keras1.live.layers.base import Keras1Layer, Tensor
from normscope.keras1.live.layers.rebinding import plain_tensors, rebound


class Layer(Keras1Layer):
    """Base of one's own layers, as scripts of Keras 1 wrote them.

    A variable (of `K.variable`) that is an attribute is trained if it is in `trainable_weights`.
    While `call` runs, K.learning_phase(), K.in_train_phase and the K.random_... functions know
    whether the model is being trained, and repeat with its seed.

    Args:
        **common: input_shape, batch_input_shape, input_dtype, name, trainable, weights; see
            `Keras1Layer`.

    Example:
        >>> class Doubled(Layer):
        ...     def call(self, x, mask=None):
        ...         return 2 * x
        >>> float(Doubled()(keras.ops.ones((1, 1)))[0, 0])
        2.0
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "call" in vars(cls):
            cls.call = _told_the_phase(cls.call)  # type: ignore[method-assign]

    def __init__(self, **common: Any) -> None:
        super().__init__(**common)
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """The input itself, unless a subclass says what it computes."""
        return x

    def add_weight(  # type: ignore[override]  # in the order that Keras 1 had
        self,
        shape: Sequence[int | None],
        initializer: initializers.Given,
        name: str | None = None,
        trainable: bool = True,
        regularizer: regularizers.Given = None,
        constraint: constraints.Given = None,
        **keras3: Any,
    ) -> Tensor:
        """One weight; initializer, regularizer and constraint as Keras 1 understood them."""
        return super().add_weight(
            shape=tuple(shape),
            initializer=initializers.get(initializer),
            name=name,
            trainable=trainable,
            regularizer=regularizers.get(regularizer),
            constraint=constraints.get(constraint),
            **keras3,
        )

    @property
    def trainable_weights(self) -> list[Tensor]:
        """The weights that are trained; a list can be set, in the order of `get_weights()`."""
        found: list[Tensor] = super().trainable_weights
        return found

    @trainable_weights.setter
    def trainable_weights(self, variables: Sequence[Tensor]) -> None:
        self._take(variables, trainable=True)

    @property
    def non_trainable_weights(self) -> list[Tensor]:
        """The weights that are not trained; a list can be set."""
        found: list[Tensor] = super().non_trainable_weights
        return found

    @non_trainable_weights.setter
    def non_trainable_weights(self, variables: Sequence[Tensor]) -> None:
        self._take(variables, trainable=False)

    def _take(self, variables: Sequence[Tensor], trainable: bool) -> None:
        """Own these variables, in this order."""
        for variable in variables:
            if not isinstance(variable, keras.Variable):
                raise SpecError(
                    f"{self.name}: {type(variable).__name__} is no variable; weights are made with "
                    "K.variable, an initialization or self.add_weight"
                )
            if any(variable is known for known in self.variables):
                self._untrack_variable(variable)
            variable.trainable = trainable
            self._track_variable(variable)

    @property
    def constraints(self) -> NoReturn:
        """Cannot be served: a constraint is given to `add_weight`."""
        raise SpecError("write self.add_weight(shape, init, constraint=...)")

    @constraints.setter
    def constraints(self, given: Any) -> None:
        if given:
            raise SpecError("write self.add_weight(shape, init, constraint=...)")

    @property
    def regularizers(self) -> list[Any]:
        """Always empty, as in Keras 1.2.2: a regularizer is given to `add_weight`."""
        return []

    @regularizers.setter
    def regularizers(self, given: Any) -> None:
        if given:
            raise SpecError("write self.add_weight(shape, init, regularizer=...)")

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor | None = None) -> Tensor | None:
        """The mask of the input, if `supports_masking` says that it is passed on."""
        return previous_mask if self.supports_masking else None


def _told_the_phase(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A `call` of Keras 1 as Keras 3 calls it: told whether it is trained, and its mask."""
    taken = inspect.signature(function).parameters
    any_keyword = any(one.kind is one.VAR_KEYWORD for one in taken.values())

    def call(
        self: Layer,
        x: Tensor,
        mask: Tensor | None = None,
        training: bool | None = None,
        **more: Any,
    ) -> Tensor:
        if any_keyword or "mask" in taken:
            more["mask"] = mask
        if "training" in taken:
            more["training"] = training
        with phase.calling(training, getattr(self, "seed_generator", None)):
            return run_as_written(functools.partial(function, self), x, **more)

    call.__doc__ = function.__doc__
    return call


def run_as_written(function: Callable[..., Tensor], *arguments: Any, **options: Any) -> Tensor:
    """The result of a function of the user, which no `x *= 2` in it lets change what it was given.

    Raises:
        SpecError: it has; what passes through a model while it runs has no such attribute.
    """
    try:
        tensors, keywords = rebound((arguments, options))
        return plain_tensors(function(*tensors, **keywords))
    except AttributeError as error:
        if getattr(error, "name", None) != "_keras_shape" and "_keras_shape" not in str(error):
            raise
        raise SpecError(
            "only the inputs and outputs of layers have _keras_shape; inside a function write "
            "K.int_shape(x)"
        ) from error
