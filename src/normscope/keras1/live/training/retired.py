"""Arguments that Keras 1.2.2 still took, with a warning that they have no effect."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from normscope.errors import SpecError

_ACCURACY = "write metrics=['accuracy'] in compile"

RETIRED: Mapping[str, Mapping[str, str]] = {
    "compile": {"class_mode": "the loss says it"},
    "fit": {"show_accuracy": _ACCURACY},
    "evaluate": {"show_accuracy": _ACCURACY},
    "train_on_batch": {"accuracy": _ACCURACY},
    "test_on_batch": {"accuracy": _ACCURACY},
    "fit_generator": {"show_accuracy": _ACCURACY, "nb_val_worker": "it is not needed"},
    "evaluate_generator": {"show_accuracy": _ACCURACY, "verbose": "it says nothing"},
    "predict_generator": {},
}
"""What to write instead, by method and argument."""


def take_retired(
    options: dict[str, Any], method: str, others: Mapping[str, str] | None = None
) -> None:
    """Take out the arguments without effect, and warn of each.

    Args:
        options: the keyword arguments that `method` was given besides its own; those without
            effect are taken out.
        method: of a model.
        others: if given, nothing else may be left: what to write, for known arguments.

    Raises:
        SpecError: an argument that the method does not have.

    >>> options = {"epochs": 2}
    >>> take_retired(options, "fit")
    >>> options
    {'epochs': 2}
    """
    for name, instead in RETIRED[method].items():
        if name in options:
            del options[name]
            warnings.warn(
                f"{name}= of {method} has no effect, as in Keras 1.2.2; {instead}", stacklevel=3
            )
    if others is not None and options:
        name = next(iter(options))
        hint = others.get(name, "it has no such argument in Keras 1.2.2")
        raise SpecError(f"{method}({name}=...): {hint}")
