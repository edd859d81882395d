"""Which of a framework's layers an object is, told by the names of its classes alone."""

from __future__ import annotations

import inspect
from collections.abc import Container

from normscope.errors import SpecError
from normscope.wording import qualified


def check_not_class(layer: object) -> None:
    """An object, not a class of which one is to be made yet.

    >>> check_not_class(str)
    Traceback (most recent call last):
    normscope.errors.SpecError: str is a class; give an object of it: write str(...)

    Raises:
        SpecError: it is a class.
    """
    if not isinstance(layer, type):
        return
    name = qualified(layer.__qualname__)
    raise SpecError(f"{name} is a class; give an object of it: write {name}({_needed(layer)})")


def _needed(cls: type) -> str:
    """The arguments without which no object can be made, as a call says them."""
    try:
        parameters = inspect.signature(cls).parameters.values()
    except (TypeError, ValueError):  # some classes do not say what they take
        return "..."
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return ", ".join(
        f"{p.name}=..."
        for p in parameters
        if p.default is inspect.Parameter.empty and p.kind not in variadic
    )


def framework_class(
    layer: object, *, homes: tuple[str, ...], names: Container[str], method: str
) -> str | None:
    """The framework's class that a layer is, or inherits from.

    Args:
        layer: any object.
        homes: beginnings of the names of the modules that hold the framework's layers.
        names: the classes that are looked for.
        method: the method that computes; a subclass with its own cannot be read from settings.

    Returns:
        The name of the class; None if the layer is none of them.

    Raises:
        SpecError: a subclass overrides `method`.
    """
    for cls in type(layer).__mro__:
        if cls.__name__ in names and cls.__module__.startswith(homes):
            _check_not_overridden(layer, cls, method)
            return cls.__name__
    return None


def _check_not_overridden(layer: object, known: type, method: str) -> None:
    for cls in type(layer).__mro__:
        if cls is known:
            return
        if method in vars(cls):
            raise SpecError(
                f"{cls.__qualname__} computes by its own {method}(), so the settings that it has "
                f"from {known.__qualname__} do not say what it normalizes; state the spec, or ask "
                "the layer itself: identify(layer, shape)"
            )


def class_title(layer: object) -> str:
    """`module.Class` without private parts: what a user would write.

    >>> import random
    >>> class_title(random.Random())
    'random.Random'
    """
    package = 3 if type(layer).__module__.startswith("normscope.layers.") else 2
    kind = type(layer)
    parts = [part for part in kind.__module__.split(".") if part not in ("src", "modules")]
    public = [part for part in parts if not part.startswith("_")]
    return ".".join([*public[:package], qualified(kind.__qualname__)])
