"""`keras.metrics` of Keras 1.2.2: each function gives one number for a batch."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from keras import ops

from normscope.errors import SpecError
from normscope.keras1.live.training import objectives
from normscope.keras1.live.training.objectives import (
    fbeta_score as fbeta_score,
    fmeasure as fmeasure,
    matthews_correlation as matthews_correlation,
    precision as precision,
    recall as recall,
)


def _mean(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def mean(y_true: Any, y_pred: Any, **settings: Any) -> Any:
        return ops.mean(function(y_true, y_pred, **settings))

    return mean


binary_accuracy = _mean(objectives.binary_accuracy)
categorical_accuracy = _mean(objectives.categorical_accuracy)
sparse_categorical_accuracy = _mean(objectives.sparse_categorical_accuracy)
top_k_categorical_accuracy = _mean(objectives.top_k_categorical_accuracy)
mean_squared_error = mse = MSE = _mean(objectives.mean_squared_error)
mean_absolute_error = mae = MAE = _mean(objectives.mean_absolute_error)
mean_absolute_percentage_error = mape = MAPE = _mean(objectives.mean_absolute_percentage_error)
mean_squared_logarithmic_error = msle = MSLE = _mean(objectives.mean_squared_logarithmic_error)
hinge = _mean(objectives.hinge)
squared_hinge = _mean(objectives.squared_hinge)
categorical_crossentropy = _mean(objectives.categorical_crossentropy)
sparse_categorical_crossentropy = _mean(objectives.sparse_categorical_crossentropy)
binary_crossentropy = _mean(objectives.binary_crossentropy)
kullback_leibler_divergence = _mean(objectives.kullback_leibler_divergence)
poisson = _mean(objectives.poisson)
cosine_proximity = cosine = _mean(objectives.cosine_proximity)
fscore = f1score = fmeasure
kld = KLD = kullback_leibler_divergence


def get(identifier: Any) -> Any:
    """The metric of a name; a function as it is.

    Raises:
        SpecError: Keras 1 has no metric of that name.

    >>> get("mse").__name__
    'mean_squared_error'
    """
    if not isinstance(identifier, str):
        return identifier
    if identifier not in objectives.METRICS:
        known = ", ".join(objectives.METRICS)
        raise SpecError(f"Keras 1 has no metric {identifier!r}; it has {known}")
    return globals()[identifier]
