"""`torch.nn:GroupNorm(32, 128)`: a layer made from what the user wrote on the command line."""

from __future__ import annotations

import importlib
from typing import Any

from normscope.errors import MissingPackageError, SpecError


def layer_from_expression(text: str) -> Any:
    """The object that an expression gives in a module.

    The expression is run, as the user's own code: never call this with text from a file.

    Args:
        text: a module and, after a colon, a Python expression in its names.

    Returns:
        What the expression gives: a layer, a function.

    Raises:
        SpecError: there is no colon, or the expression fails.
        MissingPackageError: the module cannot be imported.

    Example:
        >>> layer_from_expression("math:hypot(3, 4)")
        5.0
    """
    module_name, colon, expression = text.partition(":")
    if not colon or not expression.strip():
        raise SpecError(
            f"{text!r} is no layer; write a module, a colon and an expression, such as "
            '"torch.nn:GroupNorm(32, 128)"'
        )
    try:
        module = importlib.import_module(module_name.strip())
    except ImportError as error:
        raise MissingPackageError(f"{module_name.strip()} cannot be imported: {error}") from error
    try:
        return eval(expression.strip(), dict(vars(module)))
    except Exception as error:  # whatever the user's own expression raises
        raise SpecError(f"{text!r} fails: {type(error).__name__}: {error}") from error
