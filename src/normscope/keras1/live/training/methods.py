"""What `Model` and `Sequential` of Keras 1.2.2 share: compile, fit, evaluate, predict, save.

The arguments, the data that are taken and the names of the results are those of Keras 1; the loop
of training is that of Keras 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras

from normscope.errors import SpecError
from normscope.keras1.live.layers import phase
from normscope.keras1.live.layers.base import plain, with_keras_shapes
from normscope.keras1.live.training import data, objectives, optimizers
from normscope.keras1.live.training.captured import Captures
from normscope.keras1.live.training.outputs import Outputs
from normscope.keras1.live.training.retired import take_retired
from normscope.keras1.live.training.trainable import WhatIsTrained


class Training:
    """The arguments of Keras 1 for compiling, training, predicting and saving."""

    _captures: Captures | None = None
    _trained: WhatIsTrained | None = None
    validation_data: list[Any] | None = None

    def __call__(self, *args: Any, **options: Any) -> Any:
        """The outputs; symbolic ones know their `_keras_shape`."""
        if phase.forced() is not None:
            options["training"] = phase.forced()
        return with_keras_shapes(super().__call__(*args, **options))  # type: ignore[misc]

    def call(self, inputs: Any, training: Any = None, mask: Any = None, **options: Any) -> Any:
        """The outputs; what losses need besides them is kept for a moment."""
        if self._captures is None:
            return super().call(  # type: ignore[misc]  # of keras.Model, with which this is mixed
                inputs, training=training, mask=mask, **options
            )
        return self._captures.call(inputs, training=training, mask=mask)

    # --- compile ----------------------------------------------------------------------------------

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
            loss: a name or a function; for several outputs a list, or a dict by output. A function
                may use other tensors of the model than its output.
            metrics: a list for every output, or a dict by output; "accuracy" is chosen by the loss.
            loss_weights: for several outputs a list, or a dict by output.
            sample_weight_mode: not needed, weights of any shape are taken.
            **keras3: arguments of Keras 3, such as `jit_compile`.

        Raises:
            SpecError: Keras 1 has no optimizer, loss or metric of that name.
        """
        take_retired(keras3, "compile")
        outputs = Outputs(self)
        losses = outputs.each("loss", objectives.loss(loss))
        weights = outputs.weights(loss_weights)
        self._compiled = {
            "loss": plain(loss),
            "metrics": plain(metrics),
            "loss_weights": loss_weights,
            **keras3,
        }
        self._losses_by_output = losses
        self._metrics_given = [metrics] if isinstance(metrics, str) else metrics
        captures = Captures.of(self, losses)
        self._captures = captures
        found = captures.losses if captures else losses
        objects = [objectives.objective(one) for one in found]
        super().compile(  # type: ignore[misc]
            optimizer=optimizers.get(optimizer),
            loss=objects if len(objects) > 1 else objects[0],
            metrics=outputs.metrics(self._metrics_given, losses),
            loss_weights=weights,
            **keras3,
        )
        if captures:
            captures.build(self)
        self._trained = WhatIsTrained(self)

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

    # --- names ------------------------------------------------------------------------------------

    @property
    def input_names(self) -> list[str]:
        """The names of the input layers, in order."""
        inputs = keras.tree.flatten(self.inputs)  # type: ignore[attr-defined]
        return [x._keras_history[0].name for x in inputs]

    @property
    def metrics_names(self) -> list[str]:
        """The names of what `evaluate` gives, in its order."""
        if not self.compiled:  # type: ignore[attr-defined]
            return []
        return Outputs(self).metrics_names(self._metrics_given, self._losses_by_output)

    def _in_order(self, logs: Mapping[str, Any]) -> Any:
        """The values as Keras 1 gave them: one number, or a list in the order of the names."""
        names = [name for name in self.metrics_names if name in logs]
        names += [name for name in logs if name not in names]
        values = [logs[name] for name in names]
        return values[0] if len(values) == 1 else values

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The loss of a batch; a function of one's own knows whether it trains. Keras calls it."""
        with phase.calling(training):
            return super().compute_loss(  # type: ignore[misc]
                x, y, y_pred, sample_weight, training
            )

    # --- arrays -----------------------------------------------------------------------------------

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
        shuffle: bool | str = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        **keras3: Any,
    ) -> Any:
        """Train for `nb_epoch` epochs; `epochs=` means the same. Returns the history.

        Inputs and labels may be lists of numbers; labels of one axis get a second one.
        """
        take_retired(keras3, "fit")
        if y is not None:
            x, y, sample_weight = self._standardized(x, y, sample_weight, class_weight)
            class_weight = None
        if isinstance(validation_data, list | tuple):
            validation_data = self._validation(validation_data)
        self._tell_callbacks(x, y, batch_size, validation_split, validation_data)
        with self._as_compiled():
            return super().fit(  # type: ignore[misc]
                x=x,
                y=y,
                batch_size=batch_size,
                epochs=keras3.pop("epochs", nb_epoch),
                verbose=verbose,
                callbacks=list(callbacks) if callbacks else None,
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
        """The loss, or a list of the loss and the metrics in the order of `metrics_names`."""
        take_retired(keras3, "evaluate")
        as_dict = keras3.pop("return_dict", False)
        if y is not None:
            x, y, sample_weight = self._standardized(x, y, sample_weight)
        logs = super().evaluate(  # type: ignore[misc]
            x=x,
            y=y,
            batch_size=batch_size,
            verbose=verbose,
            sample_weight=sample_weight,
            return_dict=True,
            **keras3,
        )
        return logs if as_dict or not isinstance(logs, Mapping) else self._in_order(logs)

    def predict(
        self, x: Any, batch_size: int | None = None, verbose: Any = 0, **keras3: Any
    ) -> Any:
        """The outputs, as arrays."""
        return super().predict(  # type: ignore[misc]
            self._input_arrays(x), batch_size=batch_size, verbose=verbose, **keras3
        )

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        **more: Any,
    ) -> Any:
        """One step of training; the loss and metrics of this batch alone, as in Keras 1."""
        take_retired(more, "train_on_batch")
        as_dict = more.pop("return_dict", False)
        if y is not None:
            x, y, sample_weight = self._standardized(x, y, sample_weight, class_weight)
        self.reset_metrics()  # type: ignore[attr-defined]
        with self._as_compiled():
            logs = super().train_on_batch(  # type: ignore[misc]
                x, y, sample_weight=sample_weight, return_dict=True, **more
            )
        return logs if as_dict else self._in_order(logs)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, **more: Any) -> Any:
        """The loss and metrics of this batch alone, as in Keras 1."""
        take_retired(more, "test_on_batch")
        as_dict = more.pop("return_dict", False)
        if y is not None:
            x, y, sample_weight = self._standardized(x, y, sample_weight)
        self.reset_metrics()  # type: ignore[attr-defined]
        logs = super().test_on_batch(  # type: ignore[misc]
            x, y, sample_weight=sample_weight, return_dict=True, **more
        )
        return logs if as_dict else self._in_order(logs)

    def predict_on_batch(self, x: Any) -> Any:
        """The outputs of one batch, as arrays."""
        found = super().predict_on_batch(self._input_arrays(x))  # type: ignore[misc]
        return keras.tree.map_structure(keras.ops.convert_to_numpy, found)

    def _as_compiled(self) -> AbstractContextManager[None]:
        """While it lasts, what `compile` found to be trained is, and nothing else."""
        return nullcontext() if self._trained is None else self._trained.again()

    def _standardized(
        self, x: Any, y: Any, sample_weight: Any = None, class_weight: Any = None
    ) -> tuple[Any, Any, Any]:
        """Inputs, labels and weights as Keras 3 takes them."""
        if not self.compiled:  # type: ignore[attr-defined]
            raise SpecError("call model.compile(optimizer, loss) first")
        outputs = Outputs(self)
        slots = outputs.slots(self._losses_by_output)
        targets = data.standardized(y, slots, "target")
        weights = data.sample_weights(targets, outputs.names, sample_weight, class_weight)
        return self._input_arrays(x), _one_or_all(targets), weights and _one_or_all(weights)

    def _input_arrays(self, x: Any) -> Any:
        """The inputs as Keras 3 takes them; what is not an array, a list or a dict as it is."""
        if not isinstance(x, list | tuple | Mapping) and not hasattr(x, "shape"):
            return x
        if not self.built:  # type: ignore[attr-defined]
            return x
        inputs = keras.tree.flatten(self.inputs)  # type: ignore[attr-defined]
        slots = [
            data.Slot(name, tuple(tensor.shape))
            for name, tensor in zip(self.input_names, inputs, strict=True)
        ]
        return _one_or_all(data.standardized(x, slots, "input"))

    def _tell_callbacks(
        self, x: Any, y: Any, batch_size: int | None, split: float, validation: Any
    ) -> None:
        """Keep what callbacks of Keras 1 look up in `params`, and in `model.validation_data`."""
        held_out = None
        self.training_params: dict[str, Any] = {}
        if y is not None:
            count = data.number_of_samples(x)
            if split and validation is None:
                first = int(count * (1 - split))
                held_out = [array[first:] for array in keras.tree.flatten((x, y))]
                count = first
            self.training_params = {"nb_sample": count, "batch_size": batch_size or 32}
        if isinstance(validation, tuple):
            held_out = keras.tree.flatten(validation[:2])
        self.validation_data = held_out
        names = self.metrics_names
        self.training_params |= {
            "do_validation": held_out is not None or validation is not None,
            "metrics": [*names, *(f"val_{name}" for name in names)],
        }

    def _validation(self, given: Sequence[Any]) -> tuple[Any, ...]:
        if len(given) not in (2, 3):
            raise SpecError(
                f"validation_data is (x, y) or (x, y, sample_weight), not {len(given)} items"
            )
        x, y, *weights = given
        x, y, weight = self._standardized(x, y, *weights)
        return (x, y) if weight is None else (x, y, weight)

    def reset_states(self) -> None:
        """Set the states of all stateful recurrent layers to zero."""
        for layer in self._flatten_layers():  # type: ignore[attr-defined]
            if layer is not self and getattr(layer, "stateful", False) is True:
                layer.reset_states()


def _one_or_all(items: Sequence[Any]) -> Any:
    return items[0] if len(items) == 1 else list(items)
