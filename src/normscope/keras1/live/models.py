"""`Input`, `Model` and `Sequential` of Keras 1.2.2, with their arguments for training.

They are models of Keras 3 in all else: they save as `.keras`, and take its arguments too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import keras
import numpy as np
import numpy.typing as npt

from normscope.errors import SpecError
from normscope.keras1.live import objectives, optimizers
from normscope.keras1.live.base import Tensor, automatic_name, plain, registered
from normscope.keras1.live.merge import Merge
from normscope.wording import counted


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
    return keras.Input(
        batch_shape=tuple(batch_shape) if batch_shape else (None, *(shape or ())),
        dtype=dtype,
        sparse=sparse or None,
        name=name or automatic_name("input"),
    )


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


class Training:
    """What `Model` and `Sequential` share: the arguments of Keras 1 for compiling and training."""

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        metrics: Any = None,
        loss_weights: Any = None,
        sample_weight_mode: Any = None,
        **keras3: Any,
    ) -> None:
        """Choose how to train; every name means what it meant in Keras 1.2.2.

        Args:
            optimizer: a name, an optimizer of `normscope.keras1` or one of Keras 3.
            loss: a name or a function; for several outputs a list, or a dict by output.
            metrics: a list for every output, or a dict by output; "accuracy" is chosen by the loss.
            loss_weights: for several outputs a list, or a dict by output.
            sample_weight_mode: not needed, weights of any shape are taken.
            **keras3: arguments of Keras 3, such as `jit_compile`.

        Raises:
            SpecError: Keras 1 has no optimizer, loss or metric of that name.
        """
        losses = self._by_output("loss", objectives.loss(loss))
        self._compiled = {
            "loss": plain(loss),
            "metrics": plain(metrics),
            "loss_weights": loss_weights,
            **keras3,
        }
        super().compile(  # type: ignore[misc]  # of keras.Model, with which this is mixed
            optimizer=optimizers.get(optimizer),
            loss=losses if len(losses) > 1 else losses[0],
            metrics=self._metrics_by_output(metrics, losses),
            loss_weights=loss_weights,
            **keras3,
        )

    def get_compile_config(self) -> dict[str, Any]:
        """What `compile` was given, for the file; Keras calls it."""
        if not self.compiled:  # type: ignore[attr-defined]
            return {}
        optimizer = keras.saving.serialize_keras_object(self.optimizer)  # type: ignore[attr-defined]
        return {**self._compiled, "optimizer": optimizer}

    def compile_from_config(self, config: Mapping[str, Any]) -> None:
        """Compile as a file says; Keras calls it, and then sets the state of the optimizer."""
        optimizer = keras.saving.deserialize_keras_object(config["optimizer"])
        self.compile(**{**config, "optimizer": optimizer})
        if self.built:  # type: ignore[attr-defined]
            optimizer.build(self.trainable_variables)  # type: ignore[attr-defined]

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        nb_epoch: int = 10,
        verbose: Any = 1,
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        **keras3: Any,
    ) -> Any:
        """Train for `nb_epoch` epochs; `epochs=` means the same. Returns the history."""
        return super().fit(  # type: ignore[misc]
            x=x,
            y=y,
            batch_size=batch_size,
            epochs=keras3.pop("epochs", nb_epoch),
            verbose=verbose,
            callbacks=callbacks,
            validation_split=validation_split,
            validation_data=validation_data,
            shuffle=shuffle,
            class_weight=class_weight,
            sample_weight=sample_weight,
            initial_epoch=initial_epoch,
            **keras3,
        )

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = 1,
        sample_weight: Any = None,
        **keras3: Any,
    ) -> Any:
        """The loss, or a list of the loss and the metrics."""
        return super().evaluate(  # type: ignore[misc]
            x=x,
            y=y,
            batch_size=batch_size,
            verbose=verbose,
            sample_weight=sample_weight,
            **keras3,
        )

    def predict(
        self, x: Any, batch_size: int | None = None, verbose: Any = 0, **keras3: Any
    ) -> Any:
        """The outputs, as arrays."""
        return super().predict(  # type: ignore[misc]
            x, batch_size=batch_size, verbose=verbose, **keras3
        )

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        *,
        sample_weight: Any = None,
        class_weight: Any = None,
        **keras3: Any,
    ) -> Any:
        """One step of training; the loss and metrics of this batch alone, as in Keras 1.

        Weights are given by name: Keras 1 had them in one order here in `Model`, in another in
        `Sequential`.
        """
        self.reset_metrics()  # type: ignore[attr-defined]
        return super().train_on_batch(  # type: ignore[misc]
            x, y, sample_weight=sample_weight, class_weight=class_weight, **keras3
        )

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, **keras3: Any) -> Any:
        """The loss and metrics of this batch alone, as in Keras 1."""
        self.reset_metrics()  # type: ignore[attr-defined]
        return super().test_on_batch(x, y, sample_weight=sample_weight, **keras3)  # type: ignore[misc]

    def load_weights(self, filepath: Any, by_name: bool = False, **keras3: Any) -> None:
        """Set the weights to those of a file of Keras 1, or of one of Keras 3.

        Args:
            filepath: what is in the file decides which it is.
            by_name: of a file of Keras 1: set the layers that have the name of one in the file,
                and leave the others as they are.
            **keras3: arguments of Keras 3; for a file of Keras 1 `backend` and `release`, see
                `normscope.keras1.loading.load_weights`.

        Raises:
            ModelFileError: the layers or shapes in a file of Keras 1 are not those of this model.
        """
        from normscope.keras1 import loading, weights  # which import this module

        if weights.holds_weights(filepath):
            loading.load_weights(self, filepath, by_name=by_name, **keras3)
        else:
            super().load_weights(filepath, **keras3)  # type: ignore[misc]

    def reset_states(self) -> None:
        """Set the states of all stateful recurrent layers to zero."""
        for layer in self._flatten_layers():  # type: ignore[attr-defined]
            if layer is not self and getattr(layer, "stateful", False) is True:
                layer.reset_states()

    def fit_generator(self, *arguments: Any, **options: Any) -> NoReturn:
        """Cannot be served: it counted samples, Keras 3 counts steps."""
        raise SpecError("write fit(generator, steps_per_epoch=..., nb_epoch=...)")

    def evaluate_generator(self, *arguments: Any, **options: Any) -> NoReturn:
        """Cannot be served: it counted samples, Keras 3 counts steps."""
        raise SpecError("write evaluate(generator, steps=...)")

    def predict_generator(self, *arguments: Any, **options: Any) -> NoReturn:
        """Cannot be served: it counted samples, Keras 3 counts steps."""
        raise SpecError("write predict(generator, steps=...)")

    def _by_output(self, kind: str, given: Any) -> list[Any]:
        """A setting for each output: one for all, a list, or a dict by the names of the outputs."""
        outputs: list[Any] = keras.tree.flatten(self.outputs)  # type: ignore[attr-defined]
        names = self._output_names()
        if isinstance(given, Mapping):
            for name in given:
                if name not in names:
                    raise SpecError(f"{kind} names the output {name!r}; the outputs are {names}")
            return [given.get(name) for name in names]
        if isinstance(given, list | tuple):
            if len(given) != len(outputs):
                raise SpecError(
                    f"{kind} has {counted(len(given), 'item')} for "
                    f"{counted(len(outputs), 'output')}"
                )
            return list(given)
        return [given] * len(outputs)

    def _output_names(self) -> list[str]:
        outputs = keras.tree.flatten(self.outputs)  # type: ignore[attr-defined]
        return [output._keras_history[0].name for output in outputs]

    def _metrics_by_output(self, given: Any, losses: Sequence[Any]) -> list[Any] | None:
        """The metrics of each output; a flat list for a single output."""
        if not given:
            return None
        names = self._output_names()
        if isinstance(given, Mapping):
            chosen = self._by_output("metrics", given)
        else:
            chosen = [given] * len(names)
        outputs = keras.tree.flatten(self.outputs)  # type: ignore[attr-defined]
        found = [
            [
                objectives.metric(one, loss, output.shape[-1])
                for one in (metrics if isinstance(metrics, list | tuple) else [metrics])
                if one is not None
            ]
            for metrics, loss, output in zip(chosen, losses, outputs, strict=True)
        ]
        return found if len(found) > 1 else found[0]


@registered
class Model(Training, keras.Model):  # type: ignore[misc]  # Keras ships no types
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
class Sequential(Training, keras.Sequential):  # type: ignore[misc]  # Keras ships no types
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

    def predict_proba(
        self, x: Any, batch_size: int | None = None, verbose: Any = 1
    ) -> npt.NDArray[np.generic]:
        """The same as `predict`."""
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
