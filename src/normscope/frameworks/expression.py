"""A layer named by an expression: `"torch.LayerNorm(128)"`, read and never run."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from normscope.errors import SpecError
from normscope.frameworks.declaration import Declaration
from normscope.frameworks.keras1.presets import LATEST, facts_of
from normscope.frameworks.keras1.settings import SETTINGS, keras1_batch_normalization
from normscope.frameworks.presets import get, preset, preset_names
from normscope.frameworks.sklearn.presets import FITTED
from normscope.frameworks.sklearn.settings import fitted
from normscope.wording import listed

MAX_LENGTH = 500
"""The longest expression that names a layer."""


def is_layer_expression(text: str) -> bool:
    """Whether a text names a layer rather than being a pattern.

    >>> [is_layer_expression(text) for text in ("b [c]", "c", "batch", "torch.LayerNorm(8)")]
    [False, False, True, True]
    """
    try:
        _call(text)
    except SpecError:
        return False
    names = preset_names()
    return "(" in text or "." in text or text in (*names, *(n.rpartition(".")[2] for n in names))


def from_expression(text: str, axes: str | None = None) -> Declaration:
    """The layer that an expression names; `axes` may name the axes of its input.

    Raises:
        SpecError: it names none, or its arguments are wrong.

    Example:
        >>> print(from_expression("torch.nn.GroupNorm(32, 128)").train)
        "b (g [c]) [s...]" with c=4, g=32, eps=1e-05, scale and bias along g c
    """
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
    return Declaration(text, stated, fitted(stated) if name in FITTED else stated.inference())


def _known_arguments(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    for key in arguments:
        if key not in SETTINGS:
            raise SpecError(
                f"{name} has no argument {key}; it has {', '.join(SETTINGS)}, release, backend"
            )
    return arguments


def _full_name(name: str, arguments: Mapping[str, Any]) -> str:
    """`BatchNormalization` with a mode is that of Keras 1; other bare names must be unique."""
    for home, short in _HOMES.items():
        name = name.replace(home, short)
    if name in preset_names():
        return name
    if name == "BatchNormalization" and "mode" in arguments:
        return "keras1.BatchNormalization"
    matches = [known for known in preset_names() if known.split(".")[-1] == name]
    if len(matches) == 1:
        return matches[0]
    if matches:
        full = listed([f'"{match}"' for match in matches], "or")
        raise SpecError(f"which one? {name} is a layer of several frameworks: write {full}")
    get(name)  # which raises, with the nearest names
    return name


_HOMES = {
    "torch.nn.": "torch.",
    "torch_geometric.nn.": "torch_geometric.",
    "keras.layers.": "keras.",
    "sklearn.preprocessing.": "sklearn.",
}
"""Where frameworks have their layers, and the names that presets have."""


def _call(text: str) -> tuple[str, list[Any], dict[str, Any]]:
    """`name(1, key=2)` taken apart; only literals, so that nothing in it is run."""
    if len(text) > MAX_LENGTH:
        raise not_a_layer(text)
    try:
        node = ast.parse(text.strip(), mode="eval").body
        function = node.func if isinstance(node, ast.Call) else node
        positional = [ast.literal_eval(a) for a in node.args] if isinstance(node, ast.Call) else []
        named = node.keywords if isinstance(node, ast.Call) else []
        arguments = {keyword.arg: ast.literal_eval(keyword.value) for keyword in named}
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        raise not_a_layer(text) from None
    name = _dotted(function)
    if None in arguments or name is None:
        raise not_a_layer(text)
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


def not_a_layer(text: str) -> SpecError:
    """The error for a text that names no layer."""
    shown = text if len(text) <= 60 else text[:57] + "..."
    return SpecError(
        f"{shown!r} is neither a pattern nor a layer; write for example "
        '"b [c]", "batch" or "torch.LayerNorm(128)"'
    )
