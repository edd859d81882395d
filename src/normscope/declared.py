"""What a layer's own settings declare: layer -> `Declaration`, and `spec_of` for its spec alone.

Nothing is called or measured here; that is `identify`'s part.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from normscope.errors import SpecError
from normscope.presets import get, preset, preset_names
from normscope.presets.keras1 import LATEST, facts_of
from normscope.spec import NormSpec


@dataclass(frozen=True)
class Declaration:
    """What is known of a layer before it runs.

    Attributes:
        title: the layer as its user knows it.
        train, infer: the specs of the two modes.
        documented: the pattern that the layer's documentation promises, where it is narrower than
            what the layer accepts; None where they agree.
        documented_words: the words in which the documentation says so.
        settings: the layer's own settings, by its framework's names.
    """

    title: str
    train: NormSpec
    infer: NormSpec
    documented: str | None = None
    documented_words: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)


MAX_LENGTH = 500
"""The longest expression that names a layer."""

KERAS1_MODE_1_WORDS = "sample-wise normalization. This mode assumes a 2D input."


def spec_of(layer: object, *, axes: str | None = None) -> NormSpec:
    """The spec that a layer's own settings declare, in training mode.

    Args:
        layer: a Keras 1 layer configuration (a mapping with `class_name` and `config`), an
            expression such as `"keras1.BatchNormalization(mode=1)"`, or a `NormSpec`.
        axes: names for the axes of the input, such as `"b c h w"`, where the layer fits any rank.

    Returns:
        The `NormSpec`.

    Raises:
        SpecError: the layer is not known, or its settings contradict each other.

    Example:
        >>> print(spec_of("keras1.BatchNormalization(mode=1, release='1.0.4')"))
        "... [c]", eps=0, eps_outside=1e-06, scale and bias along c
    """
    return declare(layer, axes=axes).train


def declare(layer: object, *, axes: str | None = None) -> Declaration:
    """All that a layer's own settings declare; see `spec_of`."""
    if isinstance(layer, NormSpec):
        return Declaration("", layer, layer.inference())
    if isinstance(layer, str):
        return _from_expression(layer, axes)
    if isinstance(layer, Mapping):
        return _from_keras1_config(layer, axes)
    kind = f"{type(layer).__module__}.{type(layer).__qualname__}"
    raise SpecError(
        f"the settings of a {kind} cannot be read; state it, for example "
        'spec("b [c]"), or name it: "torch.LayerNorm(128)"'
    )


def is_layer_expression(text: str) -> bool:
    """Whether a text names a layer rather than being a pattern.

    >>> [is_layer_expression(text) for text in ("b [c]", "c", "batch", "torch.LayerNorm(8)")]
    [False, False, True, True]
    """
    try:
        _call(text)
    except SpecError:
        return False
    return "(" in text or "." in text or text in preset_names()


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
        release: the release that wrote it; None is 1.2.2.
        backend: "tensorflow", "theano", "theano<0.9"; None is tensorflow.
        axes: names for the axes of the input.

    Raises:
        SpecError: a value that Keras 1 could not have run with.
    """
    taken = ("mode", "axis", "epsilon", "momentum")
    arguments = {key: config[key] for key in taken if key in config}
    release = release or LATEST
    train = preset(
        "keras1.BatchNormalization",
        **arguments,
        release=release,
        backend=backend or "tensorflow",
        axes=axes,
    )
    mode = arguments.get("mode", 0)
    infer = train.inference()
    title = f"Keras {release} BatchNormalization(mode={mode:g})"
    if mode == 1:
        return Declaration(title, train, infer, "b [c]", KERAS1_MODE_1_WORDS, arguments)
    return Declaration(title, train, infer, settings=arguments)


def _from_keras1_config(layer: Mapping[str, Any], axes: str | None) -> Declaration:
    config = layer.get("config", layer)
    name = layer.get("class_name", "BatchNormalization")
    if name != "BatchNormalization" or not isinstance(config, Mapping):
        raise SpecError(f"{name!r} is no normalization layer of Keras 1; BatchNormalization is")
    release = layer.get("keras_version")
    return keras1_batch_normalization(config, release=release, axes=axes)


def _from_expression(text: str, axes: str | None) -> Declaration:
    name, positional, arguments = _call(text)
    name = _full_name(name, arguments)
    if name == "keras1.BatchNormalization":
        if positional:
            raise SpecError("give the arguments by name: BatchNormalization(mode=1)")
        release = arguments.pop("release", LATEST)
        facts_of(release)
        backend = arguments.pop("backend", None)
        return keras1_batch_normalization(
            _known_arguments(name, arguments), release=release, backend=backend, axes=axes
        )
    stated = preset(name, *positional, **arguments)
    return Declaration(text, stated, stated.inference())


def _known_arguments(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    taken = ("mode", "axis", "epsilon", "momentum")
    for key in arguments:
        if key not in taken:
            raise SpecError(f"{name} has no argument {key}; it has {', '.join(taken)}, release")
    return arguments


def _full_name(name: str, arguments: Mapping[str, Any]) -> str:
    """`BatchNormalization` with a mode is that of Keras 1; other bare names must be unique."""
    name = name.replace("torch.nn.", "torch.").replace("keras.layers.", "keras.")
    if name in preset_names():
        return name
    if name == "BatchNormalization" and "mode" in arguments:
        return "keras1.BatchNormalization"
    matches = [known for known in preset_names() if known.split(".")[-1] == name]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise SpecError(f"which one? {name} is a layer of several: {', '.join(matches)}")
    get(name)  # which raises, with the nearest names
    return name


def _call(text: str) -> tuple[str, list[Any], dict[str, Any]]:
    """`name(1, key=2)` taken apart; only literals, so that nothing in it is run."""
    if len(text) > MAX_LENGTH:
        raise _not_a_layer(text)
    try:
        node = ast.parse(text.strip(), mode="eval").body
        function = node.func if isinstance(node, ast.Call) else node
        positional = [ast.literal_eval(a) for a in node.args] if isinstance(node, ast.Call) else []
        named = node.keywords if isinstance(node, ast.Call) else []
        arguments = {keyword.arg: ast.literal_eval(keyword.value) for keyword in named}
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        raise _not_a_layer(text) from None
    name = _dotted(function)
    if None in arguments or name is None:
        raise _not_a_layer(text)
    return name, positional, {str(key): value for key, value in arguments.items()}


def _dotted(node: ast.expr) -> str | None:
    """`torch.nn.GroupNorm` as text; None for anything but names and dots."""
    match node:
        case ast.Name(name):
            return name
        case ast.Attribute(value, name):
            before = _dotted(value)
            return None if before is None else f"{before}.{name}"
    return None


def _not_a_layer(text: str) -> SpecError:
    shown = text if len(text) <= 60 else text[:57] + "..."
    return SpecError(
        f"{shown!r} is neither a pattern nor a layer; write for example "
        '"b [c]", "batch" or "torch.LayerNorm(128)"'
    )
