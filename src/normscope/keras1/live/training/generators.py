"""`fit_generator`, `evaluate_generator`, `predict_generator`: batches, counted in samples.

What Keras 3 counts is steps, so the loop stands here. A batch is made when it is needed, in this
thread. Source: Keras 1.2.2.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from normscope.errors import SpecError
from normscope.keras1.live.training.data import number_of_samples
from normscope.keras1.live.training.retired import take_retired

_SAMPLES = "Keras 1 counts samples"
COUNTED: Mapping[str, str] = {
    "steps_per_epoch": f"{_SAMPLES}: write samples_per_epoch=...",
    "epochs": "write nb_epoch=...",
    "validation_steps": f"{_SAMPLES}: write nb_val_samples=...",
    "steps": f"{_SAMPLES}: write val_samples=...",
    "workers": "write nb_worker=...; it is not needed",
    "use_multiprocessing": "write pickle_safe=...; it is not needed",
    "max_queue_size": "write max_q_size=...; it is not needed",
}
"""What to write for the names of later releases."""


def samples(name: str, given: Any) -> int:
    """A number that must be given.

    Raises:
        SpecError: it is not, or is not positive.

    >>> samples("nb_epoch", 3)
    3
    """
    if given is None or int(given) < 1:
        raise SpecError(f"{name} is a number above 0, not {given!r}")
    return int(given)


class GeneratorMethods:
    """The methods of a model that take a generator: train, evaluate and predict."""

    def fit_generator(
        self: Any,
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
        take_retired(retired, "fit_generator", COUNTED)
        samples_per_epoch = samples("samples_per_epoch", samples_per_epoch)
        nb_epoch = samples("nb_epoch", nb_epoch)
        batches = _Batches(generator)
        validate = _validation(self, validation_data, nb_val_samples)
        run = keras.callbacks.CallbackList(
            callbacks,
            add_history=True,
            add_progbar=bool(verbose),
            model=self,
            verbose=verbose,
            epochs=nb_epoch,
            steps=None,
            nb_sample=samples_per_epoch,
            do_validation=validate is not None,
        )
        self.training_params = {"batch_size": None}
        self.stop_training = False
        run.on_train_begin()
        logs: dict[str, Any] = {}
        for epoch in range(initial_epoch, nb_epoch):
            run.on_epoch_begin(epoch)
            means = _Means()
            for index, (size, x, y, weight) in enumerate(batches.of(samples_per_epoch)):
                self.training_params["size"] = size
                run.on_train_batch_begin(index)
                found = self.train_on_batch(
                    x, y, sample_weight=weight, class_weight=class_weight, return_dict=True
                )
                means.add(found, size)
                run.on_train_batch_end(index, found)
            if means.size > samples_per_epoch:
                warnings.warn(
                    f"an epoch had {means.size} samples, samples_per_epoch={samples_per_epoch}: it "
                    "is no multiple of the size of the batches",
                    stacklevel=2,
                )
            logs = means.values()
            if validate is not None:
                logs |= {f"val_{name}": value for name, value in validate(size).items()}
            run.on_epoch_end(epoch, logs)
            if self.stop_training:
                break
        run.on_train_end(logs)
        return self.history

    def evaluate_generator(
        self: Any,
        generator: Any,
        val_samples: int | None = None,
        max_q_size: int = 10,
        nb_worker: int = 1,
        pickle_safe: bool = False,
        **retired: Any,
    ) -> Any:
        """The loss, or a list of the loss and the metrics, over `val_samples` of a generator."""
        take_retired(retired, "evaluate_generator", COUNTED)
        count = samples("val_samples", val_samples)
        return self._in_order(_evaluated(self, _Batches(generator), count))

    def predict_generator(
        self: Any,
        generator: Any,
        val_samples: int | None = None,
        max_q_size: int = 10,
        nb_worker: int = 1,
        pickle_safe: bool = False,
        **retired: Any,
    ) -> Any:
        """The outputs for `val_samples` of a generator of x, or of (x, y)."""
        take_retired(retired, "predict_generator", COUNTED)
        count = samples("val_samples", val_samples)
        parts: list[list[Any]] = []
        for _, x, *_ in _Batches(generator, labels=False).of(count):
            found = self.predict_on_batch(x)
            parts.append(found if isinstance(found, list) else [found])
        joined = [np.concatenate(arrays)[:count] for arrays in zip(*parts, strict=True)]
        return joined[0] if len(joined) == 1 else joined


def _evaluated(model: Any, batches: _Batches, count: int) -> dict[str, Any]:
    means = _Means()
    for size, x, y, weight in batches.of(count):
        means.add(model.test_on_batch(x, y, sample_weight=weight, return_dict=True), size)
    return means.values()


def _validation(model: Any, given: Any, count: int | None) -> Any:
    """The function of the size of a batch to the values of the validation; None for none."""
    if given is None or (isinstance(given, list | tuple) and not given):
        return None
    if isinstance(given, list | tuple):
        if len(given) not in (2, 3):
            raise SpecError("validation_data is (x, y), (x, y, sample_weight) or a generator")
        x, y, *weight = given
        return lambda size: model.evaluate(
            x,
            y,
            batch_size=size,
            verbose=0,
            sample_weight=weight[0] if weight else None,
            return_dict=True,
        )
    if not count:
        raise SpecError("validation_data is a generator; write nb_val_samples=...")
    batches = _Batches(given)
    return lambda size: _evaluated(model, batches, count)


class _Means:
    """The means of what batches give, by their sizes."""

    def __init__(self) -> None:
        self.size = 0
        self.sums: dict[str, float] = {}

    def add(self, found: Mapping[str, Any], size: int) -> None:
        """Count one batch."""
        self.size += size
        for name, value in found.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(value) * size

    def values(self) -> dict[str, Any]:
        """The means so far."""
        return {name: total / self.size for name, total in self.sums.items()}


class _Batches:
    """The batches of a generator, checked, a number of samples at a time."""

    def __init__(self, generator: Any, labels: bool = True) -> None:
        if not hasattr(generator, "__next__"):
            if callable(generator):
                name = getattr(generator, "__name__", "function")
                raise SpecError(f"{name} is a function; write {name}() to have its generator")
            if not hasattr(generator, "__iter__"):
                raise SpecError(f"a generator is expected, not {type(generator).__name__}")
            generator = iter(generator)
        self.generator: Iterator[Any] = generator
        self.labels = labels

    def of(self, count: int) -> Iterator[tuple[int, Any, Any, Any]]:
        """Size, x, y and weights of each batch, until there are `count` samples."""
        seen = 0
        while seen < count:
            try:
                found = next(self.generator)
            except StopIteration:
                raise SpecError(
                    f"the generator ended after {seen} of {count} samples; one of Keras 1 goes on "
                    "without end: while True: yield x, y"
                ) from None
            x, y, weight = self._parts(found)
            size = number_of_samples(x)
            seen += size
            yield size, x, y, weight

    def _parts(self, found: Any) -> Sequence[Any]:
        if not self.labels and not isinstance(found, tuple):
            return found, None, None
        if not isinstance(found, list | tuple) or len(found) not in (2, 3):
            raise SpecError(f"a generator gives (x, y) or (x, y, sample_weight), not {found!r:.60}")
        return (*found, None) if len(found) == 2 else tuple(found)
