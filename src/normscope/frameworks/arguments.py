"""Whether arguments fit a call; if not, in words: which there are, which is missing."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from normscope.frameworks.mode_telling import MODE_KEYWORDS
from normscope.wording import counted, listed

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def signature_of(
    function: Callable[..., Any] | None, reserved: Iterable[str] = ()
) -> inspect.Signature | None:
    """What a function takes besides its mode; None where it does not say.

    Args:
        function: what is called, if it is known.
        reserved: parameters that are no inputs, besides those that say the mode.
    """
    if function is None:
        return None
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # a builtin does not say what it takes
        return None
    kept = [
        parameter
        for name, parameter in signature.parameters.items()
        if name not in MODE_KEYWORDS and name not in reserved
    ]
    return signature.replace(parameters=kept)


def misfit(
    function: Callable[..., Any] | None,
    positional: int,
    names: Sequence[str],
    how: Callable[[Sequence[str], Sequence[str]], str],
    reserved: Iterable[str] = (),
) -> str:
    """Why a call cannot be made with such arguments, and what to write; "" if it can.

    Args:
        function: what is called.
        positional: how many arguments are given by position.
        names: of those given by name.
        how: tells, from the names of what is missing and of all that must be given, how to.
        reserved: parameters that are no inputs.

    Example:
        >>> def how(missing, needed):
        ...     return f"others=({missing[0]},)"
        >>> misfit(lambda x, mask: x, 1, [], how)
        'it takes x and mask, and mask is missing: give it by others=(mask,)'
        >>> misfit(lambda x, mask: x, 1, ["msk"], how)
        'it has no argument msk; it takes x and mask'
        >>> misfit(lambda x, mask=None: x, 1, [], how)
        ''
    """
    signature = signature_of(function, reserved)
    if signature is None:
        return ""
    try:
        signature.bind(*range(positional), **dict.fromkeys(names))
    except TypeError:
        return _in_words(signature, positional, names, how)
    return ""


def _in_words(
    signature: inspect.Signature,
    positional: int,
    names: Sequence[str],
    how: Callable[[Sequence[str], Sequence[str]], str],
) -> str:
    parameters = signature.parameters.values()
    taken = [p.name for p in parameters if p.kind not in _VARIADIC]
    takes = f"it takes {listed(taken)}" if taken else "it takes no argument"
    unknown = [name for name in names if name not in taken]
    if unknown and not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
        return f"it has no argument {listed(unknown, 'or')}; {takes}"
    places = [p.name for p in parameters if p.kind in _POSITIONAL]
    filled = {*places[:positional], *names}
    needed = [p.name for p in parameters if p.kind not in _VARIADIC and p.default is p.empty]
    missing = [name for name in needed if name not in filled]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        pronoun = "it" if len(missing) == 1 else "them"
        said = f"{takes}, and {listed(missing)} {verb} missing"
        return f"{said}: give {pronoun} by {how(missing, needed)}"
    return f"{takes}, and {counted(positional + len(names), 'argument')} came"
