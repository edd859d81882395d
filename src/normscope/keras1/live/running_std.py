"""`compare_running_std`: whether stored values are variances or deviations, told by data.

Keras 1.0.0 to 1.0.5, and 1.0.6 on Theano, averaged the deviation sqrt(v + e) under the name
`running_std`, later ones the variance v. Inputs like those of the training tell which it is: the
variance of the activations that reach each layer is measured, and both readings are compared.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import keras
import numpy as np
import numpy.typing as npt

from normscope.errors import SpecError
from normscope.keras1.live.conventions import normalizations
from normscope.keras1.live.layers.normalization import BatchNormalization

Floats: TypeAlias = npt.NDArray[np.float64]

SMALLEST = 1e-12  # variances and stored values below it are taken for it: a logarithm follows
FARTHEST = math.log(100)  # a value that is further off counts as this far
TELLING = 0.1  # how far apart (natural logarithm) the readings must be on average
WITHIN = math.log(2)  # the right reading fits within a factor of 2,
BETTER = 2  # and this many times better than the other


@dataclass(frozen=True, eq=False)
class MeasuredSpread:
    """One layer: the stored values, and what reached the layer, one value per index of `axis`.

    Attributes:
        name: of the layer.
        stored: its `running_std`.
        variance: of the activations in a batch, on average over the batches.
        deviation: sqrt(variance + epsilon), on average over the batches.
    """

    name: str
    stored: Floats
    variance: Floats
    deviation: Floats

    @property
    def apart(self) -> Floats:
        """How far apart the two readings are, as natural logarithms."""
        return np.abs(_log(self.variance) - _log(self.deviation))

    def off(self, reading: Literal["variance", "deviation"]) -> Floats:
        """How far the stored values are from one reading, as natural logarithms."""
        wanted = self.variance if reading == "variance" else self.deviation
        return np.minimum(np.abs(_log(self.stored) - _log(wanted)), FARTHEST)


@dataclass(frozen=True)
class RunningStdComparison:
    """What the stored `running_std` of a model holds, as far as data tell; `str` gives a report.

    Attributes:
        layers: those of mode 0 whose stored values are no longer the initial ones.
        holds: "variance", "deviation", or None where the data do not tell.
        off_variance, off_deviation: the factor by which the stored values are off, read as one and
            as the other: the mean over all values, each counted as far as the readings differ.
    """

    layers: tuple[MeasuredSpread, ...]
    holds: Literal["variance", "deviation"] | None
    off_variance: float
    off_deviation: float

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def compare_running_std(
    model: keras.Model, inputs: Any, *, batch_size: int = 32
) -> RunningStdComparison:
    """Compare the stored `running_std` of a model with the measured spread of its activations.

    In each batch every `BatchNormalization` normalizes by the statistics of the batch, so that the
    comparison does not depend on how the stored values are read now. The model is left as it was.

    Args:
        model: of Keras 1 layers, with its trained weights.
        inputs: an array, or a list of arrays for several inputs: some hundred samples like those
            that the model was trained on, prepared as they were.
        batch_size: samples per batch; that of the training is best. A model that says it itself is
            given batches of that size.

    Returns:
        The comparison; `holds` says which reading fits.

    Raises:
        SpecError: the inputs do not have the shapes that the model takes.

    Example:
        >>> import numpy as np
        >>> from normscope.keras1 import BatchNormalization, Sequential
        >>> x = np.random.default_rng(0).normal(0, 10, (64, 2)).astype("float32")
        >>> weights = [np.ones(2), np.zeros(2), np.zeros(2), x.std(0)]
        >>> model = Sequential([BatchNormalization(input_shape=(2,), weights=weights)])
        >>> compare_running_std(model, x).holds
        'deviation'
    """
    arrays = _arrays(model, inputs)
    layers = [one for one in dict.fromkeys(normalizations(model)) if one.mode == 0]
    with _watched(layers) as seen:
        for batch in _batches(arrays, model.inputs[0].shape[0] or batch_size):
            if hasattr(model, "reset_states"):
                model.reset_states()
            model(batch if len(batch) > 1 else batch[0], training=False)
    spreads = tuple(
        _spread(layer, variances)
        for layer, variances in zip(layers, seen, strict=True)
        if variances and _trained(layer)
    )
    return _compared(spreads)


def _arrays(model: keras.Model, inputs: Any) -> list[npt.NDArray[Any]]:
    """One array for each input of the model, of the shapes that it takes."""
    given = isinstance(inputs, list | tuple) and all(hasattr(one, "shape") for one in inputs)
    arrays = [np.asarray(one) for one in (inputs if given else [inputs])]
    shapes = [tuple(tensor.shape) for tensor in model.inputs]
    counts = {array.shape[:1] for array in arrays}
    fit = len(arrays) == len(shapes) and all(
        array.ndim == len(shape)
        and array.size
        and array.dtype.kind in "buif"
        and all(
            wanted in (None, size) for wanted, size in zip(shape[1:], array.shape[1:], strict=True)
        )
        for array, shape in zip(arrays, shapes, strict=True)
    )
    if not fit or len(counts) != 1 or len(arrays[0]) < (shapes[0][0] or 1):
        raise SpecError(
            f"the model takes numbers of the shapes {_shown(shapes)}, as many samples of each; "
            f"the data have {_shown([array.shape for array in arrays])}"
        )
    return arrays


def _shown(shapes: Sequence[Sequence[int | None]]) -> str:
    return " and ".join(
        f"({', '.join('any' if size is None else str(size) for size in shape)})" for shape in shapes
    )


def _batches(
    arrays: Sequence[npt.NDArray[Any]], batch_size: int
) -> Iterator[list[npt.NDArray[Any]]]:
    """Whole batches, or all samples where they are fewer."""
    count = len(arrays[0])
    size = min(batch_size, count)
    for start in range(0, count - size + 1, size):
        yield [array[start : start + size] for array in arrays]


@contextmanager
def _watched(layers: Sequence[BatchNormalization]) -> Iterator[list[list[Floats]]]:
    """Layers that normalize by the batch and tell its variance, instead of inference."""
    seen: list[list[Floats]] = [[] for _ in layers]
    try:
        for layer, variances in zip(layers, seen, strict=True):
            layer.watcher = lambda v, told=variances: told.append(
                np.ravel(keras.ops.convert_to_numpy(v)).astype(np.float64)
            )
        yield seen
    finally:
        for layer in layers:
            layer.watcher = None


def _trained(layer: BatchNormalization) -> bool:
    return bool(np.any(keras.ops.convert_to_numpy(layer.running_std) != 1))


def _spread(layer: BatchNormalization, variances: Sequence[Floats]) -> MeasuredSpread:
    stored = keras.ops.convert_to_numpy(layer.running_std).astype(np.float64)
    epsilon = layer.epsilon
    deviations = [np.sqrt(variance + epsilon) for variance in variances]
    return MeasuredSpread(
        layer.name, stored, np.mean(variances, axis=0), np.mean(deviations, axis=0)
    )


def _compared(spreads: tuple[MeasuredSpread, ...]) -> RunningStdComparison:
    if not spreads:
        return RunningStdComparison(spreads, None, math.nan, math.nan)
    apart = np.concatenate([spread.apart for spread in spreads])
    variance = _mean_off([spread.off("variance") for spread in spreads], apart)
    deviation = _mean_off([spread.off("deviation") for spread in spreads], apart)
    holds: Literal["variance", "deviation"] | None = None
    nearest, other = sorted((variance, deviation))
    if apart.mean() >= TELLING and nearest <= WITHIN and nearest * BETTER <= other:
        holds = "variance" if variance < deviation else "deviation"
    return RunningStdComparison(spreads, holds, math.exp(variance), math.exp(deviation))


def _mean_off(off: Sequence[Floats], apart: Floats) -> float:
    """The mean distance; values for which both readings are the same count nothing."""
    return float(np.average(np.concatenate(off), weights=np.maximum(apart, SMALLEST)))


def _log(values: Floats) -> Floats:
    return np.log(np.maximum(values, SMALLEST))


# --------------------------------------------------------------------------------------- report


def _lines(found: RunningStdComparison) -> Iterator[str]:
    if not found.layers:
        yield (
            "the data do not tell: no BatchNormalization of mode 0 has stored values other than "
            "the initial ones"
        )
        return
    factors = (
        f"read as a variance it is off by a factor of {found.off_variance:.3g}, as a deviation by "
        f"{found.off_deviation:.3g}"
    )
    match found.holds:
        case "deviation":
            yield f"running_std holds a deviation: {factors}"
            yield "Keras 1.0.0 to 1.0.5 stored that, and 1.0.6 on Theano: release='1.0.5'"
        case "variance":
            yield f"running_std holds a variance: {factors}"
            yield "Keras 1.0.7 to 1.2.2 stored that, and 1.0.6 on TensorFlow"
        case None:
            yield f"the data do not tell whether running_std is a variance: {factors}"
            yield (
                "more samples help, if they are like those of the training and prepared as these "
                "were; where variances are near 1 nothing can"
            )
    yield "  layer: stored, measured variance, measured deviation (medians)"
    for spread in found.layers:
        middle = (np.median(part) for part in (spread.stored, spread.variance, spread.deviation))
        yield f"  {spread.name}: " + ", ".join(f"{value:.4g}" for value in middle)
