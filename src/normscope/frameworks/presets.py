"""Normalizations by the names that people know.

`preset("group", num_groups=4)` gives the textbook form, `preset("torch.GroupNorm", num_groups=4)`
the defaults and argument names of a framework. Each entry of the table is a function of a few
lines; its parameters are those of the layer it stands for.
"""

from __future__ import annotations

import inspect
from difflib import get_close_matches
from typing import Any

from normscope.errors import SpecError
from normscope.frameworks.preset_patterns import Preset
from normscope.frameworks.registry import all_presets
from normscope.notation.spec import NormSpec

_PRESETS = all_presets()


def preset(name: str, /, *positional: Any, **arguments: Any) -> NormSpec:
    """A normalization by name.

    Args:
        name: one of `preset_names()`, such as `"batch"` or `"torch.GroupNorm"`.
        *positional: arguments of the layer of that name, as it takes them.
        **arguments: arguments of the layer by name.

    Returns:
        The `NormSpec`.

    Raises:
        SpecError: an unknown name or argument, a missing one, or a wrong value.

    Example:
        >>> print(preset("instance"))
        "b [s...] c", eps=1e-05, scale and bias along c
        >>> print(preset("torch.GroupNorm", 32, 128))
        "b (g [c]) [s...]" with c=4, g=32, eps=1e-05, scale and bias along g c
    """
    function = get(name)
    signature = inspect.signature(function, eval_str=True)
    try:
        bound = signature.bind(*positional, **arguments)
        return function(*bound.args, **bound.kwargs)
    except TypeError as error:
        taken = ", ".join(signature.parameters)
        raise SpecError(f"{name}: {error}; its arguments are {taken}") from None


def get(name: str) -> Preset:
    """The function behind a preset's name.

    Raises:
        SpecError: there is no preset of that name.
    """
    if name in _PRESETS:
        return _PRESETS[name]
    close = get_close_matches(name, _PRESETS, n=3, cutoff=0.4)
    hint = f"; did you mean {' or '.join(close)}?" if close else ""
    bare, parenthesis, _ = name.partition("(")
    if parenthesis and bare in _PRESETS:
        hint = f'; its arguments follow the name: preset("{bare}", ...)'
    raise SpecError(f'there is no normalization called "{name}"{hint}')


def preset_names() -> list[str]:
    """The names that `preset` knows, the textbook ones first.

    >>> preset_names()[:7]
    ['batch', 'layer', 'instance', 'group', 'rms', 'unit', 'whole']
    """
    return list(_PRESETS)
