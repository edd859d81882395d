"""`Input`, `Model` and `Sequential` of Keras 1.2.2, with their arguments for training.

They are models of Keras 3 in all else: they save as `.keras`, and take its arguments too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from normscope.errors import SpecError
from normscope.keras1.live.file_methods import FileMethods
from normscope.keras1.live.layers.base import Tensor, automatic_name, registered, with_keras_shapes
from normscope.keras1.live.layers.merge import Merge
from normscope.keras1.live.training.generators import GeneratorMethods
from normscope.keras1.live.training.methods import Training


def Input(  # noqa: N802  # the name that Keras 1 gave it
    shape: Sequence[int | None] | None = None,
    batch_shape: Sequence[int | None] | None = None,
    name: str | None = None,
    dtype: str | None = None,
    sparse: bool = False,
    tensor: Any = None,
) -> Tensor:
    """The input of a model.

    Args:
        shape, batch_shape: without or with the axis of the batch; None for any size.
        name: default `input_<number>`.
        dtype: default that of Keras, float32.
        sparse: whether the input is sparse.
        tensor: cannot be served.

    Raises:
        SpecError: neither shape is given, or a tensor is.

    Example:
        >>> Input(shape=(3, 32, 32)).shape
        (None, 3, 32, 32)
    """
    if tensor is not None:
        raise SpecError(
            "Input(tensor=...) cannot be served; call the model on the tensor: model(x)"
        )
    if shape is None and batch_shape is None:
        raise SpecError("Input takes shape=(...), without the batch, or batch_shape=(...)")
    x = keras.Input(
        batch_shape=tuple(batch_shape) if batch_shape else (None, *(shape or ())),
        dtype=dtype,
        sparse=sparse or None,
        name=name or automatic_name("input"),
    )
    return with_keras_shapes(x)


@registered
class InputLayer(keras.layers.InputLayer):  # type: ignore[misc]  # Keras ships no types
    """The input at the head of a `Sequential`.

    Args:
        input_shape, batch_input_shape: without or with the axis of the batch.
        input_dtype: default that of Keras, float32.
        input_tensor: cannot be served.
        sparse: whether the input is sparse.
        name: default `input_<number>`.
    """

    def __init__(
        self,
        input_shape: Sequence[int | None] | None = None,
        batch_input_shape: Sequence[int | None] | None = None,
        input_dtype: str | None = None,
        input_tensor: Any = None,
        sparse: bool = False,
        name: str | None = None,
    ) -> None:
        if input_tensor is not None or (input_shape is None) == (batch_input_shape is None):
            raise SpecError("InputLayer takes either input_shape or batch_input_shape")
        super().__init__(
            batch_shape=tuple(batch_input_shape or (None, *(input_shape or ()))),
            dtype=input_dtype,
            sparse=sparse or None,
            name=name or automatic_name("input"),
        )

    def get_config(self) -> dict[str, Any]:
        """The config that Keras 1.2.2 wrote."""
        return {
            "batch_input_shape": self.batch_shape,
            "input_dtype": self.dtype,
            "sparse": bool(self.sparse),
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> InputLayer:
        """The layer of a config."""
        return cls(**config)


@registered
class Model(Training, GeneratorMethods, FileMethods, keras.Model):  # type: ignore[misc]  # Keras ships no types
    """A model from inputs to outputs: `Model(input=x, output=y)`.

    Args:
        inputs, outputs: tensors or lists of them; `input=` and `output=` are the names of Keras 1.
        name: default `model_<number>`.
        **options: see `keras.Model`.

    Example:
        >>> x = Input(shape=(3,))
        >>> Model(input=x, output=x).input_shape
        (None, 3)
    """

    # Keras saves the graph of a class whose arguments are called `inputs`, `outputs` and `name`.
    def __init__(
        self, inputs: Any = None, outputs: Any = None, name: str | None = None, **options: Any
    ) -> None:
        inputs, outputs = options.pop("input", inputs), options.pop("output", outputs)
        if inputs is None or outputs is None:
            raise SpecError("Model takes input=... and output=...")
        super().__init__(
            inputs=_single(inputs),
            outputs=_single(outputs),
            name=name or automatic_name("model"),
            **options,
        )


@registered
class Sequential(Training, GeneratorMethods, FileMethods, keras.Sequential):  # type: ignore[misc]  # Keras ships no types
    """Layers one after the other.

    The first may be a layer with `input_shape`, `batch_input_shape` or `input_dim`, a model, or a
    `Merge` of branches.

    Args:
        layers: the layers.
        name: default `sequential_<number>`.
        **options: see `keras.Sequential`.

    Example:
        >>> from normscope.keras1 import Dense
        >>> Sequential([Dense(4, input_dim=3), Dense(2)]).output_shape
        (None, 2)
    """

    def __init__(
        self, layers: Sequence[Any] | None = None, name: str | None = None, **options: Any
    ) -> None:
        super().__init__(layers=None, name=name or automatic_name("sequential"), **options)
        for layer in layers or ():
            self.add(layer)

    def add(self, layer: Any, rebuild: bool = True) -> None:
        """Put one more layer at the end."""
        if not self._layers and getattr(layer, "batch_input_shape", None) is not None:
            dtype = layer.declared_input_dtype or keras.config.floatx()
            super().add(
                InputLayer(
                    batch_input_shape=layer.batch_input_shape,
                    input_dtype=dtype,
                    name=f"{layer.name}_input",
                )
            )
        super().add(layer, rebuild=rebuild)
        if self._merges:
            self.build()

    def build(self, input_shape: Any = None) -> None:
        """Connect the layers."""
        if not self._merges:
            super().build(input_shape)
            return
        head, *rest = self._layers
        inputs, outputs = [], []
        for branch in head.branches:
            fresh = [keras.Input(batch_shape=x.shape, dtype=x.dtype) for x in branch.inputs]
            inputs += fresh
            outputs.append(branch(fresh if len(fresh) > 1 else fresh[0]))
        x = head(outputs)
        for layer in rest:
            x = layer(x)
        self._functional = keras.Model(inputs, x)

    @property
    def _merges(self) -> bool:
        """Whether the model begins with a `Merge` of branches."""
        return bool(
            self._layers and isinstance(self._layers[0], Merge) and self._layers[0].branches
        )

    def get_config(self) -> dict[str, Any]:
        """The layers, each with its class and config."""
        if not self._merges:
            config: dict[str, Any] = super().get_config()
            return config
        layers = [keras.saving.serialize_keras_object(layer) for layer in self._layers]
        return {"name": self.name, "trainable": self.trainable, "layers": layers}

    def train_on_batch(  # type: ignore[override]  # so it was in Keras 1
        self,
        x: Any,
        y: Any = None,
        class_weight: Any = None,
        sample_weight: Any = None,
        **more: Any,
    ) -> Any:
        """One step of training; here Keras 1 had the weights of classes first."""
        return super().train_on_batch(x, y, sample_weight, class_weight, **more)

    def predict_proba(
        self, x: Any, batch_size: int | None = None, verbose: Any = 1
    ) -> npt.NDArray[np.generic]:
        """The outputs, as `predict` gives them."""
        found: npt.NDArray[np.generic] = self.predict(x, batch_size=batch_size, verbose=verbose)
        return found

    def predict_classes(
        self, x: Any, batch_size: int | None = None, verbose: Any = 1
    ) -> npt.NDArray[np.generic]:
        """The index of the largest output, or for a single output whether it is above 0.5."""
        found = self.predict(x, batch_size=batch_size, verbose=verbose)
        classes: npt.NDArray[np.generic] = (
            found.argmax(axis=-1) if found.shape[-1] > 1 else (found > 0.5).astype("int32")
        )
        return classes


def _single(tensors: Any) -> Any:
    """The tensor of a list of one: to Keras 1 they were the same."""
    return tensors[0] if isinstance(tensors, list | tuple) and len(tensors) == 1 else tensors
