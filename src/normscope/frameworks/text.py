"""Texts -> declarations: a pattern, or a layer by name; and advice where it is neither."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from normscope.errors import SpecError, point
from normscope.frameworks.declaration import Declaration
from normscope.frameworks.expression import from_expression, is_layer_expression
from normscope.frameworks.presets import preset_names
from normscope.notation.spec import spec
from normscope.notation.values import shown
from normscope.wording import listed, quoted

_CODE = re.compile(r"(?:.+\.py|[A-Za-z_][\w.]*)\s*:\s*[^\s\d].*", re.DOTALL)
_CALL = re.compile(r"([A-Za-z_][\w.]*)\s*\(")
_DOTTED = re.compile(r"[A-Za-z_]\w*\.[A-Za-z_]")
_NAME = re.compile(r"[A-Za-z_][\w.]*|[A-Za-z_]+[\s_-]+norm(aliz|alis)?\w*", re.IGNORECASE)
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_SHORT = 80
"""Longer texts are not shown with a caret."""

_FILES = {
    ".onnx": 'normscope scope "{file}" --shape ... runs it, or in Python scope("{file}", inputs)',
    ".h5": 'normscope audit "{file}" reads it, or in Python audit("{file}")',
    ".hdf5": 'normscope audit "{file}" reads it, or in Python audit("{file}")',
    ".json": 'normscope audit "{file}" reads it, or in Python audit("{file}")',
    **dict.fromkeys(
        (".keras", ".pt", ".pth", ".pt2", ".ckpt", ".safetensors", ".msgpack", ".pb", ".tflite"),
        "load it in its framework, and ask the model: scope(model, inputs), or one layer of it: "
        "identify(layer, shape)",
    ),
    **dict.fromkeys((".npy", ".npz"), "an array that it holds goes to normalize(x, pattern)"),
    ".py": 'name what in it is meant, and call it: normscope identify "{file}:Net()" --shape ...',
}


def from_text(
    text: str, fields_and_sizes: Mapping[str, Any] | None = None, axes: str | None = None
) -> Declaration:
    """The declaration that a text makes.

    Args:
        text: a pattern, such as `"b [c]"`, or a layer, such as `"torch.LayerNorm(128)"`.
        fields_and_sizes: with a pattern only, as for `spec`.
        axes: names for the axes of a layer's input.

    Raises:
        PatternError, SpecError: it is neither; the message says what was probably meant.

    Example:
        >>> print(from_text("b (g [c])", {"g": 4}).train)
        "b (g [c])" with g=4, eps=1e-05
        >>> print(from_text("torch.LayerNorm(3)").train)
        "... [c]" with c=3, eps=1e-05, scale and bias along c
    """
    text = str.__str__(text)  # of a subclass, the text alone
    if names_layer(text):
        return named_layer(text, fields_and_sizes, axes)
    stated = spec(text, **dict(fields_and_sizes or {}))
    return Declaration("", stated, stated.inference())


def names_layer(text: str) -> bool:
    """True if a text names a layer, rather than being a pattern.

    Raises:
        SpecError: it can be neither.
    """
    _check_not_elsewhere(text)
    if is_layer_expression(text):
        return True
    _check_not_misspelt(text)
    return False


def named_layer(
    text: str, fields_and_sizes: Mapping[str, Any] | None = None, axes: str | None = None
) -> Declaration:
    """The layer that a text names.

    Raises:
        SpecError: there is none of that name, or fields and sizes are given, which are its own.
    """
    if fields_and_sizes:
        raise SpecError(
            f"{', '.join(fields_and_sizes)}: fields and sizes go with a pattern, and {text!r} is a "
            "layer that has its own; give them as arguments of the layer, in the parentheses"
        )
    return from_expression(text, axes)


def _check_not_elsewhere(text: str) -> None:
    """Code and files are not stated here, but other verbs take them."""
    ending = next((end for end in _FILES if text.lower().endswith(end)), None)
    if ending is not None and "[" not in text:
        raise SpecError(
            f"{text!r} is the name of a file, not a pattern or a layer; "
            + _FILES[ending].format(file=text)
        )
    if _CODE.fullmatch(text) is None or "[" in text.partition(":")[0]:
        return
    lines = [
        f"{text!r} is code to run, and here a text is only read, never run",
        f"to find out what such a layer computes, call it: normscope identify {quoted(text)} "
        "--shape ..., or in Python identify(layer, shape)",
    ]
    dotted = re.sub(r"\s*:\s*", ".", text, count=1)
    if _is_known(dotted):
        lines.append(f'to read what its arguments declare, name it with a dot: "{dotted}"')
    raise SpecError("\n  ".join(lines))


def _is_known(text: str) -> bool:
    try:
        from_expression(text)
    except SpecError:
        return False
    return True


def _check_not_misspelt(text: str) -> None:
    """A text that begins like a layer, or is nearly the name of one, and is no pattern."""
    text = text.strip()
    call = _CALL.match(text)
    if _DOTTED.match(text) is not None or (call is not None and _nearest(call[1])):
        _check_closed(text)
        raise SpecError(
            f"{shown(text)} is not a layer that can be read: that is a name and, in parentheses, "
            'plain values, as in "torch.GroupNorm(32, 128)"; nothing in it is run'
        )
    close = _nearest(text) if _NAME.fullmatch(text) is not None else []
    if close:
        raise SpecError(
            f"{text!r} is neither a pattern (it has no brackets) nor the name of a normalization; "
            f"did you mean {listed(close, 'or')}?"
        )


def _check_closed(text: str) -> None:
    opened: list[int] = []
    quote = ""
    for position, sign in enumerate(text):
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
        elif sign in _CLOSING:
            opened.append(position)
        elif sign in _CLOSING.values() and opened:
            opened.pop()
    if quote and len(text) <= _SHORT:
        raise SpecError(
            "\n  ".join(["this quote is never closed", *point(text, text.rindex(quote))])
        )
    if not opened:
        return
    kind = {"(": "parenthesis", "[": "bracket", "{": "brace"}[text[opened[-1]]]
    if len(text) > _SHORT:
        raise SpecError(f"{shown(text)}: a {kind} is open, and never closed")
    closed = text + "".join(_CLOSING[text[place]] for place in reversed(opened))
    where = point(text, opened[-1])
    lines = [f"this {kind} is open, and never closed", *where, f'close it: "{closed}"']
    raise SpecError("\n  ".join(lines))


def _nearest(name: str) -> list[str]:
    """Names of normalizations that are nearly this one; none for a text that is just short."""
    wanted = re.sub(r"[\s_-]+", "", name.lower()).replace("torch.nn.", "torch.")
    wanted = wanted.replace("keras.layers.", "keras.")
    if len(wanted) < 4:
        return []
    known: dict[str, list[str]] = {}
    for preset in preset_names():
        for word in {preset.lower(), preset.lower().rpartition(".")[2]}:
            known.setdefault(word, []).append(preset)
    close = get_close_matches(wanted, known, n=2, cutoff=0.8)
    return list(dict.fromkeys(name for word in close for name in known[word]))[:3]
