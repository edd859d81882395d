"""`BatchNormalization` of Keras 1, from its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from normscope.frameworks.declaration import Declaration
from normscope.frameworks.keras1.presets import LATEST, facts_of
from normscope.frameworks.presets import preset

KERAS1_MODE_1_WORDS = "sample-wise normalization. This mode assumes a 2D input."

SETTINGS = ("mode", "axis", "epsilon", "momentum")
"""What of the configuration says which normalization it is."""


def keras1_batch_normalization(
    config: Mapping[str, Any],
    *,
    release: str | None = None,
    backend: str | None = None,
    axes: str | None = None,
) -> Declaration:
    """A Keras 1 `BatchNormalization` from its configuration.

    Args:
        config: `layer.get_config()`: mode, axis, epsilon, momentum.
        release: the release that wrote it; where that is not known (None) 1.2.2 is assumed, and
            the title says so.
        backend: "tensorflow", "theano", "theano<0.9"; where that is not known (None) tensorflow is
            assumed, and the title says so if the formula of the release depends on it.
        axes: names for the axes of the input.

    Raises:
        SpecError: a value that Keras 1 could not have run with.

    Example:
        >>> print(keras1_batch_normalization({"mode": 1}, release="1.0.4").train)
        "... [c]", eps=0, eps_outside=1e-06, scale and bias along c
    """
    arguments = {key: config[key] for key in SETTINGS if key in config}
    used = LATEST if release is None else release
    train = preset(
        "keras1.BatchNormalization",
        **arguments,
        release=used,
        backend="tensorflow" if backend is None else backend,
        axes=axes,
    )
    mode = arguments.get("mode", 0)
    infer = train.inference()
    facts = facts_of(used)
    title = f"Keras {used}{' (assumed)' if release is None else ''}"
    if backend is None and mode != 1 and facts.tensorflow is not facts.theano:
        title += " on tensorflow (assumed)"
    title += f" BatchNormalization(mode={mode:g})"
    if mode == 1:
        return Declaration(title, train, infer, "b [c]", KERAS1_MODE_1_WORDS, arguments)
    return Declaration(title, train, infer, settings=arguments)
