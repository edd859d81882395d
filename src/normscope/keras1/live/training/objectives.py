"""The losses and metrics of Keras 1.2.2, by name.

Those of Keras 3 differ in places: its hinge turns labels 0 and 1 into -1 and 1, its cosine is a sum
where Keras 1 took a mean, and "accuracy" looks at the shapes alone. Each function gives one value
per sample, or for a metric of a whole batch one number. Source: Keras 1.2.2.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import keras
from keras import ops

from normscope.errors import SpecError
from normscope.keras1.live.layers.base import PACKAGE
from normscope.keras1.live.layers.rebinding import plain_tensors, rebound

Tensor: TypeAlias = Any
Function: TypeAlias = Callable[[Tensor, Tensor], Tensor]


def _on_tensors(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Give a function tensors of one dtype, and let a compiled model that uses it be saved."""

    @functools.wraps(function)
    def on_tensors(y_true: Any, y_pred: Any, **settings: Any) -> Tensor:
        if not isinstance(y_pred, keras.KerasTensor):
            y_pred = ops.convert_to_tensor(y_pred)
        return function(ops.cast(y_true, y_pred.dtype), y_pred, **settings)

    registered: Callable[..., Tensor] = keras.saving.register_keras_serializable(PACKAGE)(
        on_tensors
    )
    return registered


@_on_tensors
def mean_squared_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The mean of (y_pred - y_true)**2."""
    return ops.mean(ops.square(y_pred - y_true), axis=-1)


@_on_tensors
def mean_absolute_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The mean of abs(y_pred - y_true)."""
    return ops.mean(ops.abs(y_pred - y_true), axis=-1)


@_on_tensors
def mean_absolute_percentage_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """100 times the mean of abs((y_true - y_pred) / y_true)."""
    size = ops.maximum(ops.abs(y_true), keras.config.epsilon())
    return 100.0 * ops.mean(ops.abs((y_true - y_pred) / size), axis=-1)


@_on_tensors
def mean_squared_logarithmic_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The mean of (log(1 + y_pred) - log(1 + y_true))**2."""
    difference = ops.log1p(ops.maximum(y_pred, keras.config.epsilon())) - ops.log1p(
        ops.maximum(y_true, keras.config.epsilon())
    )
    return ops.mean(ops.square(difference), axis=-1)


@_on_tensors
def hinge(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The mean of max(1 - y_true * y_pred, 0), for labels -1 and 1."""
    return ops.mean(ops.maximum(1.0 - y_true * y_pred, 0.0), axis=-1)


