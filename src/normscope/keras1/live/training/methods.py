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
from normscope.keras1.live.training import data, generators, objectives, optimizers
from normscope.keras1.live.training.captured import Captures
from normscope.keras1.live.training.retired import take_retired
from normscope.keras1.live.training.trainable import WhatIsTrained
from normscope.wording import counted

HDF5_ENDINGS = (".h5", ".hdf5", ".hdf", ".he5")


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
        losses = self._by_output("loss", objectives.loss(loss))
        weights = self._by_output("loss_weights", loss_weights)
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
            metrics=self._metrics_by_output(self._metrics_given, losses),
            loss_weights=None if loss_weights is None else [_weight_or_1(one) for one in weights],
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
        names = self._output_names()
        if len(names) == 1:
            chosen = self._metrics_of_outputs(self._metrics_given)[0]
            return ["loss", *(objectives.metric_name(one) for one in chosen)]
        losses = [
            f"{name}_loss"
            for name, loss in zip(names, self._losses_by_output, strict=True)
            if loss is not None
        ]
        metrics = [
            f"{name}_{objectives.metric_name(one)}"
            for name, chosen in zip(
                names, self._metrics_of_outputs(self._metrics_given), strict=True
            )
            for one in chosen
        ]
        return ["loss", *losses, *metrics]

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
        outputs = keras.tree.flatten(self.outputs)  # type: ignore[attr-defined]
        names = self._output_names()
        slots = [
            data.Slot(name, _wanted(output.shape, loss))
            for name, output, loss in zip(names, outputs, self._losses_by_output, strict=True)
        ]
        targets = data.standardized(y, slots, "target")
        weights = data.sample_weights(targets, names, sample_weight, class_weight)
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
        kept = None
        self.training_params: dict[str, Any] = {}
        if y is not None:
            count = data.number_of_samples(x)
            if split and validation is None:
                first = int(count * (1 - split))
                kept = [array[first:] for array in keras.tree.flatten((x, y))]
                count = first
            self.training_params = {"nb_sample": count, "batch_size": batch_size or 32}
        if isinstance(validation, tuple):
            kept = keras.tree.flatten(validation[:2])
        self.validation_data = kept
        names = self.metrics_names
        self.training_params |= {
            "do_validation": kept is not None or validation is not None,
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

    # --- generators -------------------------------------------------------------------------------

    def fit_generator(
        self,
        generator: Any,
        samples_per_epoch: int | None = None,
        nb_epoch: int | None = None,
        verbose: Any = 1,
        callbacks: Any = None,
        validation_data: Any = None,
        nb_val_samples: int | None = None,
        class_weight: Any = None,
        max_q_size: int = 10,
        nb_worker: int = 1,
        pickle_safe: bool = False,
        initial_epoch: int = 0,
        **retired: Any,
    ) -> Any:
        """Train on the batches of a generator. Returns the history.

        Args:
            generator: gives (x, y) or (x, y, sample_weight), without end.
            samples_per_epoch, nb_epoch: how many samples make an epoch, and how many epochs.
            verbose, callbacks, class_weight, initial_epoch: as in `fit`.
            validation_data: (x, y), (x, y, sample_weight) or a generator of them.
            nb_val_samples: how many samples to take from that generator.
            max_q_size, nb_worker, pickle_safe: not needed, the batches are made between the steps.
            **retired: what 1.2.2 still took with a warning.

        Raises:
            SpecError: the generator ends too early, or gives something else.
        """
        take_retired(retired, "fit_generator", generators.COUNTED)
        return generators.fit(
            self,
            generator,
            generators.samples("samples_per_epoch", samples_per_epoch),
            generators.samples("nb_epoch", nb_epoch),
            verbose=verbose,
            callbacks=callbacks,
            validation_data=validation_data,
            nb_val_samples=nb_val_samples,
            class_weight=class_weight,
            initial_epoch=initial_epoch,
        )

    def evaluate_generator(
        self,
        generator: Any,
        val_samples: int | None = None,
        max_q_size: int = 10,
        nb_worker: int = 1,
        pickle_safe: bool = False,
        **retired: Any,
    ) -> Any:
        """The loss, or a list of the loss and the metrics, over `val_samples` of a generator."""
        take_retired(retired, "evaluate_generator", generators.COUNTED)
        return generators.evaluate(self, generator, generators.samples("val_samples", val_samples))

    def predict_generator(
        self,
        generator: Any,
        val_samples: int | None = None,
        max_q_size: int = 10,
        nb_worker: int = 1,
        pickle_safe: bool = False,
        **retired: Any,
    ) -> Any:
        """The outputs for `val_samples` of a generator of x, or of (x, y)."""
        take_retired(retired, "predict_generator", generators.COUNTED)
        return generators.predict(self, generator, generators.samples("val_samples", val_samples))

    # --- files ------------------------------------------------------------------------------------

    def save(self, filepath: Any, overwrite: bool = True, **keras3: Any) -> None:
        """Write the model: as Keras 1.2.2 wrote it if the name ends in .h5 or .hdf5.

        Args:
            filepath: ends in `.keras` for a file of Keras 3.
            overwrite: whether an existing file is replaced.
            **keras3: arguments of Keras 3, for its file.

        Raises:
            SpecError: the file exists, and is not to be replaced.
        """
        from normscope.keras1.live import saving  # which imports the models

        if str(filepath).endswith(HDF5_ENDINGS):
            saving.save_model(self, filepath, overwrite)
        else:
            super().save(filepath, overwrite=overwrite, **keras3)  # type: ignore[misc]

    def save_weights(self, filepath: Any, overwrite: bool = True, **keras3: Any) -> None:
        """Write the weights, as Keras 1.2.2 wrote them unless the name ends in .weights.h5.

        Raises:
            SpecError: the file exists, and is not to be replaced.
        """
        from normscope.keras1.live import saving  # which imports the models

        if str(filepath).endswith((".weights.h5", ".weights.json")):
            super().save_weights(filepath, overwrite=overwrite, **keras3)  # type: ignore[misc]
        else:
            saving.save_weights(self, filepath, overwrite)

    def to_json(self, **options: Any) -> str:
        """The architecture as Keras 1.2.2 wrote it, for `model_from_json`."""
        from normscope.keras1.live import saving  # which imports the models

        return saving.to_json(self, **options)

    def to_yaml(self, **options: Any) -> str:
        """Cannot be served: YAML can hold code."""
        raise SpecError(
            "write model.to_json(); YAML can hold code, and is neither written nor read"
        )

    def load_weights(self, filepath: Any, by_name: bool = False, **keras3: Any) -> None:
        """Set the weights to those of a file of Keras 1, or of one of Keras 3.

        Args:
            filepath: what is in the file decides which it is.
            by_name: of a file of Keras 1: set the layers that have the name of one in the file,
                and leave the others as they are.
            **keras3: arguments of Keras 3; for a file of Keras 1 also `backend`, see
                `normscope.keras1.live.loading.load_weights`.

        Raises:
            ModelFileError: the layers or shapes in a file of Keras 1 are not those of this model.
        """
        from normscope.keras1.live import loading, weights  # which import this module

        if weights.holds_weights(filepath):
            loading.load_weights(self, filepath, by_name=by_name, **keras3)
        else:
            super().load_weights(filepath, **keras3)  # type: ignore[misc]

    def reset_states(self) -> None:
        """Set the states of all stateful recurrent layers to zero."""
        for layer in self._flatten_layers():  # type: ignore[attr-defined]
            if layer is not self and getattr(layer, "stateful", False) is True:
                layer.reset_states()

    # --- settings by output -----------------------------------------------------------------------

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

    def _metrics_of_outputs(self, given: Any) -> list[list[Any]]:
        """The metrics of each output, as they were given."""
        names = self._output_names()
        chosen = self._by_output("metrics", given) if isinstance(given, Mapping) else None
        return [
            [one for one in _as_list(metrics) if one is not None]
            for metrics in (chosen or [given] * len(names))
        ]

    def _metrics_by_output(self, given: Any, losses: Sequence[Any]) -> list[Any] | None:
        """The metrics of Keras 3 for each output; a flat list for a single output."""
        if not given:
            return None
        outputs = keras.tree.flatten(self.outputs)  # type: ignore[attr-defined]
        found = [
            [objectives.metric(one, loss, output.shape[-1]) for one in metrics]
            for metrics, loss, output in zip(
                self._metrics_of_outputs(given), losses, outputs, strict=True
            )
        ]
        return found if len(found) > 1 else found[0]


def _as_list(given: Any) -> list[Any]:
    return list(given) if isinstance(given, list | tuple) else [given]


def _one_or_all(items: Sequence[Any]) -> Any:
    return items[0] if len(items) == 1 else list(items)


def _weight_or_1(weight: float | None) -> float:
    return 1.0 if weight is None else float(weight)


def _wanted(shape: Sequence[int | None], loss: Any) -> tuple[int | None, ...] | None:
    """The shape that Keras 1 wants the labels to have; None for a loss of one's own."""
    if loss is objectives.sparse_categorical_crossentropy:
        return (*shape[:-1], 1)
    return tuple(shape) if loss in objectives.OBJECTIVES.values() else None
