"""Statements to `Norm` (a spec, a pattern, the name of a preset) -> `NormSpec`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import keras

from normscope.errors import SpecError
from normscope.frameworks.preset_patterns import FIRST, LAST
from normscope.frameworks.presets import get, preset, preset_names
from normscope.frameworks.text import named_layer, names_layer
from normscope.notation.spec import NormSpec, spec
from normscope.notation.values import shown

_CHANNELS = {"channels_last": LAST, "channels_first": FIRST}
_FIELDS = frozenset(field.name for field in fields(NormSpec)) - {"pattern"}


def stated(
    normalization: NormSpec | str, data_format: str | None, arguments: Mapping[str, Any]
) -> NormSpec:
    """The spec that `Norm(normalization, data_format=..., **arguments)` is about.

    Raises:
        PatternError, SpecError: it is not stated correctly.

    Example:
        >>> print(stated("instance", "channels_first", {"eps": 1e-3, "bias": None}))
        "b c [s...]", eps=0.001, scale along c
    """
    if data_format not in (None, *_CHANNELS):
        raise SpecError(f"data_format is {' or '.join(_CHANNELS)}, not {shown(data_format)}")
    if isinstance(normalization, str) and _is_name(normalization):
        return _from_preset(normalization, data_format, arguments)
    if data_format is not None:
        raise SpecError(
            f"data_format={data_format!r} has no meaning here: {normalization} says itself where "
            "the channels stand"
        )
    if isinstance(normalization, str):
        if names_layer(normalization):
            return named_layer(normalization, arguments).train
        return spec(normalization, **arguments)
    if not isinstance(normalization, NormSpec):
        raise SpecError(
            'Norm takes a NormSpec, a pattern such as "b [c]", or a name such as "batch"; '
            f"this is {shown(normalization)}"
        )
    if arguments:
        raise SpecError(
            f"{', '.join(arguments)}: a NormSpec says everything already; change it with "
            "dataclasses.replace(spec, ...)"
        )
    return normalization


def _is_name(text: str) -> bool:
    """True for a text that can only be the name of a preset: it has neither brackets nor spaces."""
    return text in preset_names() or all(part.isidentifier() for part in text.split("."))


def _from_preset(name: str, data_format: str | None, arguments: Mapping[str, Any]) -> NormSpec:
    taken = inspect.signature(get(name)).parameters
    own = {key: value for key, value in arguments.items() if key in taken or key not in _FIELDS}
    replaced = {key: value for key, value in arguments.items() if key not in own}
    if "channels" in taken and "channels" not in own:
        own["channels"] = _CHANNELS[data_format or keras.config.image_data_format()]
    elif data_format is not None:
        raise SpecError(
            f'data_format={data_format!r} has no meaning for "{name}": its pattern is always '
            f'"{preset(name, **own).pattern}"'
        )
    return replace(preset(name, **own), **replaced)