@_on_tensors
def squared_hinge(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The mean of max(1 - y_true * y_pred, 0)**2, for labels -1 and 1."""
    return ops.mean(ops.square(ops.maximum(1.0 - y_true * y_pred, 0.0)), axis=-1)


@_on_tensors
def categorical_crossentropy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """-sum(y_true * log(y_pred)), y_pred being divided by its sum."""
    return ops.categorical_crossentropy(y_true, y_pred)


@_on_tensors
def sparse_categorical_crossentropy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """-log(y_pred[y_true]); y_true may have a last axis of size 1."""
    return ops.sparse_categorical_crossentropy(_labels(y_true, y_pred), y_pred)


@_on_tensors
def binary_crossentropy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The mean of -(y_true * log(y_pred) + (1 - y_true) * log(1 - y_pred))."""
    return ops.mean(ops.binary_crossentropy(y_true, y_pred), axis=-1)


@_on_tensors
def kullback_leibler_divergence(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The sum of y_true * log(y_true / y_pred)."""
    y_true, y_pred = (
        ops.clip(y_true, keras.config.epsilon(), 1.0),
        ops.clip(y_pred, keras.config.epsilon(), 1.0),
    )
    return ops.sum(y_true * ops.log(y_true / y_pred), axis=-1)


@_on_tensors
def poisson(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The mean of y_pred - y_true * log(y_pred)."""
    return ops.mean(y_pred - y_true * ops.log(y_pred + keras.config.epsilon()), axis=-1)


@_on_tensors
def cosine_proximity(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Minus the mean of the products of both, each divided by its l2 norm."""
    return -ops.mean(ops.normalize(y_true, axis=-1) * ops.normalize(y_pred, axis=-1), axis=-1)


OBJECTIVES: dict[str, Function] = {
    **{
        function.__name__: function
        for function in (
            *(mean_squared_error, mean_absolute_error, mean_absolute_percentage_error),
            *(mean_squared_logarithmic_error, hinge, squared_hinge),
            *(categorical_crossentropy, sparse_categorical_crossentropy, binary_crossentropy),
            *(kullback_leibler_divergence, poisson, cosine_proximity),
        )
    },
    **{"mse": mean_squared_error, "MSE": mean_squared_error},
    **{"mae": mean_absolute_error, "MAE": mean_absolute_error},
    **{"mape": mean_absolute_percentage_error, "MAPE": mean_absolute_percentage_error},
    **{"msle": mean_squared_logarithmic_error, "MSLE": mean_squared_logarithmic_error},
    **{"kld": kullback_leibler_divergence, "KLD": kullback_leibler_divergence},
    "cosine": cosine_proximity,
}


def loss(given: Any) -> Any:
    """A loss by name; lists and dicts of losses item by item; anything else as it is.

    Raises:
        SpecError: Keras 1 has no loss of that name.

    >>> loss("mse").__name__, loss({"a": "hinge"})["a"].__name__
    ('mean_squared_error', 'hinge')
    """
    if isinstance(given, Mapping):
        return {key: loss(one) for key, one in given.items()}
    if isinstance(given, list | tuple):
        return [loss(one) for one in given]
    return _named("loss", given, OBJECTIVES)


# --- metrics --------------------------------------------------------------------------------------


@_on_tensors
def binary_accuracy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """How many of y_pred, rounded, are y_true."""
    return _share(ops.equal(y_true, ops.round(y_pred)))


@_on_tensors
def categorical_accuracy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """How often the largest of y_pred is where the largest of y_true is."""
    return _share(ops.equal(ops.argmax(y_true, axis=-1), ops.argmax(y_pred, axis=-1)))


@_on_tensors
def sparse_categorical_accuracy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """How often the largest of y_pred is at the index y_true."""
    said = ops.cast(ops.argmax(y_pred, axis=-1), "int32")
    return _share(ops.equal(_labels(y_true, y_pred), said))


@_on_tensors
def top_k_categorical_accuracy(y_true: Tensor, y_pred: Tensor, k: int = 5) -> Tensor:
    """How often the largest of y_true is among the k largest of y_pred."""
    return _share(ops.in_top_k(ops.argmax(y_true, axis=-1), y_pred, k))


@_on_tensors
def matthews_correlation(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The correlation of two-valued labels and predictions, of the whole batch."""
    said, true = _rounded(y_pred), _rounded(y_true)
    tp, tn = ops.sum(true * said), ops.sum((1 - true) * (1 - said))
    fp, fn = ops.sum((1 - true) * said), ops.sum(true * (1 - said))
    norm = ops.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return (tp * tn - fp * fn) / (norm + keras.config.epsilon())


@_on_tensors
def precision(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """How many of those predicted are true, of the whole batch."""
    return ops.sum(_rounded(y_true * y_pred)) / (ops.sum(_rounded(y_pred)) + keras.config.epsilon())


@_on_tensors
def recall(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """How many of the true are predicted, of the whole batch."""
    return ops.sum(_rounded(y_true * y_pred)) / (ops.sum(_rounded(y_true)) + keras.config.epsilon())


@_on_tensors
def fmeasure(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The harmonic mean of precision and recall, of the whole batch."""
    return fbeta_score(y_true, y_pred)


@_on_tensors
def fbeta_score(y_true: Tensor, y_pred: Tensor, beta: float = 1) -> Tensor:
    """The weighted harmonic mean of precision and recall, of the whole batch."""
    if beta < 0:
        raise SpecError(f"beta is not negative; it is {beta!r}")
    p, r = precision(y_true, y_pred), recall(y_true, y_pred)
    return (1 + beta**2) * p * r / (beta**2 * p + r + keras.config.epsilon())


METRICS: dict[str, Function] = {
    **OBJECTIVES,
    **{
        function.__name__: function
        for function in (
            *(binary_accuracy, categorical_accuracy, sparse_categorical_accuracy),
            *(top_k_categorical_accuracy, matthews_correlation, precision, recall),
            *(fmeasure, fbeta_score),
        )
    },
    **{"fscore": fmeasure, "f1score": fmeasure},
}


class WeightedObjective(keras.losses.Loss):  # type: ignore[misc]  # Keras ships no types
    """A loss with weights of samples and a mask, as Keras 1 took them into account.

    The values of what is masked do not count; those of a sample of the weight 0 do not either, so
    the sum is divided by the number of the others.

    Args:
        function: of (y_true, y_pred) to one value for each sample, or for each sample and time, or
            to one for all.
    """

    def __init__(self, function: Function) -> None:
        super().__init__(name=name_of(function))
        self.function = function

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        """The mean loss of a batch."""
        if sample_weight is not None:
            weights = ops.cast(sample_weight, self.dtype)
            counted = ops.mean(ops.cast(ops.not_equal(weights, 0), self.dtype))
            sample_weight = ops.divide_no_nan(weights, counted)  # 0 / 0 in Keras 1
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """The loss of each sample; Keras leaves out what is masked, and takes the mean."""
        return _by_sample(self.function, y_true, y_pred, "loss")


def _by_sample(function: Function, y_true: Any, y_pred: Any, kind: str) -> Tensor:
    """What a function gives for each sample; one number for a batch is that of each."""
    found = plain_tensors(function(*rebound((y_true, y_pred))))
    found = _one_result(found, function, kind)
    if len(found.shape):
        return found
    return ops.broadcast_to(found, (ops.shape(y_pred)[0],))


def _one_result(found: Any, function: Any, kind: str) -> Tensor:
    if isinstance(found, Mapping):
        raise SpecError(
            f"the {kind} {name_of(function)} gives a dict, which cannot be served; write one "
            f"function for each of {[*found]}"
        )
    return found


def name_of(given: Any) -> str:
    """The name under which a loss or a metric is shown."""
    name = getattr(given, "name", None) or getattr(given, "__name__", None)
    return str(name or type(given).__name__.lower()).strip("<>")  # TensorFlow refuses <lambda>


def objective(given: Any) -> Any:
    """What Keras 3 is given for a loss: functions weigh their samples as Keras 1 did.

    >>> objective("mse").name, objective(None)
    ('mean_squared_error', None)
    """
    found = loss(given)
    plain = callable(found) and not isinstance(found, keras.losses.Loss)
    return WeightedObjective(found) if plain else found


def metric(given: Any, its_loss: Any, output_size: int | None) -> Any:
    """A metric of Keras 3 that is the mean of one of Keras 1, or of a function.

    Args:
        given: "accuracy", "acc", another name, a function of (y_true, y_pred), or a metric of
            Keras 3.
        its_loss: the loss on the same output.
        output_size: the size of the last axis of that output.

    Raises:
        SpecError: Keras 1 has no metric of that name.

    >>> metric("acc", "binary_crossentropy", 3).name
    'acc'
    """
    if isinstance(given, keras.metrics.Metric) or not (callable(given) or isinstance(given, str)):
        return given
    if given in ("accuracy", "acc"):
        return _mean(_accuracy(loss(its_loss), output_size), "acc")
    function = _named("metric", given, METRICS)
    return _mean(function, name_of(function))


def metric_name(given: Any) -> str:
    """The name under which the value of a metric is found, without that of its output.

    >>> metric_name("accuracy"), metric_name("mse")
    ('acc', 'mean_squared_error')
    """
    if given in ("accuracy", "acc"):
        return "acc"
    return name_of(_named("metric", given, METRICS))


def _mean(function: Function, name: str) -> keras.metrics.Metric:
    """The mean over all samples; of one number for a batch, by the size of that batch."""

    def by_sample(y_true: Any, y_pred: Any) -> Tensor:
        return _by_sample(function, y_true, y_pred, "metric")

    return keras.metrics.MeanMetricWrapper(by_sample, name=name)


def _accuracy(its_loss: Any, output_size: int | None) -> Function:
    if output_size == 1 or its_loss is binary_crossentropy:
        return binary_accuracy
    if its_loss is sparse_categorical_crossentropy:
        return sparse_categorical_accuracy
    return categorical_accuracy


def _named(kind: str, given: Any, table: Mapping[str, Function]) -> Any:
    if not isinstance(given, str):
        return given
    if given not in table:
        raise SpecError(f"Keras 1 has no {kind} {given!r}; it has {', '.join(table)}")
    return table[given]


def _labels(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The indices y_true, without the last axis of size 1 that Keras 1 gave them."""
    if len(y_true.shape) == len(y_pred.shape):
        y_true = ops.squeeze(y_true, -1)
    return ops.cast(y_true, "int32")


def _share(hits: Tensor) -> Tensor:
    return ops.cast(hits, keras.config.floatx())


def _rounded(y: Tensor) -> Tensor:
    return ops.round(ops.clip(y, 0.0, 1.0))
