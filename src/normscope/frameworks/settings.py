"""`declare` and `spec_of`: who reads which kind of layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from normscope.errors import PatternError, SpecError
from normscope.frameworks.axis_names import with_axis_names
from normscope.frameworks.declaration import Declaration
from normscope.frameworks.expression import not_a_layer
from normscope.frameworks.keras import settings as keras
from normscope.frameworks.keras1.settings import keras1_batch_normalization
from normscope.frameworks.layer_class import check_not_class
from normscope.frameworks.registry import readers_of_settings
from normscope.frameworks.text import from_text
from normscope.notation.spec import NormSpec
from normscope.wording import qualified


def spec_of(layer: object, *, axes: str | None = None) -> NormSpec:
    """The spec that a layer's own settings declare, in training mode.

    Args:
        layer: a normalization layer of torch, Keras or Flax (NNX or Linen), or a scaler of
            scikit-learn; the configuration of a Keras layer (a mapping with `class_name` and
            `config`); a text such as `"keras1.BatchNormalization(mode=1)"` or a pattern; or a
            `NormSpec`. A layer is neither called nor changed.
        axes: names for the axes of the input, such as `"b c h w"`: the pattern then fixes the rank.

    Returns:
        The `NormSpec`.

    Raises:
        SpecError: the layer is not known, its settings contradict each other, or what it computes
            is no normalization over statistics sets.
        ShapeError: `axes` has another number of axes than the layer takes.

    Example:
        >>> print(spec_of("keras1.BatchNormalization(mode=1, release='1.0.4')"))
        "... [c]", eps=0, eps_outside=1e-06, scale and bias along c
        >>> import torch
        >>> print(spec_of(torch.nn.InstanceNorm2d(8), axes="n c h w"))
        "n c [h w]" with c=8, eps=1e-05
    """
    return declare(layer, axes=axes).train


def declare(layer: object, *, axes: str | None = None) -> Declaration:
    """All that a layer's own settings declare; see `spec_of`."""
    declaration = _read(layer, axes)
    if axes is None:
        return declaration
    named = with_axis_names(declaration.train, axes)
    infer = declaration.infer
    if infer.pattern is not None:
        infer = with_axis_names(infer, axes)
    elif declaration.train.pattern is not None:
        infer = replace(infer, scale=named.scale, bias=named.bias)
    return replace(declaration, train=named, infer=infer)


def _read(layer: object, axes: str | None) -> Declaration:
    rank = None if axes is None else len(axes.split())
    if isinstance(layer, NormSpec):
        return Declaration("", layer, layer.inference())
    if isinstance(layer, str):
        try:
            return from_text(layer, axes=axes)
        except PatternError:
            raise not_a_layer(layer) from None
    if isinstance(layer, Mapping):
        if keras.is_keras1(layer):
            config = layer.get("config", layer)
            release = layer.get("keras_version")
            return keras1_batch_normalization(config, release=release, axes=axes)
        return keras.from_configuration(layer, rank)
    for read in readers_of_settings():
        found = read(layer, rank)
        if found is not None:
            return found
    check_not_class(layer)
    kind = f"{type(layer).__module__}.{qualified(type(layer).__qualname__)}"
    stated = getattr(layer, "spec", None)
    if isinstance(stated, NormSpec):
        return Declaration(kind, stated, stated.inference())
    ask = ", or ask the layer itself: identify(layer, shape)" if callable(layer) else ""
    raise SpecError(
        f"the settings of a {kind.removeprefix('builtins.')} cannot be read; state it, for example "
        f'spec("b [c]"), or name it: "torch.LayerNorm(128)"{ask}'
    )
