"""`keras.utils.np_utils` of Keras 1.2.2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from normscope.keras1.absent import refusing

Array = npt.NDArray[Any]


def to_categorical(y: Any, nb_classes: int | None = None) -> Array:
    """Rows of 0 with a 1 at the class of each sample, as float64.

    Args:
        y: the classes, integers from 0, along any axes.
        nb_classes: without it the largest class plus 1.

    >>> to_categorical([0, 2]).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    classes = np.asarray(y, dtype=int).ravel()
    rows: Array = np.eye(int(nb_classes or classes.max() + 1))[classes]
    return rows


def normalize(a: Any, axis: int = -1, order: int = 2) -> Array:
    """An array divided by its norms along an axis; where one is 0, as it is."""
    norms = np.linalg.norm(a, order, axis, keepdims=True)
    scaled: Array = np.asarray(a) / np.where(norms == 0, 1, norms)
    return scaled


def accuracy(p: Sequence[Any], y: Sequence[Any]) -> float:
    """How many of two lists are equal, as a share."""
    return float(np.mean([a == b for a, b in zip(p, y, strict=False)]))


def binary_logloss(p: Any, y: Any) -> float:
    """-mean(y * log(p) + (1 - y) * log(1 - p))."""
    p, y = np.clip(p, 1e-15, 1 - 1e-15), np.asarray(y)
    return float(-np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)))


def multiclass_logloss(p: Any, y: Sequence[int]) -> float:
    """-mean(log(p[i, y[i] - 1])): the classes count from 1."""
    rows = np.asarray(p)
    return float(-np.mean(np.log(rows[np.arange(len(rows)), np.asarray(y) - 1])))


def probas_to_classes(y_pred: Any) -> Array:
    """The class of each row of probabilities; of single ones whether they are above 0.5."""
    rows = np.asarray(y_pred)
    if rows.ndim > 1 and rows.shape[1] > 1:
        return categorical_probas_to_classes(rows)
    return (rows.ravel() > 0.5).astype(int)


def categorical_probas_to_classes(p: Any) -> Array:
    """The class of each row of probabilities."""
    return np.asarray(np.argmax(p, axis=1))


__getattr__ = refusing(
    "utils.np_utils",
    {
        "convert_kernel": "load_weights turns the kernels of Theano by itself",
        "conv_output_length": "use layer.get_output_shape_for(input_shape)",
        "conv_input_length": "use layer.get_output_shape_for(input_shape)",
    },
)
