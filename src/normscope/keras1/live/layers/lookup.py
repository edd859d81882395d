"""Regularizers and constraints by name or by config, as Keras 1 looked them up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras

from normscope.errors import SpecError


def made(kind: str, given: Any, table: Mapping[str, Callable[..., Any]]) -> Any:
    """The object that `given` stands for.

    Args:
        kind: what is looked up, for the messages.
        given: a name ("l2"), a config ({"name": "L1L2Regularizer", "l2": 0.01}), an object,
            which is returned as it is, or None.
        table: what can be made, by name.

    Raises:
        SpecError: the name is not in the table, or the settings do not fit.

    >>> made("number", {"name": "int", "x": 1}, {"int": int})
    Traceback (most recent call last):
    normscope.errors.SpecError: the number int cannot be made with x=1
    """
    if isinstance(given, Mapping) and "class_name" in given:  # an object of Keras 3
        return keras.saving.deserialize_keras_object(given)
    if isinstance(given, str):
        name, settings = given, {}
    elif isinstance(given, Mapping):
        settings = dict(given)
        name = settings.pop("name", None)
    else:
        return given
    if name not in table:
        raise SpecError(f"Keras 1 has no {kind} {name!r}; it has {', '.join(table)}")
    try:
        return table[name](**settings)
    except (TypeError, ValueError):
        text = ", ".join(f"{key}={value!r}" for key, value in settings.items())
        raise SpecError(f"the {kind} {name} cannot be made with {text or 'nothing'}") from None
