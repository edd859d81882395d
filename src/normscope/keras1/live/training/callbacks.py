"""The callbacks of Keras 1.2.2: epochs count from 0, and the logs of a batch are of that batch.

In Keras 3 the logs of a batch are means since the beginning of the epoch, the file of a checkpoint
counts from 1, and patience is one epoch less.
"""

from __future__ import annotations

import csv
import math
import os
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from normscope.errors import SpecError

Logs = Mapping[str, Any] | None

MODES = ("auto", "min", "max")
CONTROL = ("batch", "size")


class Callback(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Base of callbacks: override `on_epoch_end(epoch, logs)`, `on_batch_end(batch, logs)`, ...

    `self.model` is the model, `self.params` has batch_size, nb_epoch, nb_sample, verbose,
    do_validation and metrics. The logs of a batch have its number `batch`, its `size`, and at its
    end the loss and the metrics of that batch.
    """

    def set_params(self, params: Mapping[str, Any]) -> None:
        """What is trained; Keras calls it."""
        self.params = {**self._of_fit(), **params, "nb_epoch": params.get("epochs")}

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Call `on_batch_begin` as Keras 1 did; Keras 3 calls this."""
        if batch == 0:
            self._seen, self._sums = 0, dict[str, float]()
        self.on_batch_begin(batch, {"batch": batch, "size": self._size(batch)})

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Call `on_batch_end` as Keras 1 did; Keras 3 calls this."""
        found = {**(logs or {})}
        size = self._size(batch)
        if size and "size" not in self._of_fit():  # means since the beginning of the epoch
            self._seen += size
            for name, mean in found.items():
                total = float(mean) * self._seen
                found[name] = (total - self._sums.get(name, 0.0)) / size
                self._sums[name] = total
        self.on_batch_end(batch, {"batch": batch, "size": size, **found})

    def _of_fit(self) -> Mapping[str, Any]:
        """What the model says of its training; of a generator the `size` of this batch."""
        found: Mapping[str, Any] = getattr(self._model, "training_params", None) or {}
        return found

    def _size(self, batch: int) -> int:
        if "size" in self._of_fit():
            return int(self._of_fit()["size"])
        count, most = self.params.get("nb_sample"), self.params.get("batch_size")
        if not count or not most:
            return 0
        return int(min(most, count - batch * most))


History = keras.callbacks.History
CallbackList = keras.callbacks.CallbackList
ProgbarLogger = keras.callbacks.ProgbarLogger
RemoteMonitor = keras.callbacks.RemoteMonitor


class _Monitor(Callback):
    """Base of the callbacks that look whether a quantity has become better.

    Args:
        monitor: its name in the logs.
        mode: "min", "max", or "auto": the larger is better where the name has "acc" in it or
            begins with "fmeasure".
    """

    def __init__(self, monitor: str, mode: str) -> None:
        super().__init__()
        if mode not in MODES:
            raise SpecError(f"mode is 'auto', 'min' or 'max', not {mode!r}")
        self.monitor = monitor
        larger = "acc" in monitor or monitor.startswith("fmeasure")
        self.sign = 1 if mode == "max" or (mode == "auto" and larger) else -1
        self.best = -self.sign * math.inf

    def current(self, logs: Logs) -> float | None:
        """The quantity after an epoch; None, with a warning, if the logs do not have it."""
        found = (logs or {}).get(self.monitor)
        if found is None:
            known = ", ".join(logs or {}) or "nothing"
            warnings.warn(
                f"{type(self).__name__} looks at {self.monitor!r}, the logs have {known}",
                RuntimeWarning,
                stacklevel=2,
            )
        return None if found is None else float(found)

    def is_better(self, found: float, by: float = 0.0) -> bool:
        """Whether a value is better than the best, by more than so much."""
        return self.sign * (found - self.best) > by


class ModelCheckpoint(_Monitor):
    """Save the model after epochs.

    Args:
        filepath: of the file, with fields for the epoch, counted from 0, and the logs:
            "weights.{epoch:02d}-{val_loss:.2f}.hdf5".
        monitor, mode: which quantity, and whether the larger or the smaller is better.
        verbose: 1 prints what is saved.
        save_best_only: save only if the quantity has become better.
        save_weights_only: `model.save_weights` in place of `model.save`.
        period: how many epochs lie between.
    """

    def __init__(
        self,
        filepath: str,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        period: int = 1,
    ) -> None:
        super().__init__(monitor, mode)
        self.filepath = os.fspath(filepath)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.period = period
        self.epochs_since_last_save = 0

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Save, if it is time."""
        self.epochs_since_last_save += 1
        if self.epochs_since_last_save < self.period:
            return
        self.epochs_since_last_save = 0
        if self.save_best_only:
            found = self.current(logs)
            if found is None or not self.is_better(found):
                return
            self.best = found
        path = self.filepath.format(epoch=epoch, **(logs or {}))
        if self.verbose:
            print(f"Epoch {epoch:05d}: saving model to {path}")
        save = self.model.save_weights if self.save_weights_only else self.model.save
        save(path, overwrite=True)


class EarlyStopping(_Monitor):
    """Stop training where a quantity has not become better for `patience` + 1 epochs.

    Args:
        monitor, mode: which quantity, and whether the larger or the smaller is better.
        min_delta: how much it must become better at least.
        patience: how many epochs it may not.
        verbose: 1 prints where it stopped.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
    ) -> None:
        super().__init__(monitor, mode)
        self.min_delta = min_delta
        self.patience = patience
        self.verbose = verbose
        self.wait = 0
        self.stopped_epoch = 0

    def on_train_begin(self, logs: Logs = None) -> None:
        """Begin anew."""
        self.wait = 0
        self.best = -self.sign * math.inf

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Stop, if it is time."""
        found = self.current(logs)
        if found is None:
            return
        if self.is_better(found, self.min_delta):
            self.best = found
            self.wait = 0
            return
        if self.wait >= self.patience:
            self.stopped_epoch = epoch
            self.model.stop_training = True
        self.wait += 1

    def on_train_end(self, logs: Logs = None) -> None:
        """Say where it stopped."""
        if self.stopped_epoch > 0 and self.verbose > 0:
            print(f"Epoch {self.stopped_epoch:05d}: early stopping")


class LearningRateScheduler(Callback):
    """Set the learning rate at the beginning of each epoch.

    Args:
        schedule: a function of the epoch, counted from 0, to the rate.
    """

    def __init__(self, schedule: Callable[[int], float]) -> None:
        super().__init__()
        self.schedule = schedule

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Set the rate."""
        rate = self.schedule(epoch)
        if not isinstance(rate, float | np.floating):
            raise SpecError(f"schedule({epoch}) gives a float, not {rate!r:.60}")
        self.model.optimizer.learning_rate = float(rate)


class ReduceLROnPlateau(_Monitor):
    """Multiply the learning rate by `factor` where a quantity does not become better.

    Args:
        monitor, mode: which quantity, and whether the larger or the smaller is better.
        factor: below 1.
        patience: how many epochs it may not become better.
        verbose: 1 prints each reduction.
        epsilon: how much it must become better at least.
        cooldown: how many epochs to wait after a reduction.
        min_lr: the smallest rate.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        epsilon: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0,
    ) -> None:
        super().__init__(monitor, mode)
        if factor >= 1.0:
            raise SpecError(f"factor is below 1, not {factor!r}")
        if mode == "auto" and "acc" not in monitor:  # here alone "fmeasure" is not asked for
            self.sign = -1
        self.factor = factor
        self.min_lr = min_lr
        self.epsilon = epsilon
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.on_train_begin()

    def on_train_begin(self, logs: Logs = None) -> None:
        """Begin anew."""
        self.best = -self.sign * math.inf
        self.cooldown_counter = 0
        self.wait = 0

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Reduce the rate, if it is time; the logs are given the rate of this epoch as `lr`."""
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        if isinstance(logs, dict):
            logs["lr"] = rate
        found = self.current(logs)
        if found is None:
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self.is_better(found, self.epsilon):
            self.best = found
            self.wait = 0
        elif not self.in_cooldown():
            if self.wait >= self.patience and rate > self.min_lr * (1 + 1e-4):
                smaller = max(rate * self.factor, self.min_lr)
                self.model.optimizer.learning_rate = smaller
                if self.verbose > 0:
                    print(f"\nEpoch {epoch:05d}: reducing learning rate to {smaller}.")
                self.cooldown_counter = self.cooldown
                self.wait = 0
            self.wait += 1

    def in_cooldown(self) -> bool:
        """Whether the last reduction was a moment ago."""
        return self.cooldown_counter > 0


class CSVLogger(Callback):
    """Write the logs of each epoch as a line of a file.

    Args:
        filename: of the file.
        separator: between the fields.
        append: go on with an existing file.
    """

    def __init__(self, filename: str, separator: str = ",", append: bool = False) -> None:
        super().__init__()
        self.filename = filename
        self.separator = separator
        self.append = append

    def on_train_begin(self, logs: Logs = None) -> None:
        """Begin the file."""
        there = os.path.exists(self.filename) and os.path.getsize(self.filename) > 0
        self.headed = self.append and there
        if not self.append:
            open(self.filename, "w", encoding="utf-8").close()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Write a line: the epoch, then the logs by name."""
        found = dict(sorted((logs or {}).items()))
        with open(self.filename, "a", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter=self.separator)
            if not self.headed:
                writer.writerow(["epoch", *found])
                self.headed = True
            writer.writerow([epoch, *found.values()])


class LambdaCallback(Callback):
    """A callback made of functions: `LambdaCallback(on_epoch_end=lambda epoch, logs: ...)`."""

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_batch_begin: Callable[..., Any] | None = None,
        on_batch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        **attributes: Any,
    ) -> None:
        super().__init__()
        for name, value in attributes.items():
            setattr(self, name, value)
        given = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_batch_begin": on_batch_begin,
            "on_batch_end": on_batch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
        }
        for name, function in given.items():
            if function is not None:
                setattr(self, name, function)
